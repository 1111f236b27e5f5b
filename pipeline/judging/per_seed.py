"""A network of several seeds in the attack and noise stages: the weights of each are judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..base.device import choose_device
from ..base.kept import kept_pieces
from ..base.packages import ROOT
from ..base.seeds import trained, write_seeds
from ..base.splits import load_checksum
from ..base.store import Place, fingerprint, replace_folder
from ..base.versions import installed
from ..base.watched import code_files

FILES = tuple(f"pipeline/{name}.py" for name in ("attack", "diagnosis", "gallery", "noise"))
FOLDERS = ("pipeline/base", "pipeline/judging", "attacks", "models")
"""All code that judges and writes the results, but for the user's own."""

Judge = Callable[[str, str, str, Path], None]


def judge_each_seed(
    place: Place, label: str, network: str, target: Path, settings: list[Any], judge: Judge
) -> None:
    """Judge the network of every seed and write the stage's folder, `target`.

    A seed that was judged before under the same settings is not judged again.

    Args:
        label: what progress calls the stage, such as "attack plain linf".
        settings: of the stage, for the fingerprint.
        judge: called with a label, the seed's part of folders (see `base.seeds`; empty for the
            first), a fingerprint of all that the result follows from, and the folder to write.
    """
    weights = trained(place, network)
    keys = {}
    for seed, part in weights.items():
        path = place.network(network) / part / "network.pt"
        keys[str(seed)] = result_key(place, path, *settings, not part)  # the first has pictures

    def make(seed: str, folder: Path) -> None:
        part = weights[int(seed)]
        judge(f"{label} seed {seed}" if part else label, part, keys[seed], folder)

    stage = label.replace(" ", "-")
    with kept_pieces(place, stage, keys, make) as made, replace_folder(target) as folder:
        write_seeds(folder, made)


def result_key(place: Place, weights: Path, *settings: Any) -> str:
    """Fingerprint of all that the results of judging a network with these weights depend on."""
    code = [ROOT / file for file in FILES]
    for folder in FOLDERS:
        code += sorted((ROOT / folder).rglob("*.py"))
    code += code_files([ROOT / "custom"])  # an attack of the user's may read files of any kind
    # torchvision runs its own architectures.
    machine = (installed("torchvision"), choose_device().type)
    return fingerprint(load_checksum(place), weights, *settings, *machine, *code)
