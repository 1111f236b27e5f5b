"""What a GPU computes otherwise than a CPU: bfloat16, channels last, compiled; here on the CPU."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.base.networks import new_network, save_network
from pipeline.base.splits import Split
from pipeline.training.execution import Execution
from pipeline.training.fit import Fitted, fit
from training import CPU, made_up, recipe

CHANNELS_LAST = torch.channels_last
GPU = Execution(torch.bfloat16, CHANNELS_LAST)
COMPILED = Execution(compiler="eager")  # traced like any other, but not translated


def colour(count: int) -> Split:
    split = made_up(count)
    return dataclasses.replace(split, x=split.x.repeat(3, axis=1))


TRAIN = colour(120)
RECIPES: dict[str, dict[str, Any]] = {
    "pgd in l2": {"adversarial": {"norm": "l2", "eps": 1.0, "steps": 2}},
    "trades": {
        "adversarial": {"method": "trades", "norm": "linf", "eps": 0.1, "steps": 2, "beta": 6.0}
    },
    "hinge": {"loss": "hinge", "adversarial": {"norm": "linf", "eps": 0.1, "steps": 2}},
    "mixup": {"augmentation": {"scheme": "light", "mixup": 0.4, "cutout": 2}, "flip": True},
    "frozen": {"frozen": True},
}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("start") / "network.pt"
    asked = recipe(architecture="cnn", epochs=2)
    model, settings = new_network(asked, TRAIN, "k")
    fit(model, TRAIN, None, asked, device=CPU, name="start", keys="k")
    save_network(path, model, settings)
    return path


def trained(
    changes: dict[str, Any], start: Path, device: torch.device = CPU
) -> tuple[Fitted, nn.Module, set[tuple[Any, ...]]]:
    """Also what its second convolution met: dtype, memory layout of images and of weights."""
    weights = str(start) if changes.get("frozen") else None
    asked = recipe(architecture="cnn", weights=weights, epochs=1, lr=0.01, **changes)
    model, _ = new_network(asked, TRAIN, "k")
    convolution = [module for module in model.modules() if isinstance(module, nn.Conv2d)][1]
    met = set()

    def look(module: nn.Module, given: tuple[torch.Tensor], result: torch.Tensor) -> None:
        last = [x.is_contiguous(memory_format=CHANNELS_LAST) for x in (*given, module.weight)]
        met.add((result.dtype, *last))

    convolution.register_forward_hook(look)
    fitted = fit(model, TRAIN, None, asked, device=device, name="test", keys="k")
    return fitted, model, met


def use(execution: Execution, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Execution, "on", classmethod(lambda cls, device, compiled: execution))


def test_only_a_gpu_computes_otherwise_and_compiles_where_asked() -> None:
    assert Execution.on(CPU, compiled=True) == Execution()
    on_gpu = [Execution.on(torch.device("cuda"), compiled=asked) for asked in (False, True)]
    assert on_gpu == [GPU, dataclasses.replace(GPU, compiler="inductor")]


@pytest.mark.parametrize("name", RECIPES)
def test_bfloat16_and_channels_last_learn_the_same_but_for_rounding(
    name: str, start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _, met = trained(RECIPES[name], start)
    assert met == {(torch.float32, False, False)}
    use(GPU, monkeypatch)
    rounded, model, met = trained(RECIPES[name], start)
    assert met == {(torch.bfloat16, True, True)}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    (before,), (after,) = plain.history, rounded.history
    assert before["loss"] != after["loss"] == pytest.approx(before["loss"], rel=0.05)


@pytest.mark.parametrize("name", RECIPES)
def test_a_compiled_network_learns_the_same(
    name: str, start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, plain, _ = trained(RECIPES[name], start)
    use(COMPILED, monkeypatch)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        _, traced, _ = trained(RECIPES[name], start)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(traced.state_dict()[key], value, msg=key)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", RECIPES)
def test_on_a_gpu(name: str, compiled: bool, start: Path) -> None:
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    device = torch.device("cuda")
    fitted, model, met = trained(RECIPES[name] | {"compile": compiled}, start, device)
    assert compiled or met == {(torch.bfloat16, True, True)}
    assert {p.device.type for p in model.parameters()} == {"cuda"}
    plain, _, _ = trained(RECIPES[name], start)
    assert fitted.history[0]["loss"] == pytest.approx(plain.history[0]["loss"], rel=0.05)
    for state, now in zip(before, (torch.get_rng_state(), torch.cuda.get_rng_state()), strict=True):
        assert torch.equal(state, now)
