"""Fast adaptive boundary attack (Croce and Hein 2020, arXiv:1907.02044), targeted and not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from .. import keyed
from ..losses import likeliest_wrong
from ..oracle import Oracle
from ..search import in_parts, moving, those
from ..threat import column, length, total
from .boundary import cross, farthest, nearest_gap, shell
from .nearest import Nearest
from .race import Race

# In a race, a restart is for examples within so many budgets, and after the second for those that
# the one before brought nearer by this share. On networks that mislead gradients the third and
# fourth still break images; elsewhere the second finds nothing and is the last.
CLOSE, NEARER = 1.35, 0.01
# And within a run: after so many of 60 steps, of a run that ends within the budget, the nearest
# adversarial image is at most so many budgets away. In L2, of 113 first runs and restarts that
# broke an image, on nine networks of docs/attacks.md and two budgets each, one was given up, and 2
# to 55 of 100 steps; in L-infinity of 28, on six of them after the attacks before FAB, none.
PACE = {
    "l2": {20: 3.0, 30: 2.0, 40: 1.6},
    "linf": {8: 2.5, 12: 2.0, 20: 1.4, 30: 1.25},
}


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
    reach: Tensor | None = None,
    race: bool = False,
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
        targets: with targets = t, each restart is t runs side by side, one towards each of the t
            likeliest wrong classes of x. With 0 it is one run that compares all classes at each
            step, at a backward pass for each, by their distances were there no box, as published:
            where the box is in the way, in L1 above all, the nearest class may be another.
        overshoot: length of a step, in units of the projection.
        bias: at most this share of a step is taken from x in place of the current point.
        pull: an adversarial point is drawn to this share of its perturbation.
        patience: an example ends its run when this many steps shortened nothing by 0.1 %.
        reach: (N,) the largest distance that is of use for each example.
        race: end an example's restarts where it is far beyond `reach`, or where the last one gained
            nothing (see CLOSE), and in L2 and L-infinity the runs that fall behind (see PACE).

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
    wrong = likeliest_wrong(logits[rows], y[rows], targets or logits.shape[1])
    runs = len(wrong) if targets else 1
    onward = partial(_step, norm=norm, overshoot=overshoot, bias=bias, pull=pull)
    going = torch.arange(len(rows), device=x.device)
    before = nearest.distance[rows]
    for restart in range(restarts):
        if reach is not None and race and restart:
            distance = nearest.distance[rows]
            stay = distance <= CLOSE * reach[rows]
            if restart > 1:
                stay &= distance < (1 - NEARER) * before
            before, going = distance, going[stay[going]]
            if len(going) == 0:
                break
        for part in in_parts(oracle, x, going, runs):
            which = part.repeat(runs)
            mine = rows[which]
            number = torch.arange(runs, device=x.device).repeat_interleave(len(part))
            state = keyed.stream(keys[mine], seed, "fab", restart * runs + number)
            point = x[mine]
            if restart:
                radius = torch.minimum(nearest.distance[mine], farthest(point, norm)) / 2
                noise = keyed.uniform(keyed.stream(state, "start"), x.shape[1:]) * 2 - 1
                point = (point + shell(noise, norm, radius)).clamp(0, 1)
            elif start is not None:
                point = torch.where(column(number == 0, point), start[mine], point)
            aims = wrong[number, which, None] if targets else wrong.T[which]
            found = Nearest(x[mine], y[mine], norm)
            searches = None
            if race and reach is not None and norm in PACE:
                searches = Race(reach[mine], PACE[norm], steps, of=60)
            _walk(oracle, found, point, keys[mine], aims, state, steps, patience, onward, searches)
            nearest.take_best(rows[part], found)
    nearest.draw_in(oracle, keys, rows)
    return nearest.x_adv


def _walk(
    oracle: Oracle,
    nearest: Nearest,
    point: Tensor,
    keys: Tensor,
    aims: Tensor,
    state: Tensor,
    steps: int,
    patience: int,
    onward: Callable[..., Tensor],
    searches: Race | None,
) -> None:
    """Walk from each image of `point`; the nearest that are misclassified are kept in `nearest`.

    `aims` (N, T) are the classes whose boundaries are compared at each step, `onward` is `_step`,
    `searches` tells who leaves early.
    """
    x, y, norm = nearest.x, nearest.y, nearest.norm
    alive = torch.arange(len(x), device=x.device)
    stale = torch.zeros_like(alive)
    for step in range(steps):
        seen = nearest_gap(oracle, point, keys[alive], y[alive], aims[alive], norm)
        before = nearest.distance[alive]
        fell = nearest.see(alive, point, seen.logits)
        grad = moving(seen.grad, state[alive], step)
        # Counted from the first adversarial image on: before, the run has not arrived.
        waiting = before.isinf() | (nearest.distance[alive] < 0.999 * before)
        stale = torch.where(waiting, 0, stale + 1)
        stay = stale < patience
        if searches is not None and searches.looks(step):
            stay &= searches.stay(step, alive, nearest.distance)
        alive, stale, point, grad, fell, gap = those(
            stay, alive, stale, point, grad, fell, seen.loss
        )
        if len(alive) == 0:
            return
        point = onward(point, x[alive], grad, -gap, fell)
    nearest.see(alive, point, oracle.logits(point, keys[alive]))


def _step(
    point: Tensor,
    x: Tensor,
    grad: Tensor,
    needed: Tensor,
    fell: Tensor,
    *,
    norm: str,
    overshoot: float,
    bias: float,
    pull: float,
) -> Tensor:
    """The next point: across the linear boundary from `point` and from x, mixed.

    `needed` (N,) is what the boundary needs from `point`, where `grad` was taken.
    """
    back = total((grad * (x - point)).flatten(1))
    share = (1 - pull) * fell
    point = point + column(share, point) * (x - point)
    towards = cross(point, grad, needed - share * back, norm)
    across = cross(x, grad, needed - back, norm)
    near, far = length(towards, norm), length(across, norm)
    weight = column((near / (near + far).clamp_min(1e-8)).clamp_max(bias), point)
    point = (1 - weight) * (point + overshoot * towards)
    return (point + weight * (x + overshoot * across)).clamp(0, 1)
