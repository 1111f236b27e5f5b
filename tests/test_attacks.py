"""Every attack and noise of the registry, whatever is added: invariants and known optima."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from attacks import evaluate, registry
from attacks.geometry import threat_of
from attacks.losses import is_broken
from attacks.oracle import Oracle
from attacks.registry import ATTACKS, L_NORMS, NOISE, Entry, load
from attacks.threat import ThreatModel
from networks import Linear, digits, near_boundary, trained

EPS = {
    **{"linf": 0.15, "l2": 0.8, "l1": 4.0},
    **{"rotation": 20.0, "translation": 0.1, "rigid": 0.4, "brightness": 0.4, "contrast": 0.7},
}
# The perturbation of a linear network at which an attack must succeed, over the optimum.
FACTOR = {
    "fgsm": 1.02,
    "pgd": 1.1,
    "apgd": 1.02,
    "apgd_l1": 1.02,
    "square": 1.5,
    "multitargeted": 1.02,
    "ddn": 1.02,
    "deepfool": 1.05,
    "fab": 1.02,
    "cw": 1.02,
    "fmn": 1.02,
}
# An untargeted loss need not head for the nearest boundary; one of the targets does.
SETTINGS = {
    "square": {"restarts": 4},  # one run in fifty gets stuck
    "pgd": {"targets": 9},
    "apgd": {"targets": 9},
    "apgd_l1": {"targets": 9},
    "fab": {"steps": 30, "targets": 9, "restarts": 1},
    "cw": {"steps": 40, "rounds": 3},
    "ddn": {"steps": 60, "classes": 9},
    "fmn": {"steps": 50, "classes": 9},
}
# Invariants hold after few steps as after many.
QUICK = {
    "multitargeted": {"steps": 6, "targets": 3, "restarts": 2},
    "square": {"queries": 200},
    "apgd_l1": {"steps": 20},
    "fab": {"steps": 6, "targets": 2, "restarts": 2},
    "cw": {"steps": 10, "rounds": 2, "scouting": 2},
    "ddn": {"steps": 30, "classes": 3},
    "fmn": {"steps": 30, "classes": 3},
}
ENTRIES = ATTACKS | NOISE
CASES = [(name, norm) for name, entry in ENTRIES.items() for norm in entry.norms]
BALL_ATTACKS = [(name, norm) for name, norm in CASES if name in ATTACKS and norm in L_NORMS]


@pytest.fixture(autouse=True)
def _no_graphs() -> Iterator[None]:
    """Attacks turn gradients on where they need them, whatever the caller's setting."""
    with torch.no_grad():
        yield


