"""Where the work runs: a GPU of NVIDIA or the CPU, and never where float64 is missing."""

from __future__ import annotations

import pytest
import torch

from pipeline.base.device import choose_device
from pipeline.base.errors import UserError


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
