"""Fast minimum-norm attack (Pintor et al. 2021, arXiv:2102.12827)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import keyed
from ..losses import margin
from ..oracle import Oracle
from ..search import moving
from ..threat import length, project, unit
from .boundary import linear_distance
from .scouting import scouted


def fmn(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    norm: str,
    *,
    keys: Tensor,
    start: Tensor | None = None,
    seed: int = 0,
    steps: int = 50,
    classes: int = 9,
    scouting: int = 5,
    step_size: float = 1.0,
    shrink: float = 0.05,
) -> Tensor:
    """Search the boundary with a ball that shrinks while inside the wrong class and grows outside.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K).
        x, y: images and labels (N,).
        norm: "linf", "l2" or "l1".
        keys: (N,) the examples' indices.
        start: images to begin from, in place of what a few steps of FAB find.
        seed: changes the random directions taken where a gradient is zero.
        steps: gradient steps.
        classes: the search begins at the nearest of so many likeliest wrong classes: the margin
            follows the class that leads, which need not be the one whose boundary is nearest.
        scouting: steps of FAB towards each of them.
        step_size: Euclidean length of the first step; falls to a hundredth by a cosine.
        shrink: first relative change of the radius; falls to a fiftieth by a cosine.

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
    radius = torch.full((len(x),), torch.inf, device=x.device)
    for step in range(steps):
        falling = (1 + math.cos(math.pi * step / steps)) / 2
        size = step_size * (0.01 + 0.99 * falling)
        change = shrink * (0.02 + 0.98 * falling)
        seen = oracle.ascent(point, keys, margin, y)
        fell = nearest.see(rows, point, seen.logits)
        best = nearest.distance[rows]
        grad = moving(seen.grad, keyed.stream(keys, seed, "fmn", step))
        # Until a first adversarial image is found, the radius is where a linear model has its
        # boundary; after that it closes in from outside and opens again from inside.
        reached = length((point - x).double(), norm).float()
        linear = reached + linear_distance(norm, seen.loss, grad)
        outside = torch.where(best.isinf(), linear, radius) * (1 + change)
        radius = torch.where(fell, torch.minimum(radius * (1 - change), best), outside)
        point = project(point + size * unit(grad), x, norm, radius)
    nearest.see(rows, point, oracle.logits(point, keys))
    return nearest.x_adv
