"""What is judged: the evaluated part of the test split on the device, and the network's oracle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from attacks.check import answers_vary
from attacks.errors import ThreatError
from attacks.keyed import stream
from attacks.oracle import Oracle
from attacks.views.fast import fast
from attacks.views.levels import Levels, check_grid
from attacks.views.randomized import Randomized

from ..base.device import choose_device
from ..base.errors import UserError
from ..base.networks import load_network
from ..base.splits import load_split
from ..base.store import Place

if TYPE_CHECKING:
    from ..base.config import Evaluation, Suite


@dataclass(frozen=True)
class Images:
    """The evaluated part of the test split, on the device, with the network's oracle."""

    oracle: Oracle
    x: torch.Tensor
    y: torch.Tensor
    keys: torch.Tensor
    info: dict[str, Any]
    device: torch.device

    @cached_property
    def position(self) -> dict[int, int]:
        """The row of each example, by its index in the data set."""
        return {int(key): row for row, key in enumerate(self.keys.tolist())}


def load_images(place: Place, evaluation: Evaluation, network: str, part: str = "") -> Images:
    """The network, and the keyed nested subset of test images that `evaluation` asks for.

    `part` is the folder of one of the network's seeds (see `base.seeds`), the first if not given.
    """
    split = load_split(place, "test")
    device = choose_device()
    model, info = load_network(place.network(network) / part / "network.pt")
    chosen = subset(split.index, evaluation.samples, evaluation.seed)
    x = torch.from_numpy(split.x[chosen]).to(device).float().div_(split.levels)
    y = torch.from_numpy(split.y[chosen]).to(device)
    keys = torch.from_numpy(split.index[chosen]).to(device)
    slots, seed, draws = evaluation.slots, evaluation.seed, evaluation.draws
    search = None
    if evaluation.precision != "fp32":
        search = fast(model.to(device), precision=evaluation.precision)
    oracle = Oracle(model.to(device), slots=slots, search=search)
    if draws and answers_vary(oracle, x[:slots]):
        oracle = Randomized(oracle.model, draws, seed=seed, slots=slots, search=search)
    return Images(oracle, x, y, keys, info | {"precision": evaluation.precision}, device)


def on_levels(images: Images, suite: Suite, name: str) -> Images:
    """The images as the suite `name` attacks them: perturbed in whole levels where it says so.

    Raises:
        UserError: if the images are not on these levels.
    """
    if suite.levels is None:
        return images
    try:
        check_grid(images.x, suite.norm, suite.eps, suite.levels)
    except ThreatError as error:
        raise UserError(f"suites.{name}.levels: {error}") from None
    return replace(images, oracle=Levels(images.oracle, suite.levels))


def subset(index: np.ndarray, samples: int | None, seed: int) -> np.ndarray:
    """Positions of a nested subset: a larger one holds every smaller one of the same seed.

    Each example draws its rank from (seed, its own index), so that the choice does not depend on
    the order of the data set.

    Raises:
        UserError: if more are asked than there are.
    """
    if samples is None:
        return np.arange(len(index))
    if samples > len(index):
        raise UserError(
            f"evaluation.samples: {samples} asked, but the test split has {len(index)} images; "
            "null takes them all"
        )
    rank = stream(torch.from_numpy(index), seed, "subset").numpy()
    return np.sort(np.argsort(rank, kind="stable")[:samples])
