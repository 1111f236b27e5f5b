"""The points that gradient attacks ask about, one after another, against their papers' few lines.

On a hill whose top lies within the ball in some pixels: there gradients change their signs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from asked import Asked, Hill
from attacks.fixed.apgd import apgd, checkpoints
from attacks.fixed.fgsm import fgsm
from attacks.fixed.multitargeted import multitargeted
from attacks.fixed.pgd import pgd
from attacks.threat import ThreatModel

SHAPE, COUNT = (1, 3, 4), 6
LABELS, KEYS = torch.zeros(COUNT, dtype=torch.int64), torch.arange(COUNT)
EPS = {"linf": 0.25, "l2": 0.5}


@pytest.fixture(autouse=True)
def _no_graphs() -> Iterator[None]:
    with torch.no_grad():
        yield


def images() -> Tensor:
    """Some of their pixels so near to black or white that the box cuts the ball off."""
    return torch.rand(COUNT, *SHAPE, generator=torch.Generator().manual_seed(2))


def steepest(grad: Tensor, norm: str) -> Tensor:
    if norm == "linf":
        return grad.sign()
    return grad / grad.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def turns(path: list[Tensor]) -> bool:
    """Does some pixel go up and down?"""
    moves = torch.stack(path).diff(dim=0)
    return bool(((moves > 0).any(dim=0) & (moves < 0).any(dim=0)).any())


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_momentum_is_that_of_mi_fgsm(decay: float) -> None:
    """Dong et al. 2018, (6) and (7): g <- decay g + grad / |grad|_1, then the sign of g."""
    model, x, steps, eps = Hill(SHAPE), images(), 8, EPS["linf"]
    oracle, length = Asked(model), 0.4 * eps
    pgd(
        oracle, x, LABELS, ThreatModel("linf", eps), keys=KEYS, loss="margin", steps=steps,
        step_size=0.4 * steps, momentum=decay, random_start=False,
    )  # fmt: skip
    point, velocity, path, plain = x, torch.zeros_like(x), [x], True
    for _ in range(steps - 1):
        grad = model.gradient(point)
        velocity = decay * velocity + grad / grad.abs().flatten(1).sum(1).view(-1, 1, 1, 1)
        plain &= torch.equal(velocity.sign(), grad.sign())
        point = point + length * velocity.sign()
        point = torch.maximum(torch.minimum(point, x + eps), x - eps).clamp(0, 1)
        path.append(point)
    assert turns(path) and not plain  # or momentum would change nothing
    torch.testing.assert_close(torch.stack(oracle.climbed), torch.stack(path))


@pytest.mark.parametrize("norm", EPS)
def test_auto_pgd_steps_as_published_until_its_first_checkpoint(norm: str) -> None:
    """Croce and Hein 2020, (2) and (3): a quarter of each move repeats the one before."""
    model, x, threat, steps = Hill(SHAPE), images(), ThreatModel(norm, EPS[norm]), 40
    oracle = Asked(model)
    apgd(oracle, x, LABELS, threat, keys=KEYS, loss="margin", steps=steps)
    path = [oracle.climbed[0]]
    for step in range(min(checkpoints(steps))):
        length = 2 * threat.eps
        ahead = threat.project(path[-1] + length * steepest(model.gradient(path[-1]), norm), x)
        if step > 0:
            move = 0.75 * (ahead - path[-1]) + 0.25 * (path[-1] - path[-2])
            ahead = threat.project(path[-1] + move, x)
        path.append(ahead)
    assert len(path) > 8 and turns(path)
    torch.testing.assert_close(torch.stack(oracle.climbed[: len(path)]), torch.stack(path))


@pytest.mark.parametrize("norm", EPS)
def test_steps_towards_a_class_have_the_same_momentum_and_shrink_along_a_cosine(norm: str) -> None:
    model, x, threat, steps = Hill(SHAPE), images(), ThreatModel(norm, EPS[norm]), 60
    oracle = Asked(model)
    multitargeted(oracle, x, LABELS, threat, keys=KEYS, targets=1, steps=steps)
    path = [oracle.climbed[0]]
    for step in range(steps // 6):  # after which runs that are far away end
        length = 1.5 * threat.eps * (1 + math.cos(math.pi * step / steps)) / 2
        ahead = threat.project(path[-1] + length * steepest(model.gradient(path[-1]), norm), x)
        if step > 0:
            move = 0.75 * (ahead - path[-1]) + 0.25 * (path[-1] - path[-2])
            ahead = threat.project(path[-1] + move, x)
        path.append(ahead)
    assert turns(path)
    torch.testing.assert_close(torch.stack(oracle.climbed[: len(path)]), torch.stack(path))


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_random_first_step_takes_half_of_the_budget_and_the_gradient_the_other(norm: str) -> None:
    """R+FGSM, Tramer et al. 2018, on grey images whose ball the box does not cut off."""
    model, x = Hill(SHAPE), torch.full((COUNT, *SHAPE), 0.5)
    oracle, threat, eps = Asked(model), ThreatModel(norm, 0.2), 0.2
    found = fgsm(oracle, x, LABELS, threat, keys=KEYS, loss="margin", random_start=True)
    (first,) = oracle.climbed
    half = torch.full((COUNT,), eps / 2)
    torch.testing.assert_close(threat.distance(first, x), half, atol=2e-5, rtol=0)
    if norm == "linf":  # a corner of the smaller ball
        torch.testing.assert_close((first - x).abs(), torch.full_like(x, eps / 2))
    torch.testing.assert_close(threat.distance(found, first), half, atol=2e-5, rtol=0)
    rise = (model.gradient(first) * (found - first)).flatten(1).sum(1)
    dual = {"linf": 1, "l2": 2, "l1": math.inf}[norm]
    most = eps / 2 * model.gradient(first).flatten(1).norm(dual, dim=1)
    torch.testing.assert_close(rise, most, rtol=1e-3, atol=0)
