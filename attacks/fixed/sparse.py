"""The step that gradient attacks take in L1: along few pixels at a time."""

from __future__ import annotations

import torch
from torch import Tensor


def sparse(grad: Tensor, point: Tensor, share: Tensor) -> Tensor:
    """The step of L1 length 1 along the signs of each gradient's largest entries.

    Entries that the box holds are no part of the count, or a step could consist of them alone;
    but those with larger gradients are pushed along, so that the projection, which shrinks all
    entries alike, leaves them at the edge.

    Args:
        grad, point: (N, C, H, W).
        share: (N,) of the entries that move: rounded down, for a search must be able to get
            sparser until a single one is left; one at least.
    """
    slope, at = grad.flatten(1), point.flatten(1)
    held = ((slope > 0) & (at >= 1)) | ((slope < 0) & (at <= 0))
    free = slope.abs().masked_fill(held, 0)
    count = (share * slope.shape[1]).long().clamp(1, slope.shape[1])
    largest = free.topk(int(count.max()), dim=1).values
    least = largest.gather(1, count[:, None] - 1)
    step = torch.where(slope.abs() >= least, slope.sign(), 0)
    moving = (step.abs() * ~held).sum(dim=1, keepdim=True)
    return (step / moving.clamp_min(1)).view_as(grad)
