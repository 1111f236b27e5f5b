"""Networks without convolutions: softmax regression and the multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import nn

Shape = tuple[int, int, int]


def linear(shape: Shape, classes: int, dropout: float) -> nn.Module:
    """Softmax regression; dropout falls on the pixels."""
    return nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(prod(shape), classes))


def mlp(
    shape: Shape, classes: int, dropout: float, hidden: Sequence[int] = (512, 512, 512)
) -> nn.Module:
    """Fully connected ReLU network; dropout follows every hidden layer.

    With three layers of 512 it is the one that fits random labels in Zhang et al. (2017,
    arXiv 1611.03530).
    """
    layers: list[nn.Module] = [nn.Flatten()]
    width = prod(shape)
    for units in hidden:
        layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(dropout)]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, classes))
