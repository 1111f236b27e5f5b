"""ResNets and their kin for small images: a 3x3 stem without pooling.

Written out because torchvision's take two seconds to import, have the ImageNet stem, and offer
neither other shortcuts nor other activations nor stochastic depth.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .parts import Shape, activate, convolution, he_normal, head
from .residual import PreActivated, Residual, SqueezeExcitation, past, places


def resnet(
    shape: Shape,
    classes: int,
    dropout: float,
    *,
    widths: Sequence[int],
    blocks: int,
    activation: str,
    shortcut: str,
    stochastic_depth: float,
    reduction: int | None = None,
) -> nn.Module:
    """Two 3x3 convolutions a block, so many blocks of each width (arXiv 1512.03385).

    `reduction` adds squeeze-and-excitation to every block, with so many times fewer channels
    between.
    """
    laid = []
    for place in places(widths[0], widths, blocks, stochastic_depth):
        channels = place.channels
        body = convolution(
            place.channels_in, channels, stride=place.stride, activation=activation
        ) + convolution(channels, channels, activation=None)
        if reduction:
            body.append(SqueezeExcitation(channels, reduction))
        laid.append(
            Residual(nn.Sequential(*body), past(shortcut, place), activate(activation), place.drop)
        )
    stem = convolution(shape[0], widths[0], activation=activation)
    return he_normal(nn.Sequential(*stem, *laid, *head(widths[-1], classes, dropout)))


def resnext29(
    shape: Shape,
    classes: int,
    dropout: float,
    *,
    cardinality: int,
    base_width: int,
    activation: str,
    stochastic_depth: float,
) -> nn.Module:
    """ResNeXt-29 (Xie et al., 2017, arXiv 1611.05431): bottlenecks with grouped convolutions."""
    laid = []
    for place in places(64, (256, 512, 1024), 3, stochastic_depth):
        inner = cardinality * base_width * place.channels // 256
        body = nn.Sequential(
            *convolution(place.channels_in, inner, 1, activation=activation),
            *convolution(inner, inner, 3, place.stride, activation=activation, groups=cardinality),
            *convolution(inner, place.channels, 1, activation=None),
        )
        laid.append(Residual(body, past("projection", place), activate(activation), place.drop))
    stem = convolution(shape[0], 64, activation=activation)
    return he_normal(nn.Sequential(*stem, *laid, *head(1024, classes, dropout)))


def preact_resnet18(
    shape: Shape, classes: int, dropout: float, *, activation: str, stochastic_depth: float
) -> nn.Module:
    """PreActResNet-18 (He et al., 2016, arXiv 1603.05027) with batch norm before the mean."""
    widths = (64, 128, 256, 512)
    layers = _pre_activated(shape[0], 64, widths, 2, 0.0, activation, stochastic_depth)
    return he_normal(nn.Sequential(*layers, *head(widths[-1], classes, dropout)))


def wide_resnet(
    shape: Shape,
    classes: int,
    dropout: float,
    *,
    depth: int,
    width: int,
    activation: str,
    stochastic_depth: float,
) -> nn.Module:
    """WRN-depth-width (Zagoruyko and Komodakis, 2016, arXiv 1605.07146); dropout as there."""
    widths, blocks = (16 * width, 32 * width, 64 * width), (depth - 4) // 6
    layers = _pre_activated(shape[0], 16, widths, blocks, dropout, activation, stochastic_depth)
    return he_normal(nn.Sequential(*layers, *head(widths[-1], classes, 0.0)))


def _pre_activated(
    channels: int,
    stem: int,
    widths: Sequence[int],
    blocks: int,
    dropout: float,
    activation: str,
    stochastic_depth: float,
) -> list[nn.Module]:
    """All but the last layer; dropout acts between the two convolutions of each block."""
    laid: list[nn.Module] = [nn.Conv2d(channels, stem, 3, padding=1, bias=False)]
    for place in places(stem, widths, blocks, stochastic_depth):
        body = nn.Sequential(
            *convolution(
                place.channels_in, place.channels, stride=place.stride, activation=activation
            ),
            nn.Dropout(dropout),
            nn.Conv2d(place.channels, place.channels, 3, padding=1, bias=False),
        )
        laid.append(PreActivated(place, activate(activation), body))
    return [*laid, nn.BatchNorm2d(widths[-1]), activate(activation)]
