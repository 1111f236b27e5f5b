"""Augmentation of training images: one draw per example, the whole batch at once, on its device."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate, one_hot, pad

from .ranges import Ranges

DRAWS = ("x", "y", "rotation", "shear", "stretch_x", "stretch_y", "flip", "brightness", "contrast")
"""What the uniform random numbers of an example decide, whatever the augmentation."""
PULLED = 3
"""Elastic distortion pulls at so many places in each direction."""
MORE = (
    *("zoom", "crop_x", "crop_y", "lens", "color", "cutout_x", "cutout_y", "mixup"),
    *(f"pull_{number}" for number in range(2 * PULLED**2)),
)
"""What further ones decide, where ranges beyond those of the schemes are asked."""
COLUMN = {name: number for number, name in enumerate(DRAWS + MORE)}


def draw(ranges: Ranges | None, count: int, order: Generator, seed: int) -> Tensor:
    """Random numbers for one epoch, (count, columns) on the CPU.

    Uniform on [0, 1), but for `mixup`: the share that is left of the image itself, from 0.5 to 1.
    The further ones come from `seed`, so that asking for them does not change the first.
    """
    draws = torch.rand(count, len(DRAWS), generator=order)
    if ranges is None or not ranges.more:
        return draws
    more = torch.rand(count, len(MORE), generator=torch.Generator().manual_seed(seed))
    draws = torch.cat([draws, more], dim=1)
    if ranges.mixup:
        # torch's Beta has no generator of its own to draw from.
        beta = np.random.default_rng(seed).beta(ranges.mixup, ranges.mixup, count)
        share = torch.from_numpy(beta).float()
        draws[:, COLUMN["mixup"]] = torch.maximum(share, 1 - share)
    return draws


def augment(x: Tensor, draws: Tensor, ranges: Ranges | None, flip: bool) -> Tensor:
    """Augment images; `mix` comes after it.

    Args:
        x: images in [0, 1], (N, C, H, W) float.
        draws: as `draw` makes them, on the device of `x`; row i decides about image i alone, so
            the result does not depend on the batch.
        ranges: how far each transform may go; without, `x` itself is returned.
        flip: also mirror half of the images left to right.

    Returns:
        Images in [0, 1] of the same shape.
    """
    if ranges is None:
        return x
    x = _moved(x, draws, ranges, flip)
    if ranges.crop:
        x = _cropped(x, draws, ranges.crop)
    if ranges.brightness:
        x = (x + _spread(draws, "brightness", ranges.brightness).view(-1, 1, 1, 1)).clamp(0, 1)
    for name, size, dims in (
        ("contrast", ranges.contrast, (2, 3)),
        ("color", ranges.color, (1,)),
    ):
        if size:
            mean = x.mean(dim=dims, keepdim=True)
            factor = 1 + _spread(draws, name, size).view(-1, 1, 1, 1)
            x = ((x - mean) * factor + mean).clamp(0, 1)
    return _cut_out(x, draws, ranges.cutout) if ranges.cutout else x


def mix(x: Tensor, y: Tensor, draws: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Mix each image, and its label, with the one before it in the batch (mixup).

    Returns:
        Images of the shape of `x`, and the share of each class, (N, classes).
    """
    own = draws[:, COLUMN["mixup"]]
    labels = one_hot(y, classes).to(x.dtype)
    mixed_labels = labels.roll(1, 0).lerp(labels, own.view(-1, 1))
    return x.roll(1, 0).lerp(x, own.view(-1, 1, 1, 1)), mixed_labels


def _spread(draws: Tensor, name: str, size: float) -> Tensor:
    return (2 * draws[:, COLUMN[name]] - 1) * size


