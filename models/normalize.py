"""Normalization as the first layer, so that attacks and ε are always in pixel units."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """(x - mean) / std per channel, with fixed numbers: (N, C, H, W) to the same shape."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if min(std) <= 0:
            raise ValueError(f"std must be positive, not {list(std)}")
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("scale", 1 / torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) * self.scale


def _per_channel(name: str, value: float | Sequence[float], channels: int) -> list[float]:
    values = [float(value)] * channels if isinstance(value, int | float) else list(value)
    if len(values) != channels:
        raise ValueError(f"{name} has {len(values)} values for {channels} channels")
    return values


def normalized(
    network: nn.Module,
    channels: int,
    mean: float | Sequence[float],
    std: float | Sequence[float],
) -> nn.Module:
    """`network` with `Normalize` in front; ValueError if the numbers do not fit the channels."""
    normalize = Normalize(_per_channel("mean", mean, channels), _per_channel("std", std, channels))
    return nn.Sequential(OrderedDict(normalize=normalize, network=network))
