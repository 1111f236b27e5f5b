"""Minimum-norm attacks: the step across a hyperplane inside the box, and optima at its walls."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize
from torch import Tensor, nn

from attacks.losses import is_broken
from attacks.minimum.boundary import cross
from attacks.minimum.cw import cw
from attacks.minimum.ddn import ddn
from attacks.minimum.deepfool import deepfool
from attacks.minimum.fab import fab
from attacks.minimum.fmn import fmn
from attacks.oracle import Oracle
from attacks.registry import ATTACKS, load
from attacks.threat import NORMS, length
from networks import at_the_walls, box_optimum, digits, trained

MINIMUM = {name: entry for name, entry in ATTACKS.items() if entry.kind == "minimum"}
CASES = [(name, norm) for name, entry in MINIMUM.items() for norm in entry.norms]
# Steps that keep a test short.
SHORT = {"fab": {"steps": 40}, "cw": {"rounds": 3, "steps": 60}}


@pytest.fixture(autouse=True)
def _no_graphs() -> Iterator[None]:
    with torch.no_grad():
        yield


def _slow_cross(x: np.ndarray, grad: np.ndarray, needed: float, norm: str) -> np.ndarray | None:
    """Smallest step with <grad, step> = needed inside the box, by scipy; None where out of reach.

    Linf and L1 are linear programs, with the step split into its positive and negative parts.
    """
    d = len(x)
    if norm == "l2":
        solved = minimize(
            lambda z: (z**2).sum(),
            np.zeros(d),
            jac=lambda z: 2 * z,
            bounds=list(zip(-x, 1 - x, strict=True)),
            constraints={"type": "eq", "fun": lambda z: grad @ z - needed, "jac": lambda z: grad},
            options={"ftol": 1e-12, "maxiter": 1000},
        )
        return solved.x if solved.success else None
    bounds = [(0, 1 - v) for v in x] + [(0, v) for v in x]
    equal = np.concatenate([grad, -grad])[None]
    if norm == "l1":
        solved = linprog(np.ones(2 * d), A_eq=equal, b_eq=[needed], bounds=bounds)
    else:
        below = np.hstack([np.eye(d), np.eye(d), -np.ones((d, 1))])
        equal = np.hstack([equal, np.zeros((1, 1))])
        cost = np.append(np.zeros(2 * d), 1)
        bounds.append((0, 1))
        solved = linprog(cost, below, np.zeros(d), A_eq=equal, b_eq=[needed], bounds=bounds)
    return solved.x[:d] - solved.x[d : 2 * d] if solved.success else None


@pytest.mark.parametrize("norm", NORMS)
def test_the_step_across_a_hyperplane_is_the_smallest_inside_the_box(norm: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(24, 1, 3, 4, generator=generator)
    x[:12] = x[:12].round()  # walls on all sides
    grad = torch.randn(x.shape, generator=generator)
    grad[::4, :, 0] = 0.0
    reach = (grad.clamp_min(0) * (1 - x) - grad.clamp_max(0) * x).flatten(1).sum(1)
    fall = (grad.clamp_min(0) * x - grad.clamp_max(0) * (1 - x)).flatten(1).sum(1)
    share = torch.rand(24, generator=generator) * 0.95
    needed = torch.where(torch.arange(24) % 2 == 0, share * reach, -share * fall)
    step = cross(x, grad, needed, norm)
    assert ((x + step) >= -1e-6).all()
    assert ((x + step) <= 1 + 1e-6).all()
    gained = (grad * step).flatten(1).sum(1)
    assert torch.allclose(gained, needed, rtol=1e-5, atol=1e-5)
    size = length(step.double(), norm)
    for row in range(len(x)):
        slow = _slow_cross(
            x[row].flatten().double().numpy(),
            grad[row].flatten().double().numpy(),
            float(needed[row]),
            norm,
        )
        assert slow is not None
        best = float(length(torch.from_numpy(slow)[None, None, None], norm))
        assert abs(float(size[row]) - best) <= 1e-5 * (1 + best), row


@pytest.mark.parametrize("share", [0.001, 0.2, 0.9])
def test_a_step_of_many_pixels_is_the_smallest_in_l1(share: float) -> None:
    """A few pixels suffice, or most of them are needed: the steepest go first."""
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(8, 3, 9, 11, generator=generator)
    grad = torch.randn(x.shape, generator=generator)
    room = torch.where(grad > 0, 1 - x, x).flatten(1)
    needed = share * (grad.flatten(1).abs() * room).sum(1)
    step = cross(x, grad, needed, "l1")
    for row in range(len(x)):
        slope, space = grad[row].flatten().abs().double(), room[row].double()
        order, left, best = slope.argsort(descending=True), float(needed[row]), 0.0
        for pixel in order.tolist():
            moved = min(left / float(slope[pixel]), float(space[pixel]))
            left, best = left - moved * float(slope[pixel]), best + moved
        assert abs(float(length(step[row : row + 1].double(), "l1")) - best) < 1e-5 * best
        assert abs(float((grad[row] * step[row]).sum()) - float(needed[row])) < 1e-5 * needed[row]


@pytest.mark.parametrize("norm", NORMS)
def test_a_hyperplane_out_of_reach_is_approached_to_the_best_corner(norm: str) -> None:
    x = torch.rand(5, 3, 2, 3, generator=torch.Generator().manual_seed(1))
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    step = cross(x, grad, torch.full((5,), 1e3), norm)
    assert torch.allclose(x + step, (grad > 0).float(), atol=1e-6)
    assert torch.equal(cross(x, 0 * grad, torch.ones(5), norm), torch.zeros_like(x))
    assert torch.equal(cross(x, grad, torch.zeros(5), norm), torch.zeros_like(x))


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 6, 9)])
@pytest.mark.parametrize(("name", "norm"), [c for c in CASES if c[0] in ("fab", "ddn", "fmn")])
def test_the_optimum_is_reached_where_the_box_binds(
    name: str, norm: str, classes: int, shape: tuple[int, int, int]
) -> None:
    model, x, y = at_the_walls(classes, shape)
    optimum = box_optimum(model, x, y, norm)
    given = SHORT.get(name, {})
    found = load(MINIMUM[name])(model, x, y, norm, keys=torch.arange(len(x)), **given)
    assert is_broken(model(found), y).all()
    ratio = length((found - x).double(), norm) / optimum
    assert ratio.min() >= 1 - 1e-4
    assert ratio.max() <= 1.02, float(ratio.max())


@pytest.mark.parametrize(("name", "norm"), [c for c in CASES if c[0] != "deepfool"])
def test_the_search_itself_finds_the_optimum_from_a_distant_start(name: str, norm: str) -> None:
    """A good start would hide a search that leads nowhere."""
    model, x, y = at_the_walls(2, (1, 8, 8))
    optimum = box_optimum(model, x, y, norm)
    slope = model.layer.weight[1 - y] - model.layer.weight[y]
    corner = (slope > 0).float().view_as(x)
    start = x + 0.9 * (corner - x)
    assert is_broken(model(start), y).all()
    given = {"ddn": {"steps": 200}, "fmn": {"steps": 200}, "cw": {"rounds": 7}}.get(name, {})
    found = load(MINIMUM[name])(model, x, y, norm, keys=torch.arange(len(x)), start=start, **given)
    ratio = length((found - x).double(), norm) / optimum
    assert ratio.max() <= 1.05, ratio


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_what_is_returned_is_adversarial_or_the_original(name: str, norm: str) -> None:
    """After one step many examples have no adversarial image yet."""
    _, _, x, y = digits()
    x, y, keys = x[:60], y[:60].clone(), torch.arange(60)
    y[:5] = (y[:5] + 1) % 10  # wrong as they are: nothing is nearer
    oracle = Oracle(trained())
    given = {"cw": {"rounds": 1, "step_size": 0.0}}.get(name, {})
    given = {**given, "start": x, "steps": 1}
    found = load(MINIMUM[name])(oracle, x, y, norm, keys=keys, **given)
    same = (found == x).flatten(1).all(dim=1)
    assert (same | is_broken(oracle.logits(found, keys), y)).all()
    assert same[:5].all()


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_more_steps_do_not_find_farther_images(name: str, norm: str) -> None:
    """For each example where steps continue the same path; where the step follows a schedule,
    paths differ, and the examples' median must fall."""
    _, _, x, y = digits()
    x, y, keys = x[:100], y[:100], torch.arange(100)
    given = {"fab": {"targets": 2}, "cw": {"rounds": 2}}.get(name, {})
    distances = []
    for steps in (2, 8, 32):
        found = load(MINIMUM[name])(trained(), x, y, norm, keys=keys, steps=steps, **given)
        size = length((found - x).double(), norm)
        distances.append(size.where(is_broken(trained()(found), y), torch.inf))
    for fewer, more in itertools.pairwise(distances):
        assert more.median() <= fewer.median()
        if name == "deepfool":
            assert (more <= fewer).all()
        if name == "fab":  # at the end a perturbation is shortened by 8 % at most
            assert (more <= fewer * 1.08).all()


