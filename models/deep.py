"""Deep convolutional networks without shortcuts: VGG, All-CNN and GoogLeNet."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .parts import Concatenated, Shape, activate, he_normal, head, pool


def _conv(
    channels_in: int,
    channels: int,
    kernel: int = 3,
    stride: int = 1,
    padding: int | None = None,
    *,
    activation: str,
    batch_norm: bool,
) -> list[nn.Module]:
    """Convolution with a bias, as the published counts have it even before batch norm."""
    padding = kernel // 2 if padding is None else padding
    layers: list[nn.Module] = [nn.Conv2d(channels_in, channels, kernel, stride, padding)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(channels))
    return [*layers, activate(activation)]


def vgg(
    shape: Shape,
    classes: int,
    dropout: float,
    *,
    stages: Sequence[Sequence[int]],
    activation: str,
    pooling: str,
    batch_norm: bool,
) -> nn.Module:
    """VGG (Simonyan and Zisserman, 2015, arXiv 1409.1556) with one linear layer at its end.

    `stages` are the widths of the convolutions between two poolings. A pooling that would leave
    nothing of a small image is left out: of five, 8x8 pixels keep three and 28x28 four.
    """
    channels, height, width = shape
    side = min(height, width)
    layers: list[nn.Module] = []
    for stage in stages:
        for out in stage:
            layers += _conv(channels, out, activation=activation, batch_norm=batch_norm)
            channels = out
        if side > 1:
            layers.append(pool(pooling, 2))
            side //= 2
    return he_normal(nn.Sequential(*layers, *head(channels, classes, dropout)))


def all_cnn_c(
    shape: Shape, classes: int, dropout: float, *, activation: str, batch_norm: bool
) -> nn.Module:
    """All-CNN-C (Springenberg et al., 2015, arXiv 1412.6806): nine convolutions, no pooling.

    Two of them halve the image, dropout follows these two; as in the paper the seventh is not
    padded. The last has one channel for each class, whose mean is its score: without the paper's
    ReLU, since where it is silent neither training nor an attack has a gradient.
    """
    layers: list[nn.Module] = []
    channels = shape[0]
    plan = (
        (96, 3, 1, 1), (96, 3, 1, 1), (96, 3, 2, 1),
        (192, 3, 1, 1), (192, 3, 1, 1), (192, 3, 2, 1),
        (192, 3, 1, 0), (192, 1, 1, 0), (classes, 1, 1, 0),
    )  # fmt: skip
    for out, kernel, stride, padding in plan:
        layers += _conv(
            channels, out, kernel, stride, padding, activation=activation, batch_norm=batch_norm
        )
        if stride == 2:
            layers.append(nn.Dropout(dropout))
        channels = out
    return he_normal(nn.Sequential(*layers[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten()))


def googlenet(
    shape: Shape, classes: int, dropout: float, *, activation: str, batch_norm: bool
) -> nn.Module:
    """GoogLeNet (Szegedy et al., 2015, arXiv 1409.4842) for small images, with batch norm.

    Its stem is one 3x3 convolution, and two 3x3 convolutions stand for each 5x5.
    """

    def conv(*size: int) -> list[nn.Module]:
        return _conv(*size, activation=activation, batch_norm=batch_norm)

    def inception(channels: int, widths: Sequence[int]) -> nn.Module:
        n1, r3, n3, r5, n5, n_pool = widths
        return Concatenated(
            nn.Sequential(*conv(channels, n1, 1)),
            nn.Sequential(*conv(channels, r3, 1), *conv(r3, n3)),
            nn.Sequential(*conv(channels, r5, 1), *conv(r5, n5), *conv(n5, n5)),
            nn.Sequential(nn.MaxPool2d(3, 1, padding=1), *conv(channels, n_pool, 1)),
        )

    layers: list[nn.Module] = [*conv(shape[0], 192)]
    width = 192
    stages = (
        ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
        (
            (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
            (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128),
        ),
        ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
    )  # fmt: skip
    for number, stage in enumerate(stages):
        if number:
            layers.append(nn.MaxPool2d(3, 2, padding=1))
        for widths in stage:
            layers.append(inception(width, widths))
            width = widths[0] + widths[2] + widths[4] + widths[5]
    return he_normal(nn.Sequential(*layers, *head(width, classes, dropout)))
