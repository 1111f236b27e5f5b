"""Gradient ascent on a transformation's parameters (Engstrom et al. 2019, arXiv:1712.02779)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .. import keyed
from ..losses import LOSSES, Loss, is_broken
from ..oracle import Oracle
from ..search import moving
from ..threat import column
from .transformation import Transformation


def steepest(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    threat: Transformation,
    *,
    keys: Tensor,
    start: Tensor | None = None,
    seed: int = 0,
    steps: int = 20,
    restarts: int = 5,
    step_size: float = 0.5,
    loss: Literal["cross_entropy", "margin", "dlr"] = "margin",
) -> Tensor:
    """Ascent by the gradient's sign from several starts, with steps that shrink to nothing.

    The loss has many hills over angles and shifts, so starts count for more than steps. An example
    is done at the first transformation of its path that is misclassified.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K).
        x, y: images and labels (N,).
        threat: kind of transformation and eps.
        keys: (N,) the examples' indices, from which each start follows.
        start: parameters (N, P) to begin the first run from, in place of its random start; NaN
            for an example that has none.
        seed: changes every random start.
        steps, restarts: of each run; runs.
        step_size: of the first step, in units of eps.
        loss: what is climbed.

    Returns:
        Parameters θ (N, P) inside the threat.
    """
    oracle = Oracle.of(model)
    found = threat.unchanged(x)
    if len(x) == 0:
        return found
    begin = torch.full_like(found, torch.nan) if start is None else start
    # A few slots' worth of runs at a time: memory does not grow with the number of images.
    for part in torch.arange(len(x), device=x.device).split(max(1, 4 * oracle.slots // restarts)):
        state = keyed.stream(keys[part], seed, "steepest").repeat_interleave(restarts)
        number = torch.arange(restarts, device=x.device).repeat(len(part))
        state = keyed.stream(state, number)
        which = part.repeat_interleave(restarts)
        near = threat[which]
        given = column(begin[which].isfinite().all(dim=1) & (number == 0), found)
        theta = torch.where(given, near.at(near.units(begin[which])), near.random(state))
        found[part] = _climb(
            oracle, x, y, threat, keys, which, theta, state, steps, step_size, LOSSES[loss]
        )
    return found


def _climb(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    threat: Transformation,
    keys: Tensor,
    which: Tensor,
    theta: Tensor,
    state: Tensor,
    steps: int,
    step_size: float,
    loss: Loss,
) -> Tensor:
    """The best θ on the paths that begin at `theta` (M * R, P), for each of M examples.

    All R runs of an example at once: few examples, each with many runs, then fill the slots. It
    leaves as soon as one of them breaks it.

    Args:
        which: (M * R,) the example that each run belongs to, run after run.
        state: (M * R,) of `keyed.stream`, for directions where the gradient has none.
    """
    examples = which.unique()
    runs = len(which) // len(examples)
    found = theta.view(-1, runs, theta.shape[1])[:, 0].clone()
    highest = torch.full((len(examples),), -torch.inf, device=x.device)
    rows = torch.arange(len(examples), device=x.device)
    for step in range(steps + 1):
        near, label, owner = threat[which], y[which], keys[which]
        image = near.image(theta, x[which])
        if step < steps:
            logits, value, grad = oracle.ascent(image, owner, loss, label)
        else:
            logits = oracle.logits(image, owner)
            value, grad = loss(logits, label), torch.zeros_like(image)
        value = torch.where(value.isnan(), -torch.inf, value)  # one run's NaN is no other's
        value = torch.where(is_broken(logits, label), torch.inf, value)
        best = value.view(-1, runs).max(dim=1)
        point = theta.view(-1, runs, theta.shape[1])[torch.arange(len(rows)), best.indices]
        higher = best.values > highest[rows]
        found[rows[higher]], highest[rows[higher]] = point[higher], best.values[higher]
        stay = best.values < torch.inf
        rows, kept = rows[stay], stay.repeat_interleave(runs)
        if len(rows) == 0:
            break
        which, theta, state = which[kept], theta[kept], state[kept]
        near = threat[which]
        slope = near.pull(theta, x[which], grad[kept])
        climb = moving(slope, state, step).sign()
        theta = near.at(near.units(theta) + step_size * (1 - step / steps) * climb)
    return found
