"""The geometry of a threat model, against independent slow solvers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from attacks import keyed
from attacks.errors import ThreatError
from attacks.fixed.windows import Bumps
from attacks.minimum.boundary import cross
from attacks.threat import INSIDE, NORMS, ROUNDING, ThreatModel


def _slow_projection(point: np.ndarray, x: np.ndarray, norm: str, eps: float) -> np.ndarray:
    """Nearest point of ball and box by a general constrained solver (SLSQP), in float64.

    L1 is written with the positive and negative parts of the perturbation, which is smooth.
    """
    d = len(x)
    if norm == "l1":
        bounds = [(0, 1 - v) for v in x] + [(0, v) for v in x]
        solved = minimize(
            lambda z: ((x + z[:d] - z[d:] - point) ** 2).sum(),
            np.zeros(2 * d),
            jac=lambda z: np.concatenate(
                [2 * (x + z[:d] - z[d:] - point), -2 * (x + z[:d] - z[d:] - point)]
            ),
            bounds=bounds,
            constraints={"type": "ineq", "fun": lambda z: eps - z.sum()},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        return x + solved.x[:d] - solved.x[d:]
    solved = minimize(
        lambda z: ((z - point) ** 2).sum(),
        x,
        jac=lambda z: 2 * (z - point),
        bounds=[(0, 1)] * d,
        constraints={"type": "ineq", "fun": lambda z: eps**2 - ((z - x) ** 2).sum()},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return solved.x


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("eps", [0.2, 0.8])
def test_the_projection_is_the_nearest_point_of_ball_and_box(norm: str, eps: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(12, 1, 2, 4, generator=generator)
    x[:6] = x[:6].round()  # pixels on the edge of the box, where clipping and rescaling disagree
    point = x + torch.randn(x.shape, generator=generator)
    found = ThreatModel(norm, eps).project(point, x)
    for row in range(len(x)):
        slow = _slow_projection(
            point[row].flatten().double().numpy(), x[row].flatten().double().numpy(), norm, eps
        )
        assert np.abs(found[row].flatten().numpy() - slow).max() < 2e-4
        mine = float(((found[row] - point[row]).double() ** 2).sum())
        theirs = float(((slow - point[row].flatten().double().numpy()) ** 2).sum())
        assert mine <= theirs * (1 + 1e-5) + 1e-6


@pytest.mark.parametrize("eps", [0.05, 2.0, 30.0])
@pytest.mark.parametrize("scale", [0.01, 0.3, 3.0])
def test_large_images_are_projected_onto_l1_by_the_right_threshold(
    eps: float, scale: float
) -> None:
    """Against bisection in float64; pixels that meet the box end exactly at its edge."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(40, 3, 16, 16, generator=generator)
    x[::2] = x[::2].round()
    steps = torch.randn(x.shape, generator=generator)
    point = x + scale * steps * torch.rand(x.shape, generator=generator) ** 4
    found = ThreatModel("l1", eps).project(point, x)
    aim = eps * INSIDE - ROUNDING * x[0].numel()  # that the stored image is inside
    delta = (point - x).flatten(1).double()
    room = torch.where(delta > 0, 1 - x.flatten(1).double(), x.flatten(1).double())
    low, high = torch.zeros(len(x), 1).double(), delta.abs().amax(1, keepdim=True)
    for _ in range(80):
        middle = (low + high) / 2
        moved = torch.minimum((delta.abs() - middle).clamp_min(0), room)
        above = moved.sum(1, keepdim=True) > aim
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    fits = torch.minimum(delta.abs(), room).sum(1, keepdim=True) <= aim
    threshold = torch.where(fits, 0.0, high)
    moved = torch.minimum((delta.abs() - threshold).clamp_min(0), room)
    best = x.flatten(1).double() + moved * delta.sign()
    assert (found.flatten(1).double() - best).abs().max() < 2e-6
    assert (ThreatModel("l1", eps).distance(found, x) <= eps).all()
    at_edge = (moved == room) & (room > 0) & (moved > 0)
    assert (best[at_edge] == found.flatten(1)[at_edge]).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_projection_is_the_same_bits_in_any_company(norm: str) -> None:
    generator = torch.Generator().manual_seed(5)
    x = torch.rand(9, 3, 17, 11, generator=generator)
    x[::2] = x[::2].round()
    for size in (0.01, 1.0, 100.0):
        point = x + size * torch.randn(x.shape, generator=generator)
        threat = ThreatModel(norm, 2.0)
        whole = threat.project(point, x)
        alone = [threat.project(point[r : r + 1], x[r : r + 1]) for r in range(len(x))]
        assert torch.equal(whole, torch.cat(alone))


