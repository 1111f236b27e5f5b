"""Small convolutional networks, quick enough for a CPU."""

from __future__ import annotations

import math

from torch import nn

Shape = tuple[int, int, int]


def small_cnn(shape: Shape, classes: int, dropout: float) -> nn.Module:
    """Two 3x3 convolutions of 16 and 32 channels and one hidden layer of 64 units.

    Strides in place of pooling halve the image, once below 16 pixels and else twice: a third of
    the time on a CPU, and as accurate.
    """
    channels, height, width = shape
    first_stride = 2 if min(height, width) >= 16 else 1
    halve = 2 * first_stride
    features = 32 * math.ceil(height / halve) * math.ceil(width / halve)
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=first_stride, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(features, 64),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(64, classes),
    )


def lenet5(shape: Shape, classes: int, dropout: float) -> nn.Module:
    """LeNet-5 (LeCun et al., 1998, Proc. IEEE 86:2278) with ReLU and max-pooling.

    28x28 images are padded by two pixels, so that both sizes give the same 5x5 maps.
    """
    channels, height, _ = shape
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=(32 - height) // 2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(84, classes),
    )


def _convolution(channels_in: int, channels_out: int) -> list[nn.Module]:
    # No bias: batch norm subtracts the mean and adds its own.
    return [
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    ]


def cnn(shape: Shape, classes: int, dropout: float) -> nn.Module:
    """Two pairs of 3x3 convolutions (32, 64 channels) with batch norm, and 128 hidden units."""
    channels, height, width = shape
    return nn.Sequential(
        *_convolution(channels, 32),
        *_convolution(32, 32),
        nn.MaxPool2d(2),
        *_convolution(32, 64),
        *_convolution(64, 64),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * (height // 4) * (width // 4), 128),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(128, classes),
    )
