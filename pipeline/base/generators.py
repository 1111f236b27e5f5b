"""torch's global generators, borrowed: dropout and initial weights have no other source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator, Tensor


@contextmanager
def own_generators(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the global generators of the CPU and of `device`, and put them back afterwards."""
    before = generator_states(device)
    for generator in _generators(device):
        generator.manual_seed(seed)
    try:
        yield
    finally:
        set_generator_states(device, before)


def generator_states(device: torch.device) -> list[Tensor]:
    """The states of the CPU's and, if it is another, the device's global generator."""
    return [generator.get_state() for generator in _generators(device)]


def set_generator_states(device: torch.device, states: list[Tensor]) -> None:
    for generator, state in zip(_generators(device), states, strict=True):
        generator.set_state(state)


def _generators(device: torch.device) -> list[Generator]:
    """By the device's own index: torch.cuda.manual_seed and the like mean the current device."""
    if device.type == "cpu":
        return [torch.default_generator]
    torch.cuda.init()  # before it the list of generators is empty
    index = torch.cuda.current_device() if device.index is None else device.index
    return [torch.default_generator, torch.cuda.default_generators[index]]
