"""Optimizers, schedules, initial weights, losses, penalties and early stopping."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.base.networks import new_network
from pipeline.training.fit import Fitted, fit
from pipeline.training.losses import loss_of
from pipeline.training.optimizer import add_l1_penalty, optimizer_for
from pipeline.training.schedule import learning_rate
from training import CPU, made_up, recipe

TRAIN, VALIDATION = made_up(150), made_up(60, seed=1)


def trained(**changes: Any) -> Fitted:
    wanted = recipe(**changes)
    model, _ = new_network(wanted, TRAIN, "k")
    return fit(model, TRAIN, VALIDATION, wanted, device=CPU, name="test", keys="k")


def rates(steps: int = 100, **changes: Any) -> np.ndarray:
    wanted = recipe(lr=2.0, **changes)
    return np.array([learning_rate(wanted, step, steps) for step in range(steps)])


def test_schedules_that_end_at_zero() -> None:
    cosine, one_cycle = rates(schedule="cosine"), rates(schedule="one_cycle")
    assert (np.diff(cosine) < 0).all() and cosine[0] > 1.99 and cosine[-1] < 0.01
    assert 28 <= one_cycle.argmax() <= 31 and one_cycle.max() > 1.95
    assert one_cycle[0] < 0.1 and one_cycle[-1] < 0.01
    assert np.array_equal(rates(schedule="cosine", warm_up=0.3), one_cycle)


def test_schedules_by_epoch_are_those_of_torch() -> None:
    from torch.optim import lr_scheduler

    epochs, per_epoch = 10, 7
    pairs = {
        ("step", 0.1, (0.5, 0.75)): lambda o: lr_scheduler.MultiStepLR(o, [5, 8], gamma=0.1),
        ("exponential", 0.95, None): lambda o: lr_scheduler.ExponentialLR(o, gamma=0.95),
        ("inverse", 0.5, None): lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + 0.5 * t)),
    }
    for (schedule, decay, milestones), theirs in pairs.items():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
        scheduler, expected = theirs(optimizer), []
        for _ in range(epochs):
            expected.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        found = rates(
            epochs * per_epoch,
            epochs=epochs,
            schedule=schedule,
            lr_decay=decay,
            lr_milestones=milestones,
        )
        # At epoch 7.5 of 10 the milestone 0.75 falls within an epoch.
        whole = [epoch for epoch in range(epochs) if (schedule, epoch) != ("step", 7)]
        ours = found.reshape(epochs, per_epoch)
        assert np.allclose(ours[whole], np.array(expected)[whole, None]), schedule


@pytest.mark.parametrize("schedule", ["constant", "step", "exponential", "inverse", "cosine"])
def test_warm_up_rises_in_a_straight_line_and_ends_at_the_schedule(schedule: str) -> None:
    decay = {} if schedule in ("constant", "cosine") else {"lr_decay": 0.5}
    decay |= {"lr_milestones": [0.6]} if schedule == "step" else {}
    plain = rates(schedule=schedule, epochs=1, **decay)
    warm = rates(schedule=schedule, epochs=1, warm_up=0.2, **decay)
    assert np.allclose(warm[:20], 2.0 * (np.arange(20) + 0.5) / 20)
    if schedule != "cosine":  # whose fall begins where the rise ends
        assert np.array_equal(warm[20:], plain[20:])


TORCHS = {
    "sgd": ({"momentum": 0.0}, lambda p: torch.optim.SGD(p, 0.05)),
    "momentum": (
        {"optimizer": "sgd", "momentum": 0.8, "nesterov": False},
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.8),
    ),
    "nesterov": (
        {"optimizer": "sgd", "momentum": 0.8},
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.8, nesterov=True),
    ),
    "rmsprop": ({"momentum": 0.8}, lambda p: torch.optim.RMSprop(p, 0.05, momentum=0.8)),
    "adagrad": ({}, lambda p: torch.optim.Adagrad(p, 0.05)),
    "adam": ({}, lambda p: torch.optim.Adam(p, 0.05)),
    "adamw": ({}, lambda p: torch.optim.AdamW(p, 0.05, weight_decay=0)),
}


@pytest.mark.parametrize("name", TORCHS)
def test_each_optimizer_moves_as_that_of_torch(name: str) -> None:
    changes, theirs = TORCHS[name]
    wanted = recipe(**{"optimizer": name, "lr": 0.05, "architecture": "linear"} | changes)
    model, _ = new_network(wanted, TRAIN, "k")
    twin = copy.deepcopy(model)
    pairs = [(model, optimizer_for(model, wanted)), (twin, theirs(twin.parameters()))]
    x = torch.rand(9, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for _ in range(4):
        for network, optimizer in pairs:
            optimizer.zero_grad()
            network(x).square().sum().backward()
            optimizer.step()
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_initial_weights_have_the_variance_of_the_paper() -> None:
    for name, variance in (("xavier", 2 / (512 + 512)), ("he", 2 / 512)):
        model, _ = new_network(recipe(architecture="mlp", initialization=name), TRAIN, "k")
        weights = {tuple(p.shape): p for p in model.parameters() if p.ndim == 2}
        found = float(weights[512, 512].detach().var())
        assert found == pytest.approx(variance, rel=0.02), name
        assert all(not p.any() for p in model.parameters() if p.ndim == 1)
    kept, _ = new_network(recipe(architecture="mlp"), TRAIN, "k")
    assert any(p.any() for p in kept.parameters() if p.ndim == 1)


def test_the_hinge_loss_by_hand() -> None:
    logits, y = torch.tensor([[2.0, 1.5, -1.0], [0.0, 3.0, 0.5]]), torch.tensor([0, 2])
    found = loss_of(recipe(loss="hinge"))(logits, y)
    by_hand = ((1 + 1.5 - 2.0) + 0 + (1 + 0.0 - 0.5) + (1 + 3.0 - 0.5)) / 3 / 2
    assert float(found) == pytest.approx(by_hand)
    assert trained(loss="hinge", epochs=4).history[-1]["validation_acc"] > 0.95


def test_the_l1_penalty_is_that_of_autograd_and_makes_weights_small() -> None:
    model, _ = new_network(recipe(), TRAIN, "k")
    penalized = sum(p.abs().sum() for p in model.parameters() if p.ndim > 1)
    expected = torch.autograd.grad(0.01 * penalized, model.parameters(), allow_unused=True)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    add_l1_penalty(optimizer_for(model, recipe()), 0.01)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        wanted = torch.zeros_like(parameter) if gradient is None else gradient
        torch.testing.assert_close(parameter.grad, wanted)

    frozen = next(model.parameters())
    frozen.grad = None
    add_l1_penalty(optimizer_for(model, recipe()), 0.01)
    assert frozen.grad is None

    def size(penalty: float) -> float:
        wanted = recipe(l1_penalty=penalty)
        model, _ = new_network(wanted, TRAIN, "k")
        fit(model, TRAIN, None, wanted, device=CPU, name="test", keys="k")
        return float(sum(p.detach().abs().sum() for p in model.parameters() if p.ndim > 1))

    assert size(0.01) < size(0.0) / 2


def test_early_stopping_waits_for_patience_and_keeps_the_best() -> None:
    # So easy that accuracy is perfect early and cannot become better.
    fitted = trained(epochs=40, patience=3, select="best", schedule="constant")
    values = [row["validation_acc"] for row in fitted.history]
    best = values.index(1.0) + 1
    assert len(values) == best + 3 < 40
    assert fitted.selected_epoch == best + 3  # among equals the later
    assert len(trained(epochs=8, select="best", schedule="constant").history) == 8


def test_early_stopping_of_adversarial_training_begins_when_eps_has_risen() -> None:
    against = {"norm": "linf", "eps": 0.9, "steps": 1, "warm_up": 0.5}  # not to be withstood
    fitted = trained(epochs=12, patience=1, select="best", lr=0.001, adversarial=against)
    assert len(fitted.history) >= 8
    told = [row["validation_robust_acc"] for row in fitted.history[6:]]
    assert max(told[:-1]) >= told[-1]


def test_an_augmentation_that_the_images_cannot_take_is_told_before_training() -> None:
    """Where the images of a folder were not known when the configuration was checked."""
    with pytest.raises(UserError) as error:
        trained(augmentation={"scheme": "light", "color": 0.5, "cutout": 8})
    assert "k.augmentation.color: the images are grey" in str(error.value)
    assert "k.augmentation.cutout: 8 pixels" in str(error.value)


def test_mixup_cutout_and_label_smoothing_learn_together_and_under_attack() -> None:
    for adversarial in (None, {"norm": "l2", "eps": 0.3, "steps": 2}):
        fitted = trained(
            epochs=8,
            augmentation={"scheme": "none", "cutout": 2, "mixup": 0.4},
            label_smoothing=0.1,
            adversarial=adversarial,
        )
        assert fitted.history[-1]["validation_acc"] > 0.95
