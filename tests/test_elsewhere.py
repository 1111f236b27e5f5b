"""Everything runs on another device than the CPU, and finds there what it finds on the CPU."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks import ThreatModel, Transformation, evaluate
from attacks.beyond.fooling import fool
from attacks.geometry import Threat
from attacks.oracle import Oracle
from attacks.precision import ieee
from attacks.registry import ATTACKS, L_NORMS, NOISE, load
from attacks.views.fast import fast
from elsewhere import DEVICE, SIMULATED, elsewhere, there
from networks import digits, trained
from test_attacks import EPS, QUICK

simulated = pytest.mark.skipif(not SIMULATED, reason="the GPU itself is there")
gpu = pytest.mark.skipif(SIMULATED, reason="no GPU")
CASES = [(name, norm) for name, entry in ATTACKS.items() for norm in entry.norms]
NOISES = [(name, norm) for name, entry in NOISE.items() for norm in entry.norms]
# The thousands of queries of `autoattack` take long.
TOGETHER = [(name, norm) for name in ("standard", "fast") for norm in L_NORMS]

COUNT = 30


def threat(norm: str) -> Threat:
    made = ThreatModel if norm in L_NORMS else Transformation
    return made(norm, EPS[norm])


def alike(one: Tensor, other: Tensor) -> bool:
    """Bit for bit; NaN where the other is."""
    return torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def same(norm: str, ensemble: str | list[dict[str, Any]], signs: int = 0, **given: Any) -> None:
    """The same table and the same images, bit for bit, wherever it is run."""
    given["signs"] = signs
    model, (x, y) = trained(), (each[:COUNT] for each in digits()[2:])
    here = evaluate(model, x, y, threat(norm), ensemble, **given)
    with elsewhere():
        given = {
            name: there(value) if isinstance(value, Tensor) else value
            for name, value in given.items()
        }
        model = copy.deepcopy(model).to(DEVICE)
        found = evaluate(model, there(x), there(y), threat(norm), ensemble, **given)
    assert not found.suite.errors
    for name, column in here.suite.rows.items():
        assert alike(found.suite.rows[name], column), name
    for name, column in vars(here.suite.witnesses).items():
        assert alike(getattr(found.suite.witnesses, name), column), name
    assert found.signs == here.signs


@simulated
def test_the_simulated_device_refuses_what_a_gpu_refuses() -> None:
    with elsewhere():
        x, rows = there(torch.rand(4, 3)), there(torch.tensor([1, 0]))
        made = torch.zeros(4, 3, device=DEVICE) + torch.tensor([1.0, 2, 3], device=DEVICE) + 1
        assert made.device == x.device == DEVICE
        assert torch.equal((x + made).cpu(), x.cpu() + made.cpu())
        assert torch.equal(x[torch.tensor([1, 0])].cpu(), x[rows].cpu())
        for wrong in (
            lambda: x + torch.ones(3),
            lambda: torch.cat([x, torch.ones(1, 3)]),
            lambda: torch.ones(4, 3)[rows],
            lambda: torch.where(x > 0.5, x, torch.zeros(4, 3)),
            lambda: torch.ones(4, 3).mul_(x),
            lambda: x.numpy(),
        ):
            with pytest.raises((RuntimeError, TypeError), match="device"):
                wrong()


@simulated
@pytest.mark.parametrize(("name", "norm"), CASES)
def test_an_attack(name: str, norm: str) -> None:
    same(norm, [{"attack": name, **QUICK.get(name, {})}])


@simulated
@pytest.mark.parametrize(("name", "norm"), TOGETHER)
def test_an_ensemble(name: str, norm: str) -> None:
    same(norm, name)


@simulated
@pytest.mark.parametrize("norm", ["linf", "rigid"])
def test_signs_of_hidden_gradients(norm: str) -> None:
    same(norm, "fgsm" if norm in L_NORMS else "steepest", signs=20)


@simulated
@pytest.mark.parametrize(
    ("norm", "given"),
    [
        ("linf", {"targets": (digits()[3][:COUNT] + 1) % 10}),
        ("linf", {"draws": 3}),
        ("l2", {"levels": 17}),
    ],
)
def test_a_view(norm: str, given: dict[str, Any]) -> None:
    same(norm, "pgd", **given)


@simulated
@pytest.mark.parametrize(("name", "norm"), NOISES)
def test_noise(name: str, norm: str) -> None:
    model, (x, y) = trained(), (each[:COUNT] for each in digits()[2:])
    asked = load(NOISE[name])
    here = asked(Oracle(model), x, y, threat(norm), keys=torch.arange(COUNT), draws=3)
    with elsewhere():
        model, x, y = copy.deepcopy(model).to(DEVICE), there(x), there(y)
        keys = torch.arange(COUNT, device=DEVICE)
        found = asked(Oracle(model), x, y, threat(norm), keys=keys, draws=3)
        assert found.device == DEVICE
    assert torch.equal(found.cpu(), here)


@simulated
def test_fooling_images() -> None:
    target = torch.arange(10)
    here = fool(trained(), target, shape=(1, 8, 8))
    with elsewhere():
        found = fool(copy.deepcopy(trained()).to(DEVICE), there(target), shape=(1, 8, 8))
        assert found.x.device == DEVICE
    assert torch.equal(found.x.cpu(), here.x)


@gpu
@pytest.mark.parametrize(("name", "norm"), CASES + TOGETHER)
def test_on_a_gpu(name: str, norm: str) -> None:
    """Kernels round otherwise there: an image on the boundary may fall."""
    model, (x, y) = trained(), (each[:120] for each in digits()[2:])
    ensemble = name if name in ("standard", "fast") else [{"attack": name, **QUICK.get(name, {})}]
    here = evaluate(model, x, y, threat(norm), ensemble, signs=0)
    model, x, y = copy.deepcopy(model).cuda(), x.cuda(), y.cuda()
    found = evaluate(model, x, y, threat(norm), ensemble, signs=0)
    assert not found.suite.errors
    assert int((found.broken.cpu() != here.broken).sum()) <= 2
    rows = torch.arange(40)
    fewer = evaluate(model, x[:40], y[:40], threat(norm), ensemble, signs=0, keys=rows)
    assert torch.equal(fewer.broken, found.broken[:40])


@gpu
@pytest.mark.parametrize(
    ("precision", "compiled"),
    [("fp32", False), ("fp32", True), ("tf32", False), ("bf16", False), ("bf16", True)],
)
def test_a_faster_copy_on_a_gpu(precision: Any, compiled: bool) -> None:
    """The images it finds broken are so for the model; and it finds as many, but for rounding."""
    model, (x, y) = copy.deepcopy(trained()).cuda(), (each[:120].cuda() for each in digits()[2:])
    plain = evaluate(model, x, y, threat("linf"), "fast", signs=0)
    search = fast(model, precision=precision, compile=compiled)
    found = evaluate(model, x, y, threat("linf"), "fast", search=search)
    assert not found.suite.errors
    assert int((found.broken != plain.broken).sum()) <= 4
    images = found.suite.witnesses
    with torch.no_grad(), ieee():
        assert (model(images.x_adv.cuda()).argmax(1).cpu() != images.label).all()
