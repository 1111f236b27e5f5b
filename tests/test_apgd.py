"""Auto-PGD: its schedule, its step sizes, and optima at the edge of the box."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from attacks.fixed.apgd import Pace, apgd, checkpoints
from attacks.fixed.fgsm import fgsm
from attacks.fixed.pgd import pgd
from attacks.losses import is_broken, targeted_dlr
from attacks.oracle import Oracle
from attacks.threat import ThreatModel
from networks import Linear, digits, trained


@pytest.fixture(autouse=True)
def _no_graphs() -> Iterator[None]:
    with torch.no_grad():
        yield


def test_the_checkpoints_of_a_hundred_steps_are_the_published_ones() -> None:
    assert list(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert sum(checkpoints(100).values()) == 99
    assert all(list(checkpoints(steps)) == sorted(checkpoints(steps)) for steps in range(1, 60))


def sizes_along(losses: Tensor) -> list[float]:
    """The step size after each checkpoint of a run that sees `losses`, (N + 1,)."""
    windows = checkpoints(len(losses) - 1)
    pace = Pace(torch.arange(1))
    sizes = []
    for step, loss in enumerate(losses[:-1]):
        pace.see(loss[None])
        if step in windows:
            pace.halve(windows[step])
            sizes.append(float(pace.size))
    return sizes


def test_steps_never_halve_while_the_loss_rises() -> None:
    assert sizes_along(torch.arange(101.0)) == [2.0] * 8
    assert sizes_along(torch.arange(101.0) - 1000) == [2.0] * 8  # and whatever its sign


def test_steps_halve_at_every_checkpoint_where_the_loss_oscillates() -> None:
    losses = torch.tensor([0.0, 1.0]).repeat(51)[:101]
    assert sizes_along(losses) == [2.0**-k for k in range(8)]


def test_three_rises_in_four_are_too_few_and_the_start_is_no_rise() -> None:
    """The first window of 100 steps has 22: 17 rises keep the step, 16 halve it."""
    for rises, size in ((17, 2.0), (16, 1.0)):
        losses = torch.cat([torch.arange(rises + 1.0), torch.arange(rises - 1.0, -200.0, -1.0)])
        assert sizes_along(losses[:101])[0] == size


def test_a_window_without_a_new_best_halves_unless_the_last_one_did() -> None:
    climbing = torch.arange(23.0)
    below = torch.linspace(0, 1, 78)  # always rising, never to a new best
    assert sizes_along(torch.cat([climbing, below]))[:4] == [2.0, 1.0, 1.0, 0.5]


@pytest.mark.parametrize("keep", [[True, False, True], [False, False, True]])
def test_examples_that_leave_take_their_step_sizes_along(keep: list[bool]) -> None:
    paths = torch.tensor([[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 2.0, 3.0], [3.0, 4.0, 5.0, 9.0]])
    whole, part = Pace(torch.arange(3)), Pace(torch.arange(3))
    stay = torch.tensor(keep)
    for step, loss in enumerate(paths.T):
        whole.see(loss)
        part.see(loss if step < 2 else loss[stay])
        if step == 1:
            part.keep(stay)
    assert torch.equal(part.halve(3), whole.halve(3)[stay])
    assert torch.equal(part.size, whole.size[stay])


def edge_optimum(model: Linear, x: Tensor, y: Tensor, norm: str) -> Tensor:
    """The smallest eps at which a point of ball and box is misclassified, by bisection on eps.

    For a linear gap with weights w, the best point of the ball moves each pixel by eps in
    L-infinity, by t |w| in L2 (t from a second bisection), and no pixel beyond the box.
    """
    weight, flat = model.layer.weight.double(), x.flatten(1).double()
    logits = flat @ weight.T
    optimum = torch.full((len(x),), torch.inf, dtype=torch.float64)
    for target in range(logits.shape[1]):
        slope = weight[target] - weight[y]
        need = logits.gather(1, y[:, None])[:, 0] - logits[:, target]
        room = torch.where(slope > 0, 1 - flat, flat)
        speed = torch.ones_like(slope) if norm == "linf" else slope.abs()
        low, high = torch.zeros(len(x), 1).double(), torch.full((len(x), 1), 1e4).double()
        for _ in range(80):
            middle = (low + high) / 2
            gained = (slope.abs() * torch.minimum(middle * speed, room)).sum(1) >= need
            low = torch.where(gained[:, None], low, middle)
            high = torch.where(gained[:, None], middle, high)
        moved = torch.minimum(high * speed, room)
        gained = (slope.abs() * moved).sum(1) >= need - 1e-9
        size = moved.amax(1) if norm == "linf" else moved.square().sum(1).sqrt()
        optimum = torch.where(gained & (target != y), torch.minimum(optimum, size), optimum)
    return optimum


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_linear_networks_fall_at_the_optimum_of_ball_and_box(norm: str, classes: int) -> None:
    """Images of black and white pixels mostly: each can move one way only."""
    generator = torch.Generator().manual_seed(3)
    model = Linear(classes, (1, 8, 8))
    x = (torch.rand(60, 1, 8, 8, generator=generator) * 1.6 - 0.3).clamp(0, 1)
    y = model(x).argmax(1)
    optimum = edge_optimum(model, x, y, norm)
    free = model.optimum(x, y, norm)
    chosen = (optimum.isfinite() & (optimum > 1.05 * free)).nonzero()[:24, 0]
    assert len(chosen) >= 12
    for scale, breaks in ((1.02, True), (0.999, False)):
        eps = scale * optimum[chosen].float().view(-1, 1, 1, 1)
        threat = ThreatModel(norm, eps)
        found = apgd(model, x[chosen], y[chosen], threat, keys=chosen, targets=9, steps=60)
        assert (is_broken(model(found), y[chosen]) == breaks).all()


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.08), ("linf", 0.12), ("l2", 0.6)])
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_it_is_as_strong_as_pgd_at_equal_passes(norm: str, eps: float, loss: str) -> None:
    _, _, x, y = digits()
    model, keys = trained(), torch.arange(len(x))
    threat = ThreatModel(norm, eps)
    ours, plain = (
        is_broken(model(attack(model, x, y, threat, keys=keys, steps=50, loss=loss)), y)
        for attack in (apgd, pgd)
    )
    assert ours.sum() >= plain.sum() - 2


def test_a_run_that_breaks_nothing_costs_a_backward_pass_a_step() -> None:
    _, _, x, y = digits()
    oracle = Oracle(trained())
    right = (trained()(x).argmax(1) == y).nonzero()[:5, 0]
    apgd(oracle, x[right], y[right], ThreatModel("linf", 1e-4), keys=right, steps=20)
    forwards, backwards = oracle.passes(right)
    assert forwards.tolist() == [21] * 5
    assert backwards.tolist() == [20] * 5


def test_the_ratio_breaks_nearly_what_the_margin_breaks() -> None:
    """It is the margin, divided: the spread turns a gradient a little and takes nothing away."""
    _, _, x, y = digits()
    model, x, y, keys = trained(), x[:180], y[:180], torch.arange(180)
    for eps in (0.06, 0.12):
        ratio, plain = (
            is_broken(
                model(apgd(model, x, y, ThreatModel("linf", eps), keys=keys, steps=20, loss=loss)),
                y,
            )
            for loss in ("dlr", "margin")
        )
        assert 20 < plain.sum() < 160
        assert ratio.sum() >= 0.93 * plain.sum(), (eps, ratio.sum(), plain.sum())


class Scaled(nn.Module):
    """The same decisions with logits so large that float32 cross-entropy has no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return 1e4 * trained()(x)


