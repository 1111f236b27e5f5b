"""Square: what its windows reach, that its path is one of single queries, and what it is for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from asked import Asked
from attacks import keyed
from attacks.fixed.pgd import pgd
from attacks.fixed.square import square
from attacks.fixed.windows import HALVINGS, Bumps, Stripes, bump_of
from attacks.losses import is_broken
from attacks.oracle import Oracle
from attacks.threat import ThreatModel
from networks import digits, trained


@pytest.fixture(autouse=True)
def _no_graphs() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 6, 9)])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_windows_reach_every_pixel_at_every_age(norm: str, shape: tuple[int, int, int]) -> None:
    x = torch.full((600, *shape), 0.5)
    threat = ThreatModel(norm, 0.1)
    search = Stripes(x, 0.8) if norm == "linf" else Bumps(x, 0.8, norm)
    point = x + search.first(torch.arange(600), shape, threat)
    for age in range(len(HALVINGS) + 1):
        draw = keyed.stream(torch.arange(600), "test", age)
        tried = search.propose(x, point, threat, draw, torch.full((600,), age))
        # In L2 and L1 every pixel is rescaled; the places of the bumps are tested below.
        if norm == "linf":
            assert (tried != point).any(dim=0).all()
            assert (tried != point).flatten(1).any(dim=1).all(), "a proposal changed nothing"
        assert (threat.distance(tried, x) <= 0.1 + 1e-6).all()


def test_bumps_stand_anywhere_and_move_their_mass() -> None:
    x = torch.full((600, 1, 8, 8), 0.5)
    for norm in ("l2", "l1"):
        search = Bumps(x, 0.8, norm)
        draw = keyed.stream(torch.arange(600), "test")
        found = search.propose(x, x, ThreatModel(norm, 0.2), draw, torch.full((600,), 9)) - x
        touched = found.abs() > 1e-6
        assert touched.any(dim=0).all()
        assert (touched.flatten(1).sum(1) <= 9).all()
        assert torch.allclose(
            ThreatModel(norm, 1.0).distance(found, 0 * x), torch.tensor(0.2), atol=1e-5
        )


@pytest.mark.parametrize("side", [1, 2, 3, 5, 8])
def test_a_bump_has_length_one_and_two_halves(side: int) -> None:
    bump = bump_of(side)
    assert bump.shape == (side, side)
    assert abs(float(bump.square().sum()) - 1) < 1e-6
    assert (bump[: side // 2] > 0).all()
    assert (bump[side // 2 :] <= 0).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_many_proposals_at_once_are_the_path_of_one_query_after_another(norm: str) -> None:
    _, _, x, y = digits()
    right = (trained()(x).argmax(1) == y).nonzero()[:6, 0]
    threat = ThreatModel(norm, {"linf": 0.08, "l2": 0.5}[norm])
    found, passes = [], []
    for count in (1, 6):  # 128 proposals of an example at once, or 21
        for start in range(0, 6, count):
            some = right[start : start + count]
            oracle = Oracle(trained())
            found.append(square(oracle, x[some], y[some], threat, keys=some, queries=150))
            passes.append(oracle.passes(some)[0])
    assert torch.equal(torch.cat(found[:6]), found[6])
    assert torch.equal(torch.cat(passes[:6]), passes[6])
    survived = ~is_broken(trained()(found[6]), y[right])
    assert survived.any()
    assert (passes[6][survived] == 150).all()
    assert (passes[6] <= 150).all()


class Quantized(nn.Module):
    """Eight grey levels: the gradient with respect to the image is zero everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        return trained()((x * 8).round() / 8)


def test_it_breaks_what_hides_its_gradient() -> None:
    _, _, x, y = digits()
    x, y, keys, threat = x[:150], y[:150], torch.arange(150), ThreatModel("linf", 0.2)
    model = Quantized()
    broken = {
        name: int(is_broken(model(attack(model, x, y, threat, keys=keys, **given)), y).sum())
        for name, attack, given in (
            ("square", square, {"queries": 300}),
            ("pgd", pgd, {"steps": 40, "restarts": 5}),
        )
    }
    assert broken["square"] > 120
    assert broken["pgd"] < broken["square"] - 60


def test_more_queries_break_more() -> None:
    _, _, x, y = digits()
    keys, threat = torch.arange(120), ThreatModel("l2", 0.7)
    few, many = (
        is_broken(
            trained()(square(trained(), x[:120], y[:120], threat, keys=keys, queries=queries)),
            y[:120],
        )
        for queries in (30, 600)
    )
    assert many.sum() > few.sum() + 15


class Peak(nn.Module):
    """Class 1 comes nearest to class 0 at one image: a walk that stands there stays there."""

    def __init__(self, top: Tensor) -> None:
        super().__init__()
        self.top = top

    def forward(self, x: Tensor) -> Tensor:
        margin = -1 - (x - self.top).square().flatten(1).sum(1)
        return torch.stack([0 * margin, margin], dim=1)


@pytest.mark.parametrize(("norm", "most"), [("l2", 0.005), ("l1", 0.87)])
def test_fewer_queries_are_spent_on_proposals_that_change_nothing(norm: str, most: float) -> None:
    """Of black images, pixels that stand at the box cannot be pushed down: where one bright pixel
    has all of the budget, every eighth proposal would. In L1 all do whose windows leave it out."""
    threat = ThreatModel(norm, 0.5)
    x, y, keys = torch.zeros(8, 1, 8, 8), torch.zeros(8, dtype=torch.int64), torch.arange(8)
    start = x.clone()
    start[:, :, 3, 4] = 0.5
    start = threat.project(start, x)
    oracle = Asked(Peak(start[:1]))
    square(oracle, x, y, threat, keys=keys, start=start, queries=400)
    first, *others = oracle.read
    assert torch.equal(first, start)
    asked = torch.cat(others)
    assert len(asked) >= 8 * 399
    same = (asked - start[:1]).flatten(1).abs().amax(dim=1) <= 1e-3 * 0.5
    assert same.double().mean() < most  # of one draw each, 0.127 in L2 and 0.936 in L1
