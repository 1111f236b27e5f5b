"""Randomized models: gradients in expectation, verdicts by the majority over draws of their own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attacks import ModelError, ThreatModel, evaluate
from attacks.errors import ThreatError
from attacks.losses import gap, margin
from attacks.minimum.boundary import nearest_gap
from attacks.oracle import Oracle
from attacks.registry import UnknownAttackError
from attacks.views.randomized import Randomized
from networks import Linear, digits, near_boundary, trained

SHAPE = (1, 6, 9)


@pytest.fixture(autouse=True)
def _no_graphs() -> Iterator[None]:
    with torch.no_grad():
        yield


class Masked(nn.Module):
    """A linear network that sees each pixel with probability 0.7, drawn anew for each image."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.linear = Linear(classes, SHAPE)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x * (torch.rand_like(x) < 0.7))


class Noisy(nn.Module):
    """A digits network behind noise, drawn for each image or once for a whole pass."""

    def __init__(self, once: bool = False, sigma: float = 0.1) -> None:
        super().__init__()
        self.network, self.once, self.sigma = trained(), once, sigma
        self.images = 0

    def forward(self, x: Tensor) -> Tensor:
        self.images += len(x)
        noise = torch.randn_like(x[:1] if self.once else x)
        return self.network(x + self.sigma * noise)


class Lying(nn.Module):
    """Reads digits, but with some probability says the next class; drawn for each image."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.network, self.probability = trained(), probability

    def forward(self, x: Tensor) -> Tensor:
        logits = self.network(x)
        lies = torch.rand(len(x), 1) < self.probability
        return torch.where(lies, logits.roll(1, dims=1), logits)


def test_the_gradient_is_the_expectation() -> None:
    """Of a linear network behind a random mask: the mask's probability times the weights."""
    model, draws = Masked(), 4000
    x = 0.5 + 0.05 * torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(2))
    y, keys = torch.zeros(3, dtype=torch.int64), torch.arange(3)
    weight = model.linear.layer.weight
    slope = (weight[1] - weight[0]).view(1, *SHAPE)
    seen = Randomized(model, draws).ascent(x, keys, margin, y)
    error = slope.abs() * (0.7 * 0.3 / draws) ** 0.5
    assert ((seen.grad - 0.7 * slope).abs() <= 5 * error).all()
    assert ((seen.grad - 0.7 * slope).abs() > 0.5 * error).any()
    expected = 0.7 * (slope * x).flatten(1).sum(1)
    spread = ((slope * x).flatten(1).square().sum(1) * 0.7 * 0.3 / draws).sqrt()
    assert ((seen.loss - expected).abs() <= 5 * spread).all()


def test_of_several_losses_the_means_are_ranked() -> None:
    model = Masked(classes=5)
    x = 0.5 + 0.05 * torch.randn(20, *SHAPE, generator=torch.Generator().manual_seed(2))
    y, keys = model.linear(x).argmax(dim=1), torch.arange(20)
    targets = torch.stack([(y + k) % 5 for k in (1, 2, 3, 4)], dim=1)
    oracle = Randomized(model, 50)
    best = nearest_gap(oracle, x, keys, y, targets, "l2")
    each = [oracle.ascent(x, keys, gap, y, aim) for aim in targets.T]
    distance = torch.stack([a.loss.abs() / a.grad.flatten(1).norm(dim=1) for a in each])
    nearest = distance.argmin(dim=0)
    assert len(nearest.unique()) > 2
    chosen = torch.stack([a.grad for a in each])[nearest, torch.arange(20)]
    assert torch.equal(best.grad, chosen)


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_linear_network_behind_noise_falls_near_the_distance_of_its_mean(
    norm: str, classes: int
) -> None:
    class Blurred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = Linear(classes, SHAPE)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x + 0.01 * torch.randn_like(x))

    model = Blurred()
    x, y, optimum = near_boundary(model.linear, 3, SHAPE, norm)
    for row in range(len(x)):
        one = slice(row, row + 1)
        results = [
            evaluate(
                model, x[one], y[one], ThreatModel(norm, factor * float(optimum[row])),
                "randomized", draws=20, keys=torch.tensor([row]), signs=0,
            )
            for factor in (2.0, 0.3)
        ]  # fmt: skip
        assert [result.robust_acc for result in results] == [0.0, 1.0], row


