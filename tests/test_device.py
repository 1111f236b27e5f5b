"""Where the work runs: a GPU of NVIDIA or the CPU, and never where float64 is missing."""

from __future__ import annotations

import pytest
import torch

from pipeline.base.device import choose_device
from pipeline.base.errors import UserError
from pipeline.base.generators import generator_states, own_generators, set_generator_states


@pytest.mark.parametrize(("cuda", "chosen"), [(True, "cuda"), (False, "cpu")])
def test_cuda_is_chosen_where_it_is_else_the_cpu_and_never_mps(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, chosen: str
) -> None:
    monkeypatch.delenv("EPSBALL_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device().type == chosen


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mps", "float64, which mps lacks; allowed here: cpu"),
        ("cuda:99", "this machine has none; allowed here: cpu"),
        ("gpu", "not a device of torch; allowed here: cpu"),
    ],
)
def test_a_device_that_cannot_be_had_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setenv("EPSBALL_DEVICE", name)
    with pytest.raises(UserError, match=f"EPSBALL_DEVICE={name}: .*{told}"):
        choose_device()
    monkeypatch.setenv("EPSBALL_DEVICE", "cpu")
    assert choose_device().type == "cpu"


def test_a_seed_governs_the_gpu_that_is_named_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "default_generators", gpus)
    everywhere = (torch.default_generator, *gpus)
    before = [generator.get_state() for generator in everywhere]
    for name, number in (("cuda:1", 1), ("cuda:0", 0), ("cuda", 0)):
        device = torch.device(name)
        with own_generators(device, 5):
            seeds = [generator.initial_seed() for generator in gpus]
            assert seeds == [5 if number == each else each + 1 for each in (0, 1)]
            drawn = torch.rand(3, generator=gpus[number])
            states = generator_states(device)
            after = torch.rand(3, generator=gpus[number])
            set_generator_states(device, states)
            assert torch.equal(torch.rand(3, generator=gpus[number]), after)
            assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(5)))
        for generator, state in zip(everywhere, before, strict=True):
            assert torch.equal(generator.get_state(), state)
