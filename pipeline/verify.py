"""`python -m pipeline verify`: judge every stored witness again, from the files alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from attacks.verdict import BROKEN

from .base.errors import UserError
from .base.seeds import target_name, trained
from .base.store import Place, read_npz
from .judging.images import Images, load_images
from .judging.witnesses import check_witnesses
from .transfer import tried

if TYPE_CHECKING:
    from .base.config import Config


def run(place: Place, config: Config) -> None:
    """Re-check the witnesses of every network, seed, suite, noise and transfer; a line for each.

    Raises:
        UserError: if a witness does not hold or a broken example has none, naming them.
    """
    failures = []
    for network in config.networks:
        for seed, part in trained(place, network).items():
            images = load_images(place, config.evaluation, network, part)
            for suite in config.suites:
                for stage, at in (("attack", place.attack), ("noise", place.noise)):
                    name = f"{stage} {network} {suite}" + (f" seed {seed}" if part else "")
                    folder = at(network, suite) / part
                    failures += [f"{name}: {reason}" for reason in _refuted(folder, images, name)]
                name = f"transfer {network} {suite}" + (f" seed {seed}" if part else "")
                count, refuted = _transfer_refuted(place, images, network, part, suite)
                told = f"{len(refuted)} do not" if refuted else "all hold"
                print(f"{name}: {count} witnesses of others, {told}")
                failures += [f"{name}: {reason}" for reason in refuted]
    if failures:
        raise UserError("these witnesses do not hold:\n" + "\n".join(failures))


def _refuted(folder: Path, images: Images, name: str) -> list[str]:
    """What does not hold among the results in `folder`; prints a line."""
    witnesses, verdicts = (read_npz(folder / f"{each}.npz") for each in ("witnesses", "verdicts"))
    refuted = check_witnesses(images, witnesses) + _missing(verdicts, witnesses)
    told = f"{len(refuted)} do not" if refuted else "all hold"
    print(f"{name}: {len(witnesses['index'])} witnesses, {told}")
    return refuted


def _missing(verdicts: Mapping[str, np.ndarray], witnesses: Mapping[str, np.ndarray]) -> list[str]:
    """Examples that a verdict calls broken and that no witness of that budget shows."""
    broken = (verdicts["outcome"] == BROKEN) & (verdicts["clean_pred"] == verdicts["label"])
    smallest: dict[int, float] = {}
    for key, eps in zip(verdicts["index"][broken], verdicts["eps"][broken], strict=True):
        smallest[int(key)] = min(float(eps), smallest.get(int(key), float(eps)))
    shown = dict(zip(witnesses["index"].tolist(), witnesses["eps"].tolist(), strict=True))
    return [
        f"example {key} is called broken at eps {eps:g}, and no witness shows it"
        for key, eps in smallest.items()
        if shown.get(key) != eps
    ]


def _transfer_refuted(
    place: Place, images: Images, network: str, part: str, suite: str
) -> tuple[int, list[str]]:
    """Judge again what other networks' witnesses broke of one network: how many, and what fails.

    Raises:
        UserError: if the table is missing, or was made before the network was there.
    """
    stored = read_npz(place.transfer(suite))
    names, name = stored["target_names"].tolist(), target_name(network, part)
    if name not in names:
        raise UserError(f"{place.transfer(suite)}: nothing on {name}; run `dvc repro`")
    target = names.index(name)
    count, failed = 0, []
    for source, other in enumerate(stored["source_names"].tolist()):
        rows = (stored["source"] == source) & (stored["target"] == target)
        broken = rows & (stored["outcome"] == BROKEN)
        witnesses = read_npz(place.attack(other, suite) / "witnesses.npz")
        kept = np.isin(witnesses["index"], stored["index"][broken])
        kept &= np.isin(witnesses["index"], images.keys.cpu().numpy())
        size = len(witnesses["index"])
        chosen = {k: v[kept] if v.shape[:1] == (size,) else v for k, v in witnesses.items()}
        again = tried(images, chosen)
        holds = again["outcome"] == BROKEN
        still = set(zip(again["index"][holds], again["eps"][holds], strict=True))
        claimed = list(zip(stored["index"][broken], stored["eps"][broken], strict=True))
        count += len(claimed)
        failed += [
            f"the witness of {other} for example {key} at eps {eps:g}"
            for key, eps in claimed
            if (key, eps) not in still
        ]
    return count, failed