def test_a_margin_of_negative_logits_is_not_zero() -> None:
    """Wrong logits masked by 0 in place of minus infinity would hide the margin."""

    class Below(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return trained()(x) - 100

    _, _, x, y = digits()
    keys = torch.arange(20)
    plain = cw(trained(), x[:20], y[:20], "l2", keys=keys, rounds=2, steps=30)
    below = cw(Below(), x[:20], y[:20], "l2", keys=keys, rounds=2, steps=30)
    assert is_broken(Below()(below), y[:20]).all()
    sizes = [length((found - x[:20]).double(), "l2").median() for found in (plain, below)]
    assert abs(sizes[0] / sizes[1] - 1) < 0.02


def test_a_race_restarts_fab_where_that_is_of_use_alone() -> None:
    """The boundary of a linear network is found by the first run: the second is the last."""
    model, x, y = at_the_walls(3, (1, 8, 8))
    keys = torch.arange(len(x))
    reach = length((fab(model, x, y, "l2", keys=keys) - x).double(), "l2").float()

    def spent(scale: float, **given: int) -> tuple[Tensor, Tensor]:
        oracle = Oracle(model)
        found = fab(oracle, x, y, "l2", keys=keys, reach=scale * reach, race=True, **given)
        return length((found - x).double(), "l2"), oracle.passes(keys)[1]

    once, far, near = spent(1.0, restarts=1), spent(0.5, restarts=4), spent(0.9, restarts=4)
    twice = spent(0.9, restarts=2)
    assert torch.equal(far[1], once[1]) and torch.equal(far[0], once[0])
    assert torch.equal(near[1], twice[1]) and (near[1] > once[1]).all()
    assert (near[0] <= once[0]).all()


def raced(
    attack: Callable[..., Tensor], norm: str, within: float, **given: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Who comes within reach, and backward passes, of the whole attack and of its race; the race's
    images are the same in any company."""
    _, _, x, y = digits()
    keys = (trained()(x).argmax(1) == y).nonzero()[:120, 0]
    x, y, reach = x[keys], y[keys], torch.full((len(keys),), within)
    oracles = [Oracle(trained()) for _ in range(3)]
    found = [
        attack(oracle, x, y, norm, keys=keys, reach=reach, race=race, **given)
        for oracle, race in zip(oracles[:2], (False, True), strict=True)
    ]
    parts = [
        attack(oracles[2], x[p], y[p], norm, keys=keys[p], reach=reach[p], race=True, **given)
        for p in keys.argsort().split(50)
    ]
    assert torch.equal(torch.cat(parts), found[1])
    near = [
        is_broken(trained()(each), y) & (length((each - x).double(), norm) <= reach)
        for each in found
    ]
    return near, [oracle.passes(keys)[1] for oracle in oracles[:2]]


@pytest.mark.parametrize(("norm", "reach", "most"), [("l2", 0.3, 21), ("linf", 0.055, 13)])
def test_a_race_ends_runs_of_fab_that_do_not_come_near(norm: str, reach: float, most: int) -> None:
    within, spent = raced(fab, norm, reach, steps=60, targets=3, patience=60)
    assert 10 < within[0].sum() < 60
    assert (within[0] & ~within[1]).sum() <= 1
    assert (spent[0] == 3 * 60).all()
    # What stands still outside leaves after a third of the steps; what is far, before.
    assert spent[1][~within[0]].median() <= 3 * most


def test_passes_are_fused() -> None:
    """FAB and FMN look at a point and linearize there in one pass; DeepFool shares the forward."""
    _, _, x, _ = digits()
    model, keys = trained(), torch.arange(30)
    right = model(x[:30]).argmax(dim=1)
    for attack, given, forwards, backwards in (
        (fmn, {"steps": 7, "classes": 2}, 1 + (1 + 2 * 6 + 6) + 7 + 1, 2 * 5 + 7),
        (ddn, {"steps": 7, "classes": 2}, 1 + (1 + 2 * 6 + 6) + 7 + 1, 2 * 5 + 7),
        (fab, {"steps": 7, "targets": 2}, 1 + 2 * (7 + 1) + 6, 2 * 7),
        (fab, {"steps": 3, "targets": 0}, 1 + (3 + 1) + 6, 9 * 3),
    ):
        oracle = Oracle(model)
        attack(oracle, x[:30], right, "l2", keys=keys, **given)
        spent = oracle.passes(keys)
        assert spent[0].max() == forwards, attack
        assert spent[1].max() == backwards, attack
    oracle = Oracle(model)
    deepfool(oracle, x[:30], right, "l2", keys=keys, classes=4)
    spent = oracle.passes(keys)
    assert (spent[1] == 4 * (spent[0] - 1)).all()  # the one pass beside them is the clean one
    assert len(spent[0].unique()) > 1  # examples leave as they fall


def test_a_race_gives_up_what_is_far_and_keeps_what_comes_within_reach() -> None:
    """In any company, and what a race gives up was beyond reach for all the steps too."""
    within, spent = raced(fmn, "l2", 0.4, steps=100, classes=3)
    assert 20 < within[0].sum() < 100
    assert (within[0] & ~within[1]).sum() <= 1
    assert (spent[1] <= spent[0]).all()
    # Most of what is far is known to be after a fifth of the steps; 15 are the scouting's.
    assert spent[1][~within[0]].median() == 15 + 20
    assert (spent[0] == 15 + 100).all()
