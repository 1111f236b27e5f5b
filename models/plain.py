"""Networks without convolutions: softmax regression and the multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import nn

from .parts import Shape, activate
from .zhang import seen


def linear(shape: Shape, classes: int, dropout: float) -> nn.Module:
    """Softmax regression; dropout falls on the pixels."""
    return nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(prod(shape), classes))


def mlp(
    shape: Shape,
    classes: int,
    dropout: float,
    *,
    hidden: Sequence[int],
    activation: str,
    images: str,
) -> nn.Module:
    """Fully connected network; dropout follows every hidden layer.

    With one or three layers of 512 it is one of those that fit random labels in Zhang et al.
    (2017, arXiv 1611.03530).
    """
    front, shape = seen(images, shape)
    layers: list[nn.Module] = [*front, nn.Flatten()]
    width = prod(shape)
    for units in hidden:
        layers += [nn.Linear(width, units), activate(activation), nn.Dropout(dropout)]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, classes))
