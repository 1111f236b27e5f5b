"""Auto-PGD in the L1 ball: which pixels a step moves, and optima at the edge of the box."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from attacks.fixed.apgd_l1 import apgd_l1, sparse
from attacks.losses import is_broken
from attacks.oracle import Oracle
from attacks.threat import ThreatModel
from networks import Linear, digits, trained


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


def greedy_optimum(model: Linear, x: Tensor, y: Tensor) -> Tensor:
    """The smallest eps at which a point of ball and box is misclassified: steepest pixels first,
    each to the edge of the box, the last one as far as needed."""
    weight, flat = model.layer.weight.double(), x.flatten(1).double()
    logits = flat @ weight.T
    optimum = torch.full((len(x),), torch.inf, dtype=torch.float64)
    for row in range(len(x)):
        for target in set(range(logits.shape[1])) - {int(y[row])}:
            slope = weight[target] - weight[y[row]]
            need, spent = float(logits[row, y[row]] - logits[row, target]), 0.0
            for pixel in slope.abs().argsort(descending=True).tolist():
                room = float(1 - flat[row, pixel] if slope[pixel] > 0 else flat[row, pixel])
                steep = float(slope[pixel].abs())
                move = min(room, need / steep)
                need, spent = need - move * steep, spent + move
                if need <= 1e-12:
                    optimum[row] = min(float(optimum[row]), spent)
                    break
    return optimum


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_linear_networks_fall_at_the_optimum_of_ball_and_box(classes: int) -> None:
    generator = torch.Generator().manual_seed(3)
    model = Linear(classes, (1, 8, 8))
    x = (torch.rand(40, 1, 8, 8, generator=generator) * 1.6 - 0.3).clamp(0, 1)
    y = model(x).argmax(1)
    optimum = greedy_optimum(model, x, y)
    chosen = (optimum > 1.05 * model.optimum(x, y, "l1")).nonzero()[:24, 0]
    assert len(chosen) >= 12
    for scale, breaks in ((1.02, True), (0.999, False)):
        threat = ThreatModel("l1", scale * optimum[chosen].float().view(-1, 1, 1, 1))
        given = {"keys": chosen, "targets": 9, "loss": "margin"}
        found = apgd_l1(model, x[chosen], y[chosen], threat, **given)
        assert (is_broken(model(found), y[chosen]) == breaks).all(), scale


def test_a_run_that_breaks_nothing_costs_a_backward_pass_a_step() -> None:
    _, _, x, y = digits()
    right = (trained()(x).argmax(1) == y).nonzero()[:5, 0]
    for steps in (0, 1, 2, 20):
        oracle = Oracle(trained())
        threat = ThreatModel("l1", 1e-3)
        found = apgd_l1(oracle, x[right], y[right], threat, keys=right, steps=steps)
        forwards, backwards = oracle.passes(right)
        assert forwards.tolist() == [steps + 1] * 5
        assert backwards.tolist() == [steps] * 5
        assert (threat.distance(found, x[right]) <= 1e-3 + 1e-6).all()
