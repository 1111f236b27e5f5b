"""Auto-PGD in the L1 ball: which pixels a step moves, and optima at the edge of the box."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from asked import Asked, Hill
from attacks.fixed.apgd_l1 import apgd_l1
from attacks.fixed.sparse import sparse
from attacks.oracle import Oracle
from attacks.threat import ThreatModel
from networks import digits, trained


@pytest.fixture(autouse=True)
def _no_graphs() -> Iterator[None]:
    with torch.no_grad():
        yield


def test_a_step_moves_the_steepest_pixels_that_can_move() -> None:
    grad = torch.tensor([[[[3.0, -2.0, 1.0, 0.5]]]]).expand(3, 1, 1, 4)
    point = torch.tensor([0.5, 0.5, 0.5, 0.5]).expand(3, 1, 1, 4).clone()
    point[2, ..., 0] = 1.0  # the steepest pixel is at the edge
    step = sparse(grad, point, torch.tensor([0.5, 0.4, 0.25])).flatten(1)
    assert torch.allclose(step[0], torch.tensor([0.5, -0.5, 0, 0]))
    assert torch.allclose(step[1], torch.tensor([1.0, 0, 0, 0])), "rounded down"
    assert torch.allclose(step[2], torch.tensor([1.0, -1.0, 0, 0])), "held along, next one moved"


def test_a_run_that_breaks_nothing_costs_a_backward_pass_a_step() -> None:
    _, _, x, y = digits()
    right = (trained()(x).argmax(1) == y).nonzero()[:5, 0]
    for steps in (0, 1, 2, 20):
        oracle = Oracle(trained())
        threat = ThreatModel("l1", 1e-3)
        found = apgd_l1(oracle, x[right], y[right], threat, keys=right, steps=steps)
        forwards, backwards = oracle.passes(right)
        assert forwards.tolist() == [steps + (2 if steps else 1)] * 5
        assert backwards.tolist() == [steps] * 5
        assert (threat.distance(found, x[right]) <= 1e-3 + 1e-6).all()


def test_a_run_is_through_balls_of_three_two_and_one_budgets() -> None:
    """Croce and Hein 2021: 30 % of the steps in each of the larger ones. On a hill whose top is out
    of reach of all three, where each ball is used to its end and no further."""
    generator = torch.Generator().manual_seed(0)
    x, y, keys = torch.rand(6, 1, 6, 6, generator=generator), torch.zeros(6).long(), torch.arange(6)
    oracle, threat = Asked(Hill((1, 6, 6))), ThreatModel("l1", 0.5)
    apgd_l1(oracle, x, y, threat, keys=keys, loss="margin", steps=40)
    away = torch.stack([threat.distance(point, x) for point in oracle.climbed]) / threat.eps
    radii = torch.tensor([3.0] * 12 + [2.0] * 12 + [1.0] * 16)[:, None].expand(-1, 6)
    torch.testing.assert_close(away, radii, rtol=1e-4, atol=0)
