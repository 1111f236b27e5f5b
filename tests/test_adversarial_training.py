"""What networks are trained against: PGD, FGSM with its guard, TRADES; and overfitting, told."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from attacks.threat import ThreatModel
from pipeline.base.networks import new_network
from pipeline.training.adversary import Adversary
from pipeline.training.fit import Fitted, fit
from pipeline.training.images import Images
from pipeline.training.overfitting import collapse, robustness
from pipeline.training.perturb import perturb
from pipeline.training.selection import Selection
from training import CPU, made_up, recipe

TRAIN, VALIDATION = made_up(150), made_up(60, seed=1)
LINF = {"norm": "linf", "eps": 0.1}
METHODS: dict[str, dict[str, Any]] = {
    "pgd": {"method": "pgd", "steps": 3},
    "fgsm": {"method": "fgsm", "guard": "stop"},
    "trades": {"method": "trades", "steps": 3, "beta": 6.0},
}


def trained(**changes: Any) -> tuple[Fitted, nn.Module]:
    wanted = recipe(**changes)
    model, _ = new_network(wanted, TRAIN, "k")
    return fit(model, TRAIN, VALIDATION, wanted, device=CPU, name="test", keys="k"), model


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("method", METHODS)
def test_each_method_makes_a_network_withstand_more(method: str, norm: str) -> None:
    threat = {"norm": norm, "eps": {"linf": 0.25, "l2": 1.5}[norm]}
    plain, _ = trained(epochs=1)
    assert plain.robustness is None
    x, y = Images(VALIDATION, CPU).batch(slice(None))
    left = []
    for adversarial in (None, METHODS[method] | threat):
        _, model = trained(epochs=6, adversarial=adversarial)
        ball = ThreatModel(norm, threat["eps"])
        x_adv = perturb(model, x, y, ball, 20, generator())
        left.append(float((model(x_adv).argmax(1) == y).float().mean()))
    assert left[1] > left[0] + 0.1


def test_the_loss_of_trades_by_hand() -> None:
    wanted = recipe(adversarial=METHODS["trades"] | LINF)
    model, _ = new_network(wanted, TRAIN, "k")
    adversary = Adversary.of(wanted)
    assert adversary is not None
    x, y = Images(TRAIN, CPU).batch(slice(20))
    model.train()
    loss, logits = adversary.loss(model, x, y, 1.0, generator())
    assert model.training and all(p.requires_grad for p in model.parameters())

    clean = model(x)
    assert not torch.equal(logits, clean)
    p, q = clean.softmax(1), logits.softmax(1)
    divergence = (p * (p.log() - q.log())).sum(1).mean()
    expected = cross_entropy(clean, y) + 6.0 * divergence
    torch.testing.assert_close(loss, expected)
    # The search maximizes that divergence, so that it beats random noise of the same size.
    noise = (x + 0.1 * torch.randn(x.shape, generator=generator()).sign()).clamp(0, 1)
    at_random = (p * (p.log() - model(noise).log_softmax(1))).sum(1).mean()
    assert divergence > 2 * at_random
    gradient = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    by_hand = torch.autograd.grad(expected, list(model.parameters()))
    for one, other in zip(gradient, by_hand, strict=True):
        torch.testing.assert_close(one, other)


def test_fgsm_takes_one_step_of_five_quarters_of_eps() -> None:
    wanted = recipe(adversarial=METHODS["fgsm"] | LINF, architecture="linear")
    model, _ = new_network(wanted, TRAIN, "k")
    adversary = Adversary.of(wanted)
    assert adversary is not None
    x, y = Images(TRAIN, CPU).batch(slice(20))
    _, logits = adversary.loss(model, x, y, 1.0, generator())
    start = adversary.threat.project(
        x + 0.1 * (2 * torch.rand(x.shape, generator=generator()) - 1), x
    ).requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(model(start), y, reduction="sum"), start)
    stepped = (start + 0.125 * gradient.sign()).clamp(x - 0.1, x + 0.1).clamp(0, 1)
    torch.testing.assert_close(logits, model(stepped))


def rows(*accuracies: tuple[float, float]) -> list[dict[str, Any]]:
    return [
        {"epoch": epoch, "validation_robust_acc": robust, "validation_one_step_acc": one_step}
        for epoch, (robust, one_step) in enumerate(accuracies, 1)
    ]


def test_catastrophic_overfitting_is_told_from_a_bad_epoch() -> None:
    good = [(0.2, 0.3), (0.4, 0.5), (0.38, 0.5)]
    assert collapse(rows(*good)) is None
    assert collapse(rows(*good, (0.1, 0.2))) is None  # both are low: learning, too fast
    assert collapse(rows(*good, (0.1, 0.9), (0.0, 0.9))) == {
        "epoch": 4,
        "best_epoch": 2,
        "best": 0.4,
        "robust_acc": 0.1,
        "one_step_acc": 0.9,
    }
    assert collapse(rows((0.0, 0.6), (0.0, 0.9))) is None  # nothing was lost
    assert collapse([{"epoch": 1, "validation_robust_acc": 0.5}]) is None  # not one step


def test_robust_overfitting_is_best_and_last() -> None:
    found = robustness(rows((0.2, 0.3), (0.6, 0.7), (0.5, 0.7)), images=60)
    assert (found["best"], found["best_epoch"]) == (0.6, 2)
    assert (found["last"], found["last_epoch"], found["images"]) == (0.5, 3, 60)


def test_epochs_of_a_rising_threat_count_beside_no_later_one() -> None:
    adversarial = {"method": "pgd", "steps": 1, "warm_up": 0.5} | LINF
    wanted = recipe(epochs=6, select="best", adversarial=adversarial)
    model = nn.Linear(2, 2)
    selection = Selection(wanted, judged=True)
    history = rows((0.5, 0.5), (0.9, 0.9), (0.6, 0.6), (0.7, 0.7), (0.8, 0.8), (0.8, 0.8))
    for row, kept in zip(history, (1, 2, 2, 4, 5, 6), strict=True):
        selection.consider(row, model)
        assert selection.epoch == kept
    found = robustness(history, images=60, rising=3)
    assert (found["best"], found["best_epoch"]) == (0.8, 6)


@pytest.mark.parametrize(
    ("guard", "select", "epochs", "kept"),
    [("stop", "last", 4, 3), ("tell", "last", 6, 6), ("tell", "best", 6, 3)],
)
def test_the_guard_stops_or_tells(
    guard: str, select: str, epochs: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([(0.2, 0.3), (0.4, 0.5), (0.4, 0.5), (0.0, 0.9), (0.0, 0.9), (0.1, 0.9)])
    seen: list[torch.Tensor] = []

    def scripted(self: Adversary, model: nn.Module, images: Images) -> dict[str, float]:
        robust, one_step = next(told)
        seen.append(next(model.parameters()).detach().clone())
        return {"validation_robust_acc": robust, "validation_one_step_acc": one_step}

    monkeypatch.setattr(Adversary, "watch", scripted)
    adversarial = {"method": "fgsm", "guard": guard} | LINF
    fitted, model = trained(epochs=6, select=select, adversarial=adversarial)
    assert len(fitted.history) == epochs and fitted.selected_epoch == kept
    assert torch.equal(next(model.parameters()), seen[kept - 1])
    assert fitted.robustness is not None and fitted.robustness["collapse"]["epoch"] == 4


def test_a_network_trained_against_one_step_is_probed_with_more() -> None:
    fitted, _ = trained(epochs=2, adversarial={"method": "fgsm", "guard": "tell"} | LINF)
    for row in fitted.history:
        assert row["validation_robust_acc"] <= row["validation_one_step_acc"]
