"""Augmentation of training images: one draw per example, the whole batch at once, on its device.

Ranges as in Hernández-García and König (2018, arXiv 1806.03852), with uniform draws. Whether
images may be mirrored is the recipe's `flip`, as it depends on what they show: a mirrored 2 is
no 2, a mirrored cat is a cat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

DRAWS = 9
"""Uniform random numbers that one example takes, whatever the augmentation."""


@dataclass(frozen=True)
class Ranges:
    """How far each transform may go; the draw is uniform between minus and plus this."""

    shift: float
    """in each direction, as a share of height and width"""
    rotation: float = 0.0
    """degrees"""
    shear: float = 0.0
    """radians"""
    zoom: float = 0.0
    """of each axis for itself, about 1"""
    brightness: float = 0.0
    """added to the pixels"""
    contrast: float = 0.0
    """factor about 1, around each channel's mean"""


AUGMENTATIONS: dict[str, Ranges | None] = {
    "none": None,
    "light": Ranges(shift=0.1),
    "heavier": Ranges(
        shift=0.1, rotation=22.5, shear=0.15, zoom=0.15, brightness=0.25, contrast=0.5
    ),
}


def augment(x: Tensor, draws: Tensor, augmentation: str, flip: bool) -> Tensor:
    """Augment images.

    Args:
        x: images in [0, 1], (N, C, H, W) float.
        draws: uniform on [0, 1), (N, DRAWS), on the device of `x`; row i decides about image i
            alone, so the result does not depend on the batch.
        augmentation: a name in `AUGMENTATIONS`; `none` returns `x` itself.
        flip: also mirror half of the images left to right.

    Returns:
        Images in [0, 1] of the same shape. What a transform uncovers is filled with the nearest
        pixel of the border.
    """
    ranges = AUGMENTATIONS[augmentation]
    if ranges is None:
        return x
    grid = affine_grid(_matrices(draws, ranges, flip), list(x.shape), align_corners=False)
    x = grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if ranges.brightness:
        x = (x + _spread(draws[:, 7], ranges.brightness).view(-1, 1, 1, 1)).clamp(0, 1)
    if ranges.contrast:
        mean = x.mean(dim=(2, 3), keepdim=True)
        factor = 1 + _spread(draws[:, 8], ranges.contrast).view(-1, 1, 1, 1)
        x = ((x - mean) * factor + mean).clamp(0, 1)
    return x


def _spread(draw: Tensor, size: float) -> Tensor:
    return (2 * draw - 1) * size


def _matrices(draws: Tensor, ranges: Ranges, flip: bool) -> Tensor:
    """(N, 2, 3): for each place in the result, where in the original its pixel comes from."""
    angle = _spread(draws[:, 2], math.radians(ranges.rotation))
    shear = _spread(draws[:, 3], ranges.shear)
    zoom_x = 1 / (1 + _spread(draws[:, 4], ranges.zoom))
    zoom_y = 1 / (1 + _spread(draws[:, 5], ranges.zoom))
    if flip:
        zoom_x = torch.where(draws[:, 6] < 0.5, -zoom_x, zoom_x)
    # affine_grid counts from -1 to 1: a share of the width is twice that.
    shift_x, shift_y = (_spread(draws[:, axis], 2 * ranges.shift) for axis in (0, 1))
    rows = (
        torch.stack([zoom_x * angle.cos(), -zoom_x * (angle + shear).sin(), shift_x], dim=1),
        torch.stack([zoom_y * angle.sin(), zoom_y * (angle + shear).cos(), shift_y], dim=1),
    )
    return torch.stack(rows, dim=1)