def test_ratios_of_logits_do_not_saturate() -> None:
    _, _, x, y = digits()
    keys, threat = torch.arange(len(x)), ThreatModel("linf", 0.1)
    for given in ({"loss": "dlr"}, {"targets": 2}):
        plain, scaled = (
            is_broken(model(apgd(model, x, y, threat, keys=keys, steps=20, **given)), y)
            for model in (trained(), Scaled())
        )
        assert abs(int(plain.sum()) - int(scaled.sum())) <= 2


def test_a_thousand_classes_have_targets() -> None:
    model = Linear(1000, (1, 8, 8))
    x = 0.5 + 0.05 * torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    y = model(x).argmax(1)
    eps = 1.02 * model.optimum(x, y, "l2").float().view(-1, 1, 1, 1)
    found = apgd(model, x, y, ThreatModel("l2", eps), keys=y, steps=30, targets=20)
    assert is_broken(model(found), y).all()


def test_the_targeted_ratio_is_the_published_one() -> None:
    logits = torch.tensor([[3.0, 7.0, 1.0, 0.0, 2.0]])
    found = targeted_dlr(logits, torch.tensor([1]), torch.tensor([2]))
    assert torch.allclose(found, torch.tensor([(1 - 7) / (7 - (2 + 1) / 2)]))


def test_a_random_step_changes_where_the_gradient_is_asked() -> None:
    """R+FGSM spends half of the budget at random: other images, each inside the ball."""
    _, _, x, y = digits()
    keys, model = torch.arange(100), trained()
    for norm, eps in (("linf", 0.1), ("l2", 0.6), ("l1", 2.0)):
        threat = ThreatModel(norm, eps)
        plain = fgsm(model, x[:100], y[:100], threat, keys=keys)
        first, second = (
            fgsm(model, x[:100], y[:100], threat, keys=keys, seed=seed, random_start=True)
            for seed in (0, 1)
        )
        assert ((first != second).flatten(1).any(1) & (first != plain).flatten(1).any(1)).all()
        assert (threat.distance(first, x[:100]) <= eps + 1e-6).all()