def test_a_lucky_draw_does_not_count() -> None:
    _, _, x, y = digits()
    x, y = x[:30], y[:30]
    right = trained()(x).argmax(dim=1) == y
    threat = ThreatModel("linf", 1e-4)  # too small to change an answer
    ensemble = [{"attack": "pgd", "steps": 5, "restarts": 2}, {"attack": "square", "queries": 20}]
    often = evaluate(Lying(0.2), x, y, threat, ensemble, draws=60, signs=0)
    assert torch.equal(~often.broken, right)
    assert often.clean_acc == float(right.double().mean())
    assert (Lying(0.2)(x[right]).argmax(dim=1) != y[right]).any()  # each pass has lucky draws
    # The same with a majority of lies: wrong as it is, with no attack.
    mostly = evaluate(Lying(0.8), x, y, threat, ensemble, draws=60, signs=0)
    assert (mostly.broken & right).sum() == right.sum()
    assert (mostly.suite.rows["forwards"].view(2, -1)[:, right] == 0).all()


def test_the_draws_of_the_judge_are_not_those_of_the_attack() -> None:
    """Where both see half of the draws lie, one majority says nothing of the other."""
    _, _, x, y = digits()
    right = trained()(x).argmax(dim=1) == y
    x, y, keys = x[right][:300], y[right][:300], torch.arange(300)
    oracle = Randomized(Lying(0.5), 3)
    seen = oracle.logits(x, keys).argmax(dim=1) == y
    judged = oracle.judged(x, keys).argmax(dim=1) == y
    assert 90 < seen.sum() < 210
    assert 90 < judged.sum() < 210
    agree = float((seen == judged).double().mean())
    assert abs(agree - 0.5) < 5 * 0.5 / 300**0.5


@pytest.mark.parametrize("once", [False, True])
def test_batch_size_order_and_subset_change_no_bit(once: bool) -> None:
    _, _, x, y = digits()
    x, y, keys, model = x[:14], y[:14], torch.arange(14) * 7, Noisy(once)
    ensemble = [
        {"attack": "apgd", "steps": 6},
        {"attack": "square", "queries": 20},
        {"attack": "deepfool", "steps": 2, "classes": 2},
    ]

    def run(rows: Tensor) -> dict[int, list[str]]:
        threat = ThreatModel("linf", 0.08)
        result = evaluate(
            model, x[rows], y[rows], threat, ensemble, keys=keys[rows], draws=6, signs=0
        )
        found: dict[int, list[str]] = {}
        names = ("index", "outcome", "adv_pred", "distance", "margin", "forwards", "backwards")
        for key, *rest in zip(*(result.suite.rows[n].tolist() for n in names), strict=True):
            found.setdefault(key, []).append(repr(rest))
        return found

    whole = run(torch.arange(14))
    assert len({repr(v) for v in whole.values()}) > 7
    torch.manual_seed(5)  # the global generator is nobody's concern
    for size in (1, 7):
        for begin in range(0, 7, size):
            assert run(torch.arange(begin, begin + size)).items() <= whole.items()
    order = torch.randperm(14, generator=torch.Generator().manual_seed(0))
    assert run(order[:9]).items() <= whole.items()


@pytest.mark.parametrize("once", [False, True])
def test_draws_differ_whether_a_model_draws_for_each_image_or_for_each_pass(once: bool) -> None:
    _, _, x, _ = digits()
    model, draws = Noisy(once, sigma=0.4), 64
    oracle = Randomized(model, draws)
    shares = oracle.judged(x[:40], torch.arange(40)).softmax(dim=1)
    assert (shares.amax(dim=1) < 0.9).sum() > 10  # one draw for all copies would be unanimous
    # A mean over independent draws is this close to a mean over many.
    many = torch.stack([model(x[:40]) for _ in range(400)]).mean(dim=0)
    spread = torch.stack([model(x[:40]) for _ in range(100)]).std(dim=0)
    few = oracle.ascent(x[:40], torch.arange(40), lambda z: z[:, 0]).loss
    error = ((few - many[:, 0]) / spread[:, 0]).square().mean()
    assert error < 2 * (1 / draws + 1 / 400)
    model.images = 0
    oracle.logits(x[:3], torch.arange(3))
    assert model.images == 3 * draws  # passes of one image are not filled up


