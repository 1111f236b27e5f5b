"""Small convolutional networks, quick enough for a CPU."""

from __future__ import annotations

import math

from torch import nn

from .parts import Shape, activate, convolution, pool


def small_cnn(
    shape: Shape, classes: int, dropout: float, *, width: float, activation: str
) -> nn.Module:
    """Two 3x3 convolutions of 16 and 32 channels and one hidden layer of 64 units.

    Strides in place of pooling halve the image, once below 16 pixels and else twice: a third of
    the time on a CPU, and as accurate. `width` multiplies channels and units.
    """
    channels, height, wide = shape
    first, second, hidden = (max(1, round(width * units)) for units in (16, 32, 64))
    first_stride = 2 if min(height, wide) >= 16 else 1
    halve = 2 * first_stride
    features = second * math.ceil(height / halve) * math.ceil(wide / halve)
    return nn.Sequential(
        nn.Conv2d(channels, first, 3, stride=first_stride, padding=1),
        activate(activation),
        nn.Conv2d(first, second, 3, stride=2, padding=1),
        activate(activation),
        nn.Flatten(),
        nn.Linear(features, hidden),
        activate(activation),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )


def lenet5(
    shape: Shape, classes: int, dropout: float, *, activation: str, pooling: str
) -> nn.Module:
    """LeNet-5 (LeCun et al., 1998, Proc. IEEE 86:2278), all maps of one layer connected.

    28x28 images are padded by two pixels, so that both sizes give the same 5x5 maps.
    """
    channels, height, _ = shape
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=(32 - height) // 2),
        activate(activation),
        pool(pooling, 2),
        nn.Conv2d(6, 16, 5),
        activate(activation),
        pool(pooling, 2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        activate(activation),
        nn.Linear(120, 84),
        activate(activation),
        nn.Dropout(dropout),
        nn.Linear(84, classes),
    )


def cnn(
    shape: Shape,
    classes: int,
    dropout: float,
    *,
    width: float,
    activation: str,
    pooling: str,
    batch_norm: bool,
) -> nn.Module:
    """Two pairs of 3x3 convolutions (32, 64 channels) with batch norm, and 128 hidden units.

    `width` multiplies channels and units.
    """
    channels, height, wide = shape
    layers: list[nn.Module] = []
    first, second, hidden = (max(1, round(width * units)) for units in (32, 64, 128))
    for out in (first, second):
        for channels_in in (channels, out):
            layers += convolution(channels_in, out, activation=activation, batch_norm=batch_norm)
        layers.append(pool(pooling, 2))
        channels = out
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(second * (height // 4) * (wide // 4), hidden),
        activate(activation),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )
