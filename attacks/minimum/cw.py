"""Carlini and Wagner's attack (2017, arXiv:1608.04644), L2."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import keyed
from ..losses import margin
from ..oracle import Oracle
from ..search import moving
from ..threat import column, length
from .boundary import linear_distance
from .scouting import scouted

# tanh reaches 0 and 1 at infinity, where its gradient is zero: a pixel that begins there never
# moves. Beginning this far inside keeps it alive; distances are measured to the true original.
EDGE = 1e-3


def cw(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    norm: str,
    *,
    keys: Tensor,
    start: Tensor | None = None,
    seed: int = 0,
    steps: int = 60,
    rounds: int = 4,
    classes: int = 9,
    scouting: int = 5,
    constant: float = 2.0,
    step_size: float = 0.05,
    patience: int = 20,
) -> Tensor:
    """Adam on the squared distance plus a constant times the margin still missing.

    The box is kept by x_adv = (tanh(w) + 1) / 2. The constant is searched by bisection, for each
    example by itself; a round begins at the nearest adversarial image so far.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K).
        x, y: images and labels (N,).
        norm: "l2".
        keys: (N,) the examples' indices.
        start: images to begin from, in place of what a few steps of FAB find.
        seed: changes the random directions taken where a gradient is zero.
        steps: of Adam in each round.
        rounds: constants tried.
        classes: the search begins at the nearest of so many likeliest wrong classes: the margin
            follows the class that leads, which need not be the one whose boundary is nearest.
        scouting: steps of FAB towards each of them.
        constant: the first one tried, in units of what balances distance and margin at the
            boundary of a linear model.
        step_size: of Adam, in w; falls to a hundredth by a cosine.
        patience: an example ends its round when its loss did not fall by 0.01 % in so many steps.

    Returns:
        The nearest misclassified images found (N, C, H, W); the original where none was.
    """
    oracle = Oracle.of(model)
    nearest, rows, begin = scouted(
        oracle, x, y, norm, keys=keys, start=start, seed=seed, classes=classes, scouting=scouting
    )
    if len(rows) == 0:
        return nearest.x_adv
    all_keys, x, y, keys = keys, x[rows], y[rows], keys[rows]
    seen = oracle.ascent(begin, keys, margin, y)
    nearest.see(rows, begin, seen.logits)
    slope = length(seen.grad.double(), norm).float().clamp_min(1e-12)
    reached = length((begin - x).double(), norm).float()
    weight = constant * 2 * (reached + linear_distance(norm, seen.loss, seen.grad)) / slope
    low, high = torch.zeros_like(weight), torch.full_like(weight, torch.inf)
    for turn in range(rounds):
        found = nearest.distance[rows].isfinite()
        first = torch.where(column(found, begin), nearest.x_adv[rows], begin)
        state = keyed.stream(keys, seed, "cw", turn)
        w = ((2 * first - 1) * (1 - EDGE)).atanh()
        mean, square = torch.zeros_like(w), torch.zeros_like(w)
        lowest, stale = torch.full_like(weight, torch.inf), torch.zeros_like(rows)
        fell, alive = torch.zeros_like(found), torch.arange(len(rows), device=x.device)
        for step in range(steps):
            tanh = w[alive].tanh()
            point = (tanh + 1) / 2
            seen = oracle.ascent(point, keys[alive], margin, y[alive])
            wrong = nearest.see(rows[alive], point, seen.logits)
            fell[alive] |= wrong
            delta = point - x[alive]
            value = length(delta.double(), "l2").float().square()
            value = value + weight[alive] * (-seen.loss).where(~wrong, 0.0)
            improved = value < 0.9999 * lowest[alive]
            lowest[alive] = torch.where(improved, value, lowest[alive])
            stale[alive] = torch.where(improved, 0, stale[alive] + 1)
            uphill = moving(seen.grad, state[alive], step)
            uphill = column(weight[alive] * ~wrong, uphill) * uphill
            grad = (2 * delta - uphill) * (1 - tanh.square()) / 2
            mean[alive] = mean[alive].lerp(grad, 0.1)
            square[alive] = square[alive].lerp(grad.square(), 0.001)
            scale = (square[alive] / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
            size = step_size * (0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2)
            w[alive] -= size * mean[alive] / (1 - 0.9 ** (step + 1)) / scale
            alive = alive[stale[alive] < patience]
            if len(alive) == 0:
                break
        high = torch.where(fell, torch.minimum(weight, high), high)
        low = torch.where(fell, low, torch.maximum(weight, low))
        weight = torch.where(high.isinf(), 10 * weight, (low + high) / 2)
    nearest.draw_in(oracle, all_keys, rows)
    return nearest.x_adv