def _moved(x: Tensor, draws: Tensor, ranges: Ranges, flip: bool) -> Tensor:
    """Every change of place in one interpolation; the border fills what is uncovered."""
    bends = ranges.lens or ranges.elastic
    affine = ranges.shift, ranges.rotation, ranges.shear, ranges.zoom, ranges.stretch
    if not any(affine) and not bends:
        # No interpolation: whole pixels stay whole.
        left = draws[:, COLUMN["flip"]] < 0.5
        return torch.where(left.view(-1, 1, 1, 1), x.flip(3), x) if flip else x
    matrices = _matrices(draws, ranges, flip, x.shape[3] / x.shape[2])
    grid = affine_grid(matrices, list(x.shape), align_corners=False)
    if ranges.lens:
        radius = grid.square().sum(3, keepdim=True) / 2  # 1 at the corners
        grid = grid * (1 + _spread(draws, "lens", ranges.lens).view(-1, 1, 1, 1) * radius)
    if ranges.elastic:
        pulls = draws[:, COLUMN["pull_0"] :].view(-1, 2, PULLED, PULLED)
        # affine_grid counts from -1 to 1: a share of the width is twice that.
        field = interpolate(
            (2 * pulls - 1) * 2 * ranges.elastic, x.shape[2:], mode="bicubic", align_corners=True
        )
        grid = grid + field.permute(0, 2, 3, 1)
    return grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _matrices(draws: Tensor, ranges: Ranges, flip: bool, wide: float) -> Tensor:
    """(N, 2, 3): for each place in the result, where in the original its pixel comes from.

    Both count from -1 to 1 from border to border, of images `wide` times as wide as high: turning
    and shearing is done in pixels.
    """
    angle = _spread(draws, "rotation", math.radians(ranges.rotation))
    shear = _spread(draws, "shear", ranges.shear)
    zoom_x = 1 / (1 + _spread(draws, "stretch_x", ranges.stretch))
    zoom_y = 1 / (1 + _spread(draws, "stretch_y", ranges.stretch))
    if ranges.zoom:
        both = 1 + _spread(draws, "zoom", ranges.zoom)
        zoom_x, zoom_y = zoom_x / both, zoom_y / both
    if flip:
        zoom_x = torch.where(draws[:, COLUMN["flip"]] < 0.5, -zoom_x, zoom_x)
    shift_x, shift_y = (_spread(draws, axis, 2 * ranges.shift) for axis in ("x", "y"))
    rows = (
        torch.stack([zoom_x * angle.cos(), -zoom_x / wide * (angle + shear).sin(), shift_x], dim=1),
        torch.stack([zoom_y * wide * angle.sin(), zoom_y * (angle + shear).cos(), shift_y], dim=1),
    )
    return torch.stack(rows, dim=1)


def _cropped(x: Tensor, draws: Tensor, size: int) -> Tensor:
    """A crop of the image's own size from the image with a black border of `size` pixels."""
    count, channels, height, width = x.shape
    start = (draws[:, [COLUMN["crop_y"], COLUMN["crop_x"]]] * (2 * size + 1)).long()
    row = start[:, :1] + torch.arange(height, device=x.device)
    column = start[:, 1:] + torch.arange(width, device=x.device)
    example = torch.arange(count, device=x.device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=x.device).view(1, -1, 1, 1)
    padded = pad(x, (size, size, size, size))
    return padded[example, channel, row.view(count, 1, -1, 1), column.view(count, 1, 1, -1)]


def _cut_out(x: Tensor, draws: Tensor, side: int) -> Tensor:
    """A square about any pixel, the part within the image, takes the image's mean colour."""
    inside = []
    for name, size in (("cutout_y", x.shape[2]), ("cutout_x", x.shape[3])):
        first = (draws[:, COLUMN[name]] * size).long().view(-1, 1) - side // 2
        place = torch.arange(size, device=x.device)
        inside.append((place >= first) & (place < first + side))
    square = inside[0].view(-1, 1, x.shape[2], 1) & inside[1].view(-1, 1, 1, x.shape[3])
    return torch.where(square, x.mean(dim=(2, 3), keepdim=True), x)
