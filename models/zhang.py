"""The networks that Zhang et al. (2017, arXiv 1611.03530) fit random labels with on CIFAR-10."""

from __future__ import annotations

import math

from torch import Tensor, nn

from .parts import Concatenated, Shape, activate, head, pool

SIDE = 28
"""Of what is left of a CIFAR-10 image; cropped at random in training, from the middle later."""


class Middle(nn.Module):
    """The middle of images: (N, C, H, W) to (N, C, height, width)."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        top, left = (x.shape[2] - self.height) // 2, (x.shape[3] - self.width) // 2
        return x[:, :, top : top + self.height, left : left + self.width]


class Whiten(nn.Module):
    """Each image to mean 0 and deviation 1, which is taken to be at least 1/sqrt(its numbers)."""

    def forward(self, x: Tensor) -> Tensor:
        least = 1 / math.sqrt(x[0].numel())
        centred = x - x.mean(dim=(1, 2, 3), keepdim=True)
        spread = centred.square().mean(dim=(1, 2, 3), keepdim=True).clamp(min=least**2).sqrt()
        return centred / spread


def seen(images: str, shape: Shape) -> tuple[list[nn.Module], Shape]:
    """What comes before a network's first layer, and the shape that this layer gets.

    whole: nothing. zhang: the middle 28x28 pixels, whitened image by image, as in the paper. With
    `augmentation: {scheme: none, crop: 2}` the middle is its random crop of a 32x32 image.
    """
    if images == "whole":
        return [], shape
    channels, height, width = shape[0], min(SIDE, shape[1]), min(SIDE, shape[2])
    return [Middle(height, width), Whiten()], (channels, height, width)


def alexnet_small(
    shape: Shape, classes: int, dropout: float, *, activation: str, pooling: str, images: str
) -> nn.Module:
    """Two times 5x5 convolution, pooling and normalization across channels; 384 and 192 units.

    The normalization's constants are those of TensorFlow's CIFAR-10 tutorial, which the paper
    took the network from: a radius of 4 channels, bias 1, alpha 0.001/9 per channel, beta 0.75.
    """
    layers, (channels, height, width) = seen(images, shape)
    for channels_in in (channels, 64):
        layers += [
            nn.Conv2d(channels_in, 64, 5, padding=2),
            activate(activation),
            pool(pooling, 3, 2, padding=1),
            nn.LocalResponseNorm(9, alpha=0.001, beta=0.75, k=1.0),  # divides alpha by 9 itself
        ]
        height, width = (height + 1) // 2, (width + 1) // 2
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(64 * height * width, 384),
        activate(activation),
        nn.Linear(384, 192),
        activate(activation),
        nn.Dropout(dropout),
        nn.Linear(192, classes),
    )


def inception_small(
    shape: Shape, classes: int, dropout: float, *, activation: str, batch_norm: bool, images: str
) -> nn.Module:
    """Figure 3 of the paper: eight inception modules of two branches, two that halve the image.

    Convolutions have biases and batch norm has no scale of its own: so the count is the paper's.
    """

    def conv(channels_in: int, channels: int, kernel: int, stride: int = 1) -> nn.Module:
        layers: list[nn.Module] = [
            nn.Conv2d(channels_in, channels, kernel, stride, padding=kernel // 2)
        ]
        if batch_norm:
            layers.append(nn.BatchNorm2d(channels, affine=False))
        return nn.Sequential(*layers, activate(activation))

    front, _ = seen(images, shape)
    layers: list[nn.Module] = [*front, conv(shape[0], 96, 3)]
    width = 96
    stages = (
        ((32, 32), (32, 48)),
        ((112, 48), (96, 64), (80, 80), (48, 96)),
        ((176, 160), (176, 160)),
    )
    for modules, halving in zip(stages, (80, 96, None), strict=True):
        for single, triple in modules:
            layers.append(Concatenated(conv(width, single, 1), conv(width, triple, 3)))
            width = single + triple
        if halving:
            layers.append(Concatenated(conv(width, halving, 3, 2), nn.MaxPool2d(3, 2, padding=1)))
            width += halving
    return nn.Sequential(*layers, *head(width, classes, dropout))
