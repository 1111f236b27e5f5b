"""Fast minimum-norm attack (Pintor et al. 2021, arXiv:2102.12827)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..losses import margin
from ..oracle import Oracle
from ..search import moving, those
from ..threat import length, project, unit
from .boundary import linear_distance
from .race import Race
from .scouting import scouted

# The pace of a race: after so many of 100 steps, of an example that ends within its budget, the
# nearest adversarial image is at most so many budgets away. The marks leave room above the slowest
# that arrived on networks which mislead attacks of a fixed budget.
PACE = {30: 2.5, 40: 1.6, 50: 1.35, 70: 1.12}


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
    reach: Tensor | None = None,
    race: bool = False,
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
        reach: (N,) the largest distance that is of use for each example.
        race: give an example up where it falls behind the pace of those that come within `reach`
            (see PACE): most are far from it and known to be after a fifth of the steps.

    Returns:
        The nearest misclassified images found (N, C, H, W); the original where none was.
    """
    oracle = Oracle.of(model)
    nearest, rows, point = scouted(
        oracle, x, y, norm, keys=keys, start=start, seed=seed, classes=classes, scouting=scouting
    )
    if len(rows) == 0:
        return nearest.x_adv
    radius = torch.full((len(rows),), torch.inf, device=x.device)
    searches = Race(reach, PACE, steps, of=100) if race and reach is not None else None
    for step in range(steps):
        if searches is not None and searches.looks(step):
            stay = searches.stay(step, rows, nearest.distance)
            rows, point, radius = those(stay, rows, point, radius)
            if len(rows) == 0:
                break
        base, mine = x[rows], keys[rows]
        falling = (1 + math.cos(math.pi * step / steps)) / 2
        size = step_size * (0.01 + 0.99 * falling)
        change = shrink * (0.02 + 0.98 * falling)
        seen = oracle.ascent(point, mine, margin, y[rows])
        fell = nearest.see(rows, point, seen.logits)
        best = nearest.distance[rows]
        grad = moving(seen.grad, mine, seed, "fmn", step)
        # Until a first adversarial image is found, the radius is where a linear model has its
        # boundary; after that it closes in from outside and opens again from inside.
        linear = radius
        if best.isinf().any():
            reached = length((point - base).double(), norm).float()
            linear = torch.where(
                best.isinf(), reached + linear_distance(norm, seen.loss, grad), radius
            )
        outside = linear * (1 + change)
        radius = torch.where(fell, torch.minimum(radius * (1 - change), best), outside)
        point = project(point + size * unit(grad), base, norm, radius)
    if len(rows):
        nearest.see(rows, point, oracle.logits(point, keys[rows]))
    return nearest.x_adv
