"""Decoupled direction and norm (Rony et al. 2019, arXiv:1811.09600)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from ..losses import LOSSES
from ..oracle import Oracle
from ..search import moving
from ..threat import length, unit
from .boundary import farthest, shell
from .scouting import scouted


def ddn(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    norm: str,
    *,
    keys: Tensor,
    start: Tensor | None = None,
    seed: int = 0,
    steps: int = 60,
    classes: int = 9,
    scouting: int = 5,
    step_size: float = 1.0,
    shrink: float = 0.05,
    loss: Literal["cross_entropy", "margin", "dlr"] = "margin",
) -> Tensor:
    """The gradient turns the perturbation; its length alone answers whether the class is wrong.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K).
        x, y: images and labels (N,).
        norm: "l2".
        keys: (N,) the examples' indices.
        start: images to begin from, in place of what a few steps of FAB find.
        seed: changes the random directions taken where a gradient is zero.
        steps: gradient steps.
        classes: the search begins at the nearest of so many likeliest wrong classes: the margin
            follows the class that leads, which need not be the one whose boundary is nearest.
        scouting: steps of FAB towards each of them.
        step_size: Euclidean length of the first step; falls to a hundredth by a cosine.
        shrink: relative change of the length at each step: less where wrong, more where right.
        loss: what is climbed; the paper climbs the cross-entropy, which heads for a mixture of
            all classes where the margin heads for one.

    Returns:
        The nearest misclassified images found (N, C, H, W); the original where none was.
    """
    oracle = Oracle.of(model)
    nearest, rows, point = scouted(
        oracle, x, y, norm, keys=keys, start=start, seed=seed, classes=classes, scouting=scouting
    )
    if len(rows) == 0:
        return nearest.x_adv
    x, y, keys = x[rows], y[rows], keys[rows]
    radius = length((point - x).double(), norm).float()
    radius = radius.where(radius > 0, 1.0)  # the paper's first length, where the start is x
    limit = farthest(x, norm)
    for step in range(steps):
        size = step_size * (0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2)
        seen = oracle.ascent(point, keys, LOSSES[loss], y)
        fell = nearest.see(rows, point, seen.logits)
        grad = moving(seen.grad, keys, seed, "ddn", step)
        radius = torch.minimum(radius * torch.where(fell, 1 - shrink, 1 + shrink), limit)
        point = (x + shell(point - x + size * unit(grad), norm, radius)).clamp(0, 1)
    nearest.see(rows, point, oracle.logits(point, keys))
    return nearest.x_adv
