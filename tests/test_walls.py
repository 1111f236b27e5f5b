"""Attacks of a fixed budget where the box cuts perturbations off: the optimum is still known.

Digits are like that: most of their pixels are black or white, and such a one can move one way only.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from attacks.losses import is_broken
from attacks.registry import ATTACKS, L_NORMS, load
from attacks.threat import ThreatModel
from networks import at_the_walls, box_optimum

# The budget at which an attack must succeed, over the optimum of ball and box, and its settings.
MUST = {
    "fgsm": (1.02, {}),
    "pgd": (1.1, {"targets": 9}),
    "apgd": (1.02, {"targets": 9}),
    "apgd_l1": (1.02, {"targets": 9}),
    "multitargeted": (1.02, {}),
    "square": (1.5, {"restarts": 4}),
}
CASES = [
    (name, norm)
    for name, entry in ATTACKS.items()
    for norm in entry.norms
    if entry.kind == "fixed" and norm in L_NORMS
]


@pytest.fixture(autouse=True)
def _no_graphs() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 6, 9)])
@pytest.mark.parametrize(("name", "norm"), CASES)
def test_a_linear_network_falls_at_the_optimum_of_ball_and_box(
    name: str, norm: str, shape: tuple[int, int, int], classes: int
) -> None:
    if name == "fgsm" and classes > 2:
        pytest.skip("one step of cross-entropy heads for the nearest class of two alone")
    model, x, y = at_the_walls(classes, shape)
    optimum = box_optimum(model, x, y, norm)
    assert (optimum > 1.02 * model.optimum(x, y, norm)).any(), "the box is not active"
    factor, given = MUST[name]
    for scale, breaks in ((factor, True), (0.999, False)):
        threat = ThreatModel(norm, scale * optimum.float().view(-1, 1, 1, 1))
        effort = given if breaks or name != "square" else {"queries": 200}
        keys = torch.arange(len(x))
        found = load(ATTACKS[name])(model, x, y, threat, keys=keys, **effort)
        assert (is_broken(model(found), y) == breaks).all(), scale
