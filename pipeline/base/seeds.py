"""A network that is trained with several seeds: which, and where the results of each lie.

Those of the first seed lie where those of a network with one seed do; each further seed has a
folder beside them, `seed-<number>`, with files of the same names.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from .store import Place, read_json, write_json

SEEDS = "seeds.json"


def write_seeds(folder: Path, made: Mapping[str, Path]) -> None:
    """Fill a stage's folder with what was made for each seed, the first one's at its top."""
    for part, source in zip(parts(list(map(int, made))).values(), made.values(), strict=True):
        shutil.copytree(source, folder / part, dirs_exist_ok=True)


def parts(seeds: list[int]) -> dict[int, str]:
    """The folder of each seed within a stage's folder; that of the first is empty."""
    return {seed: f"seed-{seed}" if number else "" for number, seed in enumerate(seeds)}


def write_trained(folder: Path, seeds: list[int]) -> None:
    """Name the seeds and the hash of their weights: what judges a network depends on no more."""
    weights = [folder / part / "network.pt" for part in parts(seeds).values()]
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in weights]
    write_json(folder / SEEDS, {"seeds": seeds, "weights": hashes})


def trained(place: Place, network: str) -> dict[int, str]:
    """The seeds that a network was trained with, in order, and the folder of each (see `parts`).

    Raises:
        UserError: if the network was not trained yet.
    """
    return parts(read_json(place.network(network) / SEEDS)["seeds"])


def target_name(network: str, part: str) -> str:
    """What tables call a network of one seed: `plain`, and `plain/seed-1` of a further one."""
    return f"{network}/{part}" if part else network