def call(name: str, x: Tensor, y: Tensor, norm: str, eps: float, model, keys, **given) -> Tensor:
    entry: Entry = ENTRIES[name]
    goal = norm if entry.kind == "minimum" else threat_of(norm, eps, x)
    return load(entry)(model, x, y, goal, keys=keys, **(QUICK.get(name, {}) | given))


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_images_stay_in_ball_and_box_and_are_not_written(name: str, norm: str) -> None:
    _, _, x, y = digits()
    x, y = x[:40].clone(), y[:40]
    before = x.clone()
    found = call(name, x, y, norm, EPS[norm], trained(), torch.arange(40))
    assert torch.equal(x, before)
    threat = threat_of(norm, EPS[norm], x)
    image = threat.image(found, x)
    assert found.shape == threat.unchanged(x).shape
    assert image.shape == x.shape
    assert image.min() >= 0
    assert image.max() <= 1
    if ENTRIES[name].kind != "minimum":
        assert (threat.distance(found, x) <= EPS[norm] + 1e-6).all()


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_batch_size_order_and_subset_change_no_bit(name: str, norm: str) -> None:
    _, _, x, y = digits()
    x, y, keys = x[:45], y[:45], torch.arange(45) * 7
    model = trained()
    whole = call(name, x, y, norm, EPS[norm], model, keys)
    for size in (1, 7):
        parts = [
            call(name, x[i : i + size], y[i : i + size], norm, EPS[norm], model, keys[i : i + size])
            for i in range(0, 45 if size > 1 else 10, size)
        ]
        joined = torch.cat(parts)
        assert torch.equal(joined, whole[: len(joined)]), f"batches of {size} differ"
    order = torch.randperm(45, generator=torch.Generator().manual_seed(0))[:30]
    shuffled = call(name, x[order], y[order], norm, EPS[norm], model, keys[order])
    assert torch.equal(shuffled, whole[order])
    assert torch.equal(call(name, x[:0], y[:0], norm, EPS[norm], model, keys[:0]), whole[:0])


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_the_model_and_the_global_generator_are_left_as_found(name: str, norm: str) -> None:
    _, _, x, y = digits()
    model = trained().train()
    try:
        parameters = [parameter.clone() for parameter in model.parameters()]
        state = torch.get_rng_state()
        call(name, x[:20], y[:20], norm, EPS[norm], model, torch.arange(20))
        assert torch.equal(torch.get_rng_state(), state)
        assert all(module.training for module in model.modules())
        for parameter, before in zip(model.parameters(), parameters, strict=True):
            assert torch.equal(parameter, before)
            assert parameter.grad is None
            assert parameter.requires_grad
        assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())
    finally:
        model.eval()


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 6, 9)])
@pytest.mark.parametrize(("name", "norm"), BALL_ATTACKS)
def test_a_linear_network_falls_at_its_known_distance(
    name: str, norm: str, classes: int, shape: tuple[int, int, int]
) -> None:
    if name == "fgsm" and classes > 2:
        pytest.skip("one step of cross-entropy heads for the nearest class of two alone")
    model = Linear(classes, shape)
    x, y, optimum = near_boundary(model, 24, shape, norm)
    keys, given = torch.arange(len(x)), SETTINGS.get(name, {})
    if ATTACKS[name].kind == "minimum":
        found = call(name, x, y, norm, 0, model, keys, **given)
        assert is_broken(model(found), y).all()
        ratio = ThreatModel(norm, 1.0).distance(found, x) / optimum
        assert ratio.min() >= 1 - 1e-4
        assert ratio.max() <= FACTOR[name], float(ratio.max())
        return
    factor = FACTOR[name]
    for scale, breaks in ((factor, True), (0.999, False)):
        threat = ThreatModel(norm, scale * optimum.float().view(-1, 1, 1, 1))
        effort = given if breaks else given | QUICK.get(name, {})
        found = load(ATTACKS[name])(model, x, y, threat, keys=keys, **effort)
        assert (is_broken(model(found), y) == breaks).all(), scale


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_budget_zero_breaks_nothing_that_was_right(name: str, norm: str) -> None:
    _, _, x, y = digits()
    model = trained()
    right = (model(x).argmax(1) == y).nonzero()[:60, 0]
    found = call(name, x[right], y[right], norm, 0.0, model, right)
    judged = is_broken(model(threat_of(norm, 0.0, x).image(found, x[right])), y[right])
    if ENTRIES[name].kind == "minimum":
        assert (ThreatModel(norm, 1.0).distance(found, x[right])[judged] > 0).all()
    else:
        assert not judged.any()


def test_iterations_beat_a_single_step_and_both_beat_noise() -> None:
    _, _, x, y = digits()
    threat = ThreatModel("linf", 0.15)
    accuracy = {
        name: evaluate(trained(), x, y, threat, name).robust_acc for name in ("fgsm", "pgd")
    }
    oracle = Oracle(trained())
    noisy = load(NOISE["corners"])(oracle, x, y, threat, keys=torch.arange(len(x)))
    noise = float((trained()(noisy).argmax(1) == y).double().mean())
    assert accuracy["pgd"] < accuracy["fgsm"] - 0.02
    assert accuracy["fgsm"] < noise - 0.2


def test_worst_of_many_draws_holds_the_single_draw() -> None:
    _, _, x, y = digits()
    model, keys = trained(), torch.arange(len(x))
    for name, entry in NOISE.items():
        norm = entry.norms[0]
        threat = threat_of(norm, 2 * EPS[norm], x)
        one, many = (
            is_broken(
                model(threat.image(load(entry)(model, x, y, threat, keys=keys, draws=draws), x)), y
            )
            for draws in (1, 30)
        )
        assert (many | ~one).all(), name
        assert many.sum() > one.sum(), name


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_noise_has_the_size_it_claims(norm: str) -> None:
    """On mid-grey images, where the box does not clip."""
    x = torch.full((400, 1, 6, 6), 0.5)
    y, keys = torch.zeros(400, dtype=torch.int64), torch.arange(400)
    threat = ThreatModel(norm, 0.3)
    for name, entry in NOISE.items():
        if norm not in entry.norms:
            continue
        size = threat.distance(load(entry)(trained, x, y, threat, keys=keys), x)
        assert (size <= 0.3 + 1e-6).all()
        if name == "uniform":
            # P(size <= r) = (r / eps)^d, so (size / eps)^d is uniform on [0, 1].
            share = (size / 0.3).double() ** 36
            expected = 0.5
            assert abs(float(share.mean()) - expected) < 5 * (1 / 12 / 400) ** 0.5
        else:
            assert torch.allclose(size, torch.full((400,), 0.3), atol=1e-5)


def test_the_settings_of_every_attack_are_readable_without_running_it() -> None:
    for name, entry in ENTRIES.items():
        settings = registry.settings(entry)
        function = load(entry)
        assert set(settings) == set(function.__kwdefaults__) - {
            "start",
            "closest",
            "nearest",
            "reach",
            "seed",
        }, name
        for key, setting in settings.items():
            assert setting.default == function.__kwdefaults__[key]
