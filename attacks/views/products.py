"""Convolutions as matrix products, in float32 on a GPU.

cuDNN's convolutions reach a third of the rate at which a card multiplies float32 matrices. Of
stride 1 and 3x3 they are done tile by tile, with 16 products where there were 36 (Winograd's
minimal filtering F(2x2, 3x3): Lavin and Gray 2016, arXiv:1509.09308); others as one product of
columns of taps. Both leave float32's accuracy as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

FEWEST = 16  # channels from which on a tile's products are worth the mixing
# From three taps to four values that a tile is multiplied by.
SPREAD = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))
SHAPES = 64  # a mover is compiled anew for each shape, of which a large network has some dozens

Geometry = tuple[int, int, int, int, int, int]
"""Of a convolution: kernel, stride and padding, each down and across."""


class Movers(NamedTuple):
    """What lays pixels out for a product, and the product's outcome back: memory's work alone."""

    tiled: Callable[..., Tensor]
    whole: Callable[..., Tensor]
    columns: Callable[..., Tensor]
    gathered: Callable[..., Tensor]


def as_products(network: nn.Module, *, compile: bool = False) -> nn.Module:
    """`network`, its plain convolutions replaced; no gradient goes to their weights.

    Args:
        network: changed in place.
        compile: the movers; their many small steps then are one each. On a GPU that decides.
    """
    movers = Movers(tiled, whole, columns, gathered)
    if compile:
        movers = Movers(*map(_compiled, movers))
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, nn.Conv2d) and _is_plain(layer):
                kind = Winograd if _has_tiles(layer) else Columns
                setattr(module, name, kind(layer, movers))
    return network


class Winograd(nn.Module):
    """A 3x3 convolution of stride 1 and padding 1, in tiles of 2x2 of its output."""

    there: Tensor
    back: Tensor
    bias: Tensor

    def __init__(self, layer: nn.Conv2d, movers: Movers) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self.register_buffer("there", spread(weight))
        # What pulls a gradient back is a convolution too.
        self.register_buffer("back", spread(weight.flip(2, 3).transpose(0, 1)))
        self.register_buffer("bias", _bias(layer))
        self.movers = movers

    def forward(self, x: Tensor) -> Tensor:
        return _Tiles.apply(x, self.there, self.back, self.movers) + self.bias


class Columns(nn.Module):
    """A convolution as one product: the pixels under each tap, beside each other."""

    taps: Tensor
    bias: Tensor

    def __init__(self, layer: nn.Conv2d, movers: Movers) -> None:
        super().__init__()
        weight = layer.weight.detach()
        taps = weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])
        self.register_buffer("taps", taps.contiguous())
        self.register_buffer("bias", _bias(layer))
        self.geometry = (*layer.kernel_size, *layer.stride, *layer.padding)
        self.movers = movers

    def forward(self, x: Tensor) -> Tensor:
        return _Columns.apply(x, self.taps, self.geometry, self.movers) + self.bias


class _Tiles(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, there: Tensor, back: Tensor, movers: Movers) -> Tensor:
        ctx.back, ctx.movers = back, movers
        return _in_tiles(x, there, movers)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _in_tiles(grads[0], ctx.back, ctx.movers), None, None, None


class _Columns(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, geometry: Geometry, movers: Movers) -> Tensor:
        ctx.taps, ctx.geometry, ctx.movers, ctx.shape = taps, geometry, movers, x.shape
        return (movers.columns(x.permute(0, 2, 3, 1), geometry) @ taps).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        found = grads[0].permute(0, 2, 3, 1) @ ctx.taps.T
        _, channels, height, width = ctx.shape
        images = ctx.movers.gathered(found, ctx.geometry, height, width, channels)
        return images.permute(0, 3, 1, 2), None, None, None


def _in_tiles(x: Tensor, weight: Tensor, movers: Movers) -> Tensor:
    """The convolution of (N, C, H, W) with `weight` (16, C, K), channels last in memory."""
    count, _, height, width = x.shape
    products = torch.bmm(movers.tiled(x.permute(0, 2, 3, 1)), weight)
    return movers.whole(products, count, height, width).permute(0, 3, 1, 2)


def spread(weight: Tensor) -> Tensor:
    """Weights (K, C, 3, 3) as what tiles are multiplied by, (16, C, K)."""
    matrix = torch.tensor(SPREAD, dtype=torch.float64, device=weight.device)
    found = matrix @ weight.double() @ matrix.T
    return found.permute(2, 3, 1, 0).flatten(0, 1).to(weight.dtype).contiguous()


def tiled(images: Tensor) -> Tensor:
    """Images (N, H, W, C) to tiles of 4x4 that overlap by 2, mixed: (16, tiles, C)."""
    _, height, width, channels = images.shape
    down, across = (height + 1) // 2, (width + 1) // 2
    margins = (0, 0, 1, 2 * across - width + 1, 1, 2 * down - height + 1)
    rows = _mixed([pad(images, margins)[:, i : i + 2 * down - 1 : 2] for i in range(4)])
    entries = [
        entry
        for row in rows
        for entry in _mixed([row[:, :, j : j + 2 * across - 1 : 2] for j in range(4)])
    ]
    return torch.stack(entries).view(16, -1, channels)


def whole(products: Tensor, count: int, height: int, width: int) -> Tensor:
    """Products of tiles (16, tiles, K) to what the convolution gives, (N, H, W, K)."""
    down, across = (height + 1) // 2, (width + 1) // 2
    square = products.view(4, 4, count, down, across, -1)
    rows = [torch.stack(_unmixed(row), dim=3) for row in _unmixed(square)]
    images = torch.stack(rows, dim=2).reshape(count, 2 * down, 2 * across, -1)
    return images[:, :height, :width]


def columns(images: Tensor, geometry: Geometry) -> Tensor:
    """Images (N, H, W, C) to (N, H', W', taps * C): what lies under each tap."""
    *_, tall, wide = geometry
    images = pad(images, (0, 0, wide, wide, tall, tall))
    return torch.cat([images[part] for part in _parts(images.shape, geometry)], dim=3)


def gathered(found: Tensor, geometry: Geometry, height: int, width: int, channels: int) -> Tensor:
    """The transpose of `columns`: (N, H', W', taps * C) to images (N, H, W, C)."""
    *_, tall, wide = geometry
    images = found.new_zeros(len(found), height + 2 * tall, width + 2 * wide, channels)
    parts = _parts(images.shape, geometry)
    for part, taps in zip(parts, found.split(channels, dim=3), strict=True):
        images[part] += taps
    return images[:, tall : tall + height, wide : wide + width]


def _mixed(parts: Sequence[Tensor]) -> list[Tensor]:
    first, second, third, fourth = parts
    return [first - third, second + third, third - second, second - fourth]


def _unmixed(parts: Tensor) -> list[Tensor]:
    first, second, third, fourth = parts
    return [first + second + third, second - third - fourth]


def _parts(shape: torch.Size, geometry: Geometry) -> list[tuple[slice, slice, slice]]:
    """Of padded images (N, H, W, C), the pixels under each tap."""
    down, across, apart, beside, *_ = geometry
    last_row, last_column = shape[1] - down, shape[2] - across
    return [
        (slice(None), slice(i, i + last_row + 1, apart), slice(j, j + last_column + 1, beside))
        for i in range(down)
        for j in range(across)
    ]


def _compiled(mover: Callable[..., Tensor]) -> Callable[..., Tensor]:
    compiled = torch.compile(mover, dynamic=False)

    def move(*given: Any) -> Tensor:
        # Here, as the limit is a thread's own, and backward passes run in another one.
        with torch._dynamo.config.patch(recompile_limit=SHAPES):
            return compiled(*given)

    return move


def _is_plain(layer: nn.Conv2d) -> bool:
    known = isinstance(layer.padding, tuple) and layer.padding_mode == "zeros"
    return known and layer.groups == 1 and layer.dilation == (1, 1)


def _has_tiles(layer: nn.Conv2d) -> bool:
    shape = layer.kernel_size, layer.stride, layer.padding
    channels = min(layer.in_channels, layer.out_channels)
    return shape == ((3, 3), (1, 1), (1, 1)) and channels >= FEWEST


def _bias(layer: nn.Conv2d) -> Tensor:
    bias = layer.weight.new_zeros(layer.out_channels) if layer.bias is None else layer.bias
    return bias.detach().view(-1, 1, 1)
