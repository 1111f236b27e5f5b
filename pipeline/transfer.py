"""Stage `transfer`: the witnesses of each network, tried on every other one.

What fools one network often fools another that was trained on the same images (Szegedy et al.
2014). Where it does and the other's own attacks found nothing, these were weak or misled: the
image counts as broken all the same, by a verdict like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch

from attacks.registry import TRANSFORMATIONS
from attacks.verdict import judge

from .base.progress import progress
from .base.seeds import target_name, trained
from .base.store import Place, read_npz, write_npz
from .judging.images import Images, load_images
from .judging.measure import PART

if TYPE_CHECKING:
    from .base.config import Config

# Columns as they are stored: one row for each witness and network that it was tried on. The image
# itself stays with the network that it was made for.
TYPES = {
    "source": np.int16,
    "target": np.int16,
    "index": np.int64,
    "eps": np.float64,
    "outcome": np.uint8,
    "adv_pred": np.int16,
    "distance": np.float32,
}


def run(place: Place, config: Config) -> None:
    """Write a table of verdicts for each suite.

    Every seed of a network is a target; the witnesses are those of the others' first seeds.

    Raises:
        UserError: if a network or its witnesses are missing.
    """
    networks = list(config.networks)
    targets = [(own, part) for own in networks for part in trained(place, own).values()]
    tables: dict[str, list[dict[str, np.ndarray]]] = {suite: [] for suite in config.suites}
    bar = progress(len(targets) * len(tables), "transfer")
    with bar if len(networks) > 1 else nullcontext():  # a single one has none to be tried on
        for target, (network, part) in enumerate(targets if len(networks) > 1 else []):
            images = load_images(place, config.evaluation, network, part)
            for suite, rows in tables.items():
                for source, other in enumerate(networks):
                    if other != network:
                        witnesses = read_npz(place.attack(other, suite) / "witnesses.npz")
                        found = tried(images, witnesses)
                        shape = found["index"].shape
                        found |= {"source": np.full(shape, source)}
                        rows.append(found | {"target": np.full(shape, target)})
                bar.update(1)
    for suite, rows in tables.items():
        columns = {
            name: np.concatenate([np.zeros(0), *(each[name] for each in rows)]).astype(kind)
            for name, kind in TYPES.items()
        }
        names = [target_name(*each) for each in targets]
        write_npz(
            place.transfer(suite),
            **columns,
            source_names=np.array(networks),
            target_names=np.array(names),
        )


def tried(images: Images, witnesses: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The verdicts of one network on the witnesses of another, each at its own ε."""
    norm = str(witnesses["norm"])
    answer = witnesses["theta" if norm in TRANSFORMATIONS else "x_adv"]
    index = witnesses["index"]
    columns: dict[str, list[np.ndarray]] = {"outcome": [], "adv_pred": [], "distance": []}
    for begin in range(0, len(index), PART):
        part = slice(begin, begin + PART)
        rows = [images.position[int(key)] for key in index[part]]
        judged = judge(
            images.oracle,
            images.x[rows],
            torch.from_numpy(np.ascontiguousarray(answer[part])).to(images.x),
            images.y[rows],
            images.keys[rows],
            norm,
            torch.from_numpy(witnesses["eps"][part]).to(images.device),
        )
        columns["outcome"].append(judged.outcome.cpu().numpy())
        columns["adv_pred"].append(judged.prediction.cpu().numpy())
        columns["distance"].append(judged.distance.cpu().numpy())
    return {
        "index": index,
        "eps": witnesses["eps"],
        **{name: np.concatenate([np.zeros(0), *found]) for name, found in columns.items()},
    }