@pytest.fixture
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_threads")
@pytest.mark.parametrize(("norm", "eps"), [("l2", 3.0), ("l1", 40.0)])
def test_large_images_too_are_the_same_bits_in_any_company(norm: str, eps: float) -> None:
    """Torch shares a lone image's sum among threads where it is as large as these."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 3, 224, 224, generator=generator)
    moved = 0.05 * torch.randn(x.shape, generator=generator)
    threat, state = ThreatModel(norm, eps), keyed.stream(torch.arange(3), "test")
    search, age = Bumps(x, 0.8, norm), torch.full((3,), 3)
    point = threat.project(x + search.first(state, (3, 224, 224), threat), x)

    def found(rows: slice) -> tuple[Tensor, ...]:
        return (
            threat.project((x + moved)[rows], x[rows]),
            threat.distance((x + moved)[rows], x[rows]),
            search.propose(x[rows], point[rows], threat, state[rows], age[rows]),
            cross(x[rows], moved[rows], torch.full((3,), 5.0)[rows], norm),
        )

    whole = found(slice(None))
    alone = [found(slice(row, row + 1)) for row in range(3)]
    for together, each in zip(whole, zip(*alone, strict=True), strict=True):
        assert torch.equal(together, torch.cat(each))


@pytest.mark.parametrize("norm", NORMS)
def test_no_images_are_projected_to_none(norm: str) -> None:
    """A budget for each of no images, as where nothing is left to attack."""
    x, none = torch.zeros(0, 1, 8, 8), torch.zeros(0, 1, 1, 1)
    for threat in (ThreatModel(norm, 0.1), ThreatModel(norm, none)):
        assert threat.project(x, x).shape == x.shape
        assert threat.extreme(x, x).shape == x.shape


@pytest.mark.parametrize("eps", [0.02, 0.3])
def test_a_stored_image_is_inside_however_its_pixels_round(eps: float) -> None:
    """Pixels on a binary grid all round alike, and there are many of them."""
    x = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(7))
    found = ThreatModel("l2", eps).project(x + 0.1, x)
    assert (ThreatModel("l2", eps).distance(found, x) <= eps + 1e-6).all()


def test_a_ball_that_just_holds_the_box_takes_nothing_back() -> None:
    """Every pixel is at its wall, and rounding alone says that the norm is too large."""
    x = torch.rand(50, 3, 8, 8, generator=torch.Generator().manual_seed(6))
    walls = torch.where(x < 0.5, 1.0, 0.0)
    reach = (walls - x).double().flatten(1).square().sum(1).sqrt().float().view(-1, 1, 1, 1)
    found = ThreatModel("l2", reach).project(x + 100 * (walls - x), x)
    assert (found - walls).abs().max() < 1e-3


def test_the_linf_projection_clips_to_ball_and_box() -> None:
    x = torch.tensor([[[[0.0, 0.5, 0.95]]]])
    point = torch.tensor([[[[-1.0, 0.9, 2.0]]]])
    found = ThreatModel("linf", 0.1).project(point, x)
    assert torch.allclose(found, torch.tensor([[[[0.0, 0.6, 1.0]]]]))


@pytest.mark.parametrize("norm", NORMS)
def test_a_ball_around_images_projects_as_the_threat_model_does(norm: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(9, 2, 5, 3, generator=generator)
    x[:3] = x[:3].round()
    point = x + torch.randn(x.shape, generator=generator)
    threat = ThreatModel(norm, torch.linspace(0, 1.5, 9).view(-1, 1, 1, 1))
    ball, rows = threat.around(x), torch.tensor([7, 0, 4])
    assert torch.equal(ball.project(point), threat.project(point, x))
    assert torch.equal(ball[rows].project(point[rows]), threat[rows].project(point[rows], x[rows]))


@pytest.mark.parametrize("norm", NORMS)
def test_projected_images_are_feasible_and_points_inside_stay(norm: str) -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(64, 3, 8, 6, generator=generator)
    for eps in (0.0, 0.01, 0.5, 3.0):
        threat = ThreatModel(norm, eps)
        found = threat.project(x + torch.randn(x.shape, generator=generator), x)
        assert (threat.distance(found, x) <= eps + 1e-6).all()
        assert found.min() >= 0
        assert found.max() <= 1
        again = threat.project(found, x)
        assert (again - found).abs().max() < 1e-5


@pytest.mark.parametrize("norm", NORMS)
def test_rounding_many_equal_pixels_does_not_leave_the_ball(norm: str) -> None:
    for value in (0.1, 0.3, 0.7):
        x = torch.full((1, 3, 32, 32), value)
        for eps in (0.3, 2.0, 12.0):
            threat = ThreatModel(norm, eps)
            found = threat.project(x + 0.2, x)
            assert float(threat.distance(found, x)) <= eps + 1e-6


@pytest.mark.parametrize("norm", NORMS)
def test_the_steepest_step_has_length_one_and_gains_the_dual_norm(norm: str) -> None:
    grad = torch.randn(16, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    threat = ThreatModel(norm, 1.0)
    step = threat.steepest(grad)
    zero = torch.zeros_like(step)
    assert torch.allclose(threat.distance(step, zero), torch.ones(16), atol=1e-5)
    order = {"linf": 1, "l2": 2, "l1": torch.inf}[norm]
    dual = torch.linalg.vector_norm(grad.flatten(1), order, dim=1)
    assert torch.allclose((grad * step).flatten(1).sum(1), dual, rtol=1e-5)


@pytest.mark.parametrize(("norm", "eps"), [("l3", 0.1), ("linf", -0.1), ("l2", float("nan"))])
def test_a_threat_that_means_nothing_is_refused(norm: str, eps: float) -> None:
    with pytest.raises(ThreatError):
        ThreatModel(norm, eps)
