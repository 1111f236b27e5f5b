"""torch's global generators, borrowed: dropout and initial weights have no other source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def own_generators(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the global generators of the CPU and of `device`, and put them back afterwards."""
    before = generator_states(device)
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
    try:
        yield
    finally:
        set_generator_states(device, before)


def generator_states(device: torch.device) -> list[Tensor]:
    """The states of the CPU's and, if it is another, the device's global generator."""
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        states.append(torch.get_device_module(device).get_rng_state())
    return states


def set_generator_states(device: torch.device, states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states[1])