@pytest.mark.parametrize("once", [False, True])
def test_the_model_and_the_global_generator_are_left_as_found(once: bool) -> None:
    _, _, x, y = digits()
    model = Noisy(once).train()
    try:
        torch.manual_seed(3)
        state = torch.get_rng_state()
        evaluate(
            model, x[:6], y[:6], ThreatModel("linf", 0.1), [{"attack": "apgd", "steps": 3}],
            draws=4, signs=0,
        )  # fmt: skip
        assert torch.equal(torch.get_rng_state(), state)
        assert all(module.training for module in model.modules())
        assert all(parameter.grad is None for parameter in model.parameters())
    finally:
        model.eval()


def test_every_draw_is_counted() -> None:
    _, _, x, y = digits()
    keys = torch.arange(5)
    oracle = Randomized(Noisy(), 12)
    oracle.judged(x[:5], keys)
    oracle.ascent(x[:5], keys, margin, y[:5])
    oracle.logits(x[:5], keys, count=False)
    oracle.charge(keys, forwards=2)
    assert oracle.passes(keys)[0].tolist() == [12 * 4] * 5
    assert oracle.passes(keys)[1].tolist() == [12] * 5


def test_a_deterministic_model_is_judged_as_without_draws() -> None:
    _, _, x, y = digits()
    threat, ensemble = ThreatModel("linf", 0.08), [{"attack": "apgd", "steps": 10}]
    drawn = evaluate(trained(), x[:40], y[:40], threat, ensemble, draws=5, signs=0)
    plain = evaluate(trained(), x[:40], y[:40], threat, ensemble, signs=0)
    assert 0 < plain.broken.sum() < 40
    assert (drawn.broken ^ plain.broken).sum() <= 1  # passes of another shape round otherwise
    assert drawn.draws == 5
    assert "majority over 5 random draws" in str(drawn)
    assert "majority" not in str(plain)


def test_what_answers_at_random_is_refused_until_its_draws_are_told() -> None:
    _, _, x, y = digits()
    threat = ThreatModel("linf", 0.1)
    for model in (Noisy(), Noisy(once=True), Lying(0.2)):
        with pytest.raises(ModelError, match=r"draws=20"):
            evaluate(model, x, y, threat)
    with pytest.raises(UnknownAttackError, match=r"draws=20"):
        evaluate(Noisy(), x, y, threat, "randomized")
    for draws in (1, 0, True, 2.5):
        with pytest.raises(ThreatError, match="draws must be"):
            evaluate(Noisy(), x, y, threat, draws=draws)


@pytest.mark.parametrize("draw", [random.random, np.random.default_rng(0).random])
def test_a_model_whose_draws_cannot_be_repeated_is_refused(draw: Callable[[], float]) -> None:
    class Elsewhere(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return trained()(x) * (1 + draw())

    _, _, x, y = digits()
    with pytest.raises(ModelError, match="another generator than torch's"):
        evaluate(Elsewhere(), x[:5], y[:5], ThreatModel("linf", 0.1), draws=5)


def test_logits_that_are_not_finite_give_no_verdict() -> None:
    class Cracked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            broken = torch.rand(len(x), 1) < 0.5
            return torch.where(broken, torch.nan, trained()(x))

    _, _, x, _ = digits()
    assert Randomized(Cracked(), 20).judged(x[:5], torch.arange(5)).isnan().all()


def test_an_oracle_that_draws_is_one_that_any_attack_takes() -> None:
    assert isinstance(Oracle.of(Randomized(Noisy(), 4)), Randomized)


def test_verdicts_by_majority_are_not_asked_for_their_precision() -> None:
    """One draw in float64 would refute many of them, and a lead in votes is no lead in logits."""
    _, _, x, y = digits()
    result = evaluate(Noisy(), x[:30], y[:30], ThreatModel("linf", 0.15), "fgsm", draws=8)
    assert result.broken.sum() > 3
    asked = [s for s in result.signs if "precision" in s.question or "edge" in s.question]
    assert [sign.status for sign in asked] == ["NOT RUN", "NOT RUN"]
