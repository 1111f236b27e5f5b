"""Fast adaptive boundary attack (Croce and Hein 2020, arXiv:1907.02044), targeted and not."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import keyed
from ..losses import gap, likeliest_wrong
from ..oracle import Ascent, Oracle
from ..search import moving
from ..threat import column, length
from .boundary import cross, farthest, nearest_gap, shell
from .nearest import Nearest


def fab(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    norm: str,
    *,
    keys: Tensor,
    start: Tensor | None = None,
    seed: int = 0,
    steps: int = 100,
    restarts: int = 1,
    targets: int = 9,
    overshoot: float = 1.05,
    bias: float = 0.1,
    pull: float = 0.9,
    patience: int = 10,
) -> Tensor:
    """Project onto the linear boundary inside the box, over and over, always drawn towards x.

    One forward pass belongs to each gradient: whether a point is adversarial is read from the pass
    that linearizes the network there, and a point that is gets pulled towards x while keeping the
    boundary found from it.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K).
        x, y: images and labels (N,).
        norm: "linf", "l2" or "l1".
        keys: (N,) the examples' indices.
        start: images to begin the first run from, in place of x.
        seed: changes every random start.
        steps: linearizations of each run.
        restarts: each after the first begins at random, within half the distance found so far.
        targets: with targets = t, each restart is t runs, one towards each of the t likeliest
            wrong classes of x. With 0 it is one run that compares all classes at each step, at
            a backward pass for each.
        overshoot: length of a step, in units of the projection.
        bias: at most this share of a step is taken from x in place of the current point.
        pull: an adversarial point is drawn to this share of its perturbation.
        patience: an example ends its run when this many steps shortened nothing by 0.1 %.

    Returns:
        The nearest misclassified images found (N, C, H, W); the original where none was.
    """
    oracle = Oracle.of(model)
    nearest = Nearest(x, y, norm)
    logits = oracle.logits(x, keys)
    nearest.see(torch.arange(len(x), device=x.device), x, logits)
    rows = nearest.unsettled()
    if len(rows) == 0:
        return nearest.x_adv
    all_keys, x, y, keys = keys, x[rows], y[rows], keys[rows]
    classes = likeliest_wrong(logits[rows], y, targets or logits.shape[1])
    aims = classes if targets else [None]

    def linearized(point: Tensor, those: Tensor, aim: Tensor | None) -> Ascent:
        if aim is not None:
            return oracle.ascent(point, keys[those], gap, y[those], aim[those])
        return nearest_gap(oracle, point, keys[those], y[those], classes.T[those], norm)

    for run in range(restarts * len(aims)):
        aim = aims[run % len(aims)]
        state = keyed.stream(keys, seed, "fab", run)
        if run >= len(aims):
            reach = torch.minimum(nearest.distance[rows], farthest(x, norm)) / 2
            noise = keyed.uniform(keyed.stream(state, "start"), x.shape[1:]) * 2 - 1
            point = (x + shell(noise, norm, reach)).clamp(0, 1)
        else:
            point = x if start is None or run else start[rows]
        alive = torch.arange(len(rows), device=x.device)
        shortest = torch.full((len(rows),), torch.inf, device=x.device)
        stale = torch.zeros_like(alive)
        for step in range(steps):
            seen = linearized(point, alive, aim)
            fell = nearest.see(rows[alive], point, seen.logits)
            grad = moving(seen.grad, state[alive], step)
            size = length((point - x[alive]).double(), norm).float()
            shorter = fell & (size < 0.999 * shortest[alive])
            shortest[alive] = size.where(shorter, shortest[alive])
            # Counted from the first adversarial image on: before, the run has not arrived.
            waiting = shortest[alive].isinf() | shorter
            stale[alive] = torch.where(waiting, 0, stale[alive] + 1)
            stay = stale[alive] < patience
            alive, point, fell, grad = alive[stay], point[stay], fell[stay], grad[stay]
            if len(alive) == 0:
                break
            point = _step(
                point, x[alive], grad, -seen.loss[stay], fell, norm, overshoot, bias, pull
            )
        if len(alive):
            nearest.see(rows[alive], point, oracle.logits(point, keys[alive]))
    nearest.draw_in(oracle, all_keys, rows)
    return nearest.x_adv


def _step(
    point: Tensor,
    x: Tensor,
    grad: Tensor,
    needed: Tensor,
    fell: Tensor,
    norm: str,
    overshoot: float,
    bias: float,
    pull: float,
) -> Tensor:
    """The next point: across the linear boundary from `point` and from x, mixed.

    `needed` (N,) is what the boundary needs from `point`, where `grad` was taken.
    """
    back = (grad.double() * (x - point)).flatten(1).sum(dim=1).float()
    share = (1 - pull) * fell
    point = point + column(share, point) * (x - point)
    towards = cross(point, grad, needed - share * back, norm)
    across = cross(x, grad, needed - back, norm)
    near = length(towards.double(), norm).float()
    far = length(across.double(), norm).float()
    weight = column((near / (near + far).clamp_min(1e-8)).clamp_max(bias), point)
    point = (1 - weight) * (point + overshoot * towards)
    return (point + weight * (x + overshoot * across)).clamp(0, 1)
