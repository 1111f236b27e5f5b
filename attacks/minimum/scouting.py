"""Where minimum-norm attacks that climb one loss begin: near the boundary that is nearest."""

from __future__ import annotations

import torch
from torch import Tensor

from ..oracle import Oracle
from .fab import fab
from .nearest import Nearest


def scouted(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    norm: str,
    *,
    keys: Tensor,
    start: Tensor | None,
    seed: int,
    classes: int,
    scouting: int,
) -> tuple[Nearest, Tensor, Tensor]:
    """What is known before the search: who is wrong as it is, and where the others begin.

    Args:
        oracle: the model.
        x, y, keys: images (N, C, H, W), labels and indices (N,).
        norm: "linf", "l2" or "l1".
        start: images to begin from, in place of what a few steps of FAB find.
        seed: of FAB.
        classes, scouting: towards how many of the likeliest wrong classes FAB steps, and how often.

    Returns:
        What to keep finds in; the examples (M,) that are not wrong as they are; their first points.
    """
    nearest = Nearest(x, y, norm)
    nearest.see(torch.arange(len(x), device=x.device), x, oracle.logits(x, keys))
    rows = nearest.unsettled()
    if start is not None or len(rows) == 0:
        return nearest, rows, (x if start is None else start)[rows]
    x, y, keys = x[rows], y[rows], keys[rows]
    point = fab(oracle, x, y, norm, keys=keys, seed=seed, steps=scouting, targets=classes)
    return nearest, rows, point
