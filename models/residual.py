"""Residual blocks, their shortcuts, and how they follow each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from .parts import convolution


class Place(NamedTuple):
    """Where a block stands: what comes in, what goes out, how far it is dropped."""

    channels_in: int
    channels: int
    stride: int
    drop: float


def places(
    stem: int, widths: Sequence[int], blocks: int, stochastic_depth: float
) -> Iterator[Place]:
    """The blocks of a network in order: so many of each width; each new width halves the image.

    The probability of being dropped rises in a straight line to `stochastic_depth` at the last.
    """
    channels_in, total = stem, blocks * len(widths)
    for number in range(total):
        channels = widths[number // blocks]
        stride = 2 if number % blocks == 0 and number else 1
        yield Place(channels_in, channels, stride, stochastic_depth * (number + 1) / total)
        channels_in = channels


class StochasticDepth(nn.Module):
    """In training, leaves an image's whole branch out with probability p (arXiv 1603.09382).

    Each image is drawn for itself, and what is kept is divided by 1 - p, so that the mean stays.
    The same as torchvision's in mode `row`, whose import would cost a stage two seconds.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = torch.empty(len(x), 1, 1, 1, device=x.device, dtype=x.dtype).bernoulli_(1 - self.p)
        return x * (kept / (1 - self.p))

    def extra_repr(self) -> str:
        return f"p={self.p:g}"


class Padded(nn.Module):
    """Shortcut without parameters: every stride-th pixel, new channels of zeros (option A)."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.stride, self.extra = place.stride, place.channels - place.channels_in

    def forward(self, x: Tensor) -> Tensor:
        before = self.extra // 2
        x = x[:, :, :: self.stride, :: self.stride]
        return pad(x, (0, 0, 0, 0, before, self.extra - before))


def changes(place: Place) -> bool:
    """Does the block change the image's size or channels, so that an identity does not fit?"""
    return place.stride != 1 or place.channels_in != place.channels


def past(kind: str, place: Place) -> nn.Module | None:
    """The shortcut past a block: None for kind `none`, an identity wherever that fits, else a
    1x1 `projection` (option B of the paper) or `padding` (option A)."""
    if kind == "none":
        return None
    if not changes(place):
        return nn.Identity()
    if kind == "padding":
        return Padded(place)
    return nn.Sequential(
        *convolution(place.channels_in, place.channels, 1, place.stride, activation=None)
    )


class Residual(nn.Module):
    """activation(body(x) + shortcut(x)), or activation(body(x)) without a shortcut."""

    def __init__(
        self, body: nn.Module, shortcut: nn.Module | None, activation: nn.Module, drop: float
    ) -> None:
        super().__init__()
        self.body, self.shortcut, self.activation = body, shortcut, activation
        self.drop = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        y = self.drop(self.body(x))
        return self.activation(y if self.shortcut is None else y + self.shortcut(x))


class PreActivated(nn.Module):
    """body(a) + x with a = activation(norm(x)) (He et al., 2016, arXiv 1603.05027).

    Where the block changes size or channels it is body(a) + projection(a): the 1x1 convolution
    sees the activated input, as in the paper and in Wide ResNets.
    """

    def __init__(self, place: Place, activation: nn.Module, body: nn.Module) -> None:
        super().__init__()
        self.entry = nn.Sequential(nn.BatchNorm2d(place.channels_in), activation)
        self.body = body
        self.drop = StochasticDepth(place.drop)
        self.projection: nn.Module | None = None
        if changes(place):
            self.projection = nn.Conv2d(
                place.channels_in, place.channels, 1, place.stride, bias=False
            )

    def forward(self, x: Tensor) -> Tensor:
        a = self.entry(x)
        kept = x if self.projection is None else self.projection(a)
        return kept + self.drop(self.body(a))


class SqueezeExcitation(nn.Module):
    """Channels weighed by what the image as a whole shows (Hu et al., 2018, arXiv 1709.01507)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weigh(x)
