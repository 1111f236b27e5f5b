"""Towards every likely wrong class at once, for the examples that stand close to the boundary.

The targets are those of MultiTargeted (Gowal et al. 2019, arXiv:1910.09338). That broken examples
leave at each step, and that later rounds go to the examples nearest to the boundary, is Adaptive
Auto Attack's thought (Liu et al. 2022, arXiv:2203.05154). There a share of all examples goes on;
here each example decides for itself, so that its company changes nothing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import keyed
from ..losses import gap, is_broken, likeliest_wrong, margin
from ..noise import on_surface
from ..oracle import Oracle
from ..search import first_points, in_parts, moving, share_left, those
from ..threat import ThreatModel, column

# Share of a step that follows the gradient; the rest repeats the move before (as in Auto-PGD).
FORWARD = 0.75
# Length of the first step, in units of eps; it falls to 0 along half a cosine.
FIRST_STEP = 1.5
# The pace of a race: the share of the margin that may be left after so many twelfths of the steps,
# at the best point that a run came to after its start. Most of the classes that are aimed at are
# far away, and known to be by then. Of the runs that broke an image of benchmarks' fourteen
# networks from a known start, which then had to keep no pace (L-infinity and L2, 300 images, seed
# 0), the last had 0.45, 0.36, 0.32, 0.32, 0.21 and 0.06 left: on a network with average pooling
# (`averaged/masked`) they come near late, and must not be asked for more.
PACE = {2: 0.75, 3: 0.55, 4: 0.4, 6: 0.33, 8: 0.25, 10: 0.1}
# A pace of fewer steps than that would say nothing.
SOONEST = 3
# What a minimum-norm attack broke within so many budgets is worth refining, however far the other
# attacks stayed from the boundary.
CLOSE = 1.15


def multitargeted(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    keys: Tensor,
    start: Tensor | None = None,
    closest: Tensor | None = None,
    nearest: Tensor | None = None,
    seed: int = 0,
    targets: int = 9,
    restarts: int = 1,
    steps: int = 20,
    within: float = 1.0,
    refine: bool = False,
) -> Tensor:
    """Ascent with momentum on the logit of each of the likeliest wrong classes over the label's.

    All runs of an example advance together and end when the first of them breaks it. A run that
    breaks nothing costs steps + 1 forward and steps backward passes; one that does not keep up with
    the pace (PACE), a sixth of that or more.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K).
        x, y: images and labels (N,).
        threat: norm ("linf" or "l2") and budget.
        keys: (N,) the examples' indices, from which each start follows.
        start: images to begin the run towards the likeliest class from, in place of its random
            start; NaN for an example that has none.
        closest: for each example the unbroken image of least margin that is known, NaN where none
            is: the likeliest classes are those of that image, else of x.
        nearest: for each example the nearest misclassified image that is known, in the ball or not,
            NaN where none is; looked at to refine.
        seed: changes every random start.
        targets: number of wrong classes, from 1 to K - 1.
        restarts: runs towards each of them, each from its own start on the surface of the ball.
        steps: gradient steps of each run.
        within: only examples of which `closest` has left at most this share of the clean margin
            are attacked; what is far from the boundary after one honest attempt stays unbroken.
        refine: begin the first run towards each class at `closest`, and the second at `nearest`,
            drawn into the ball, where that is within CLOSE budgets, not at `start`; examples of
            which it is are attacked as well.

    Returns:
        Perturbed images (N, C, H, W) inside ball and box: the first that is misclassified, else
        the one of highest margin.
    """
    oracle = Oracle.of(model)
    clean, left, logits = share_left(oracle, x, y, keys, closest)
    chosen, near = (left <= within) | left.isinf(), None
    if refine and nearest is not None:
        reached = column(threat.distance(nearest, x), x) <= CLOSE * threat.eps
        chosen |= reached.flatten()
        near = threat.project(torch.where(reached, nearest, x), x)
        near = torch.where(reached, near, torch.nan)
    rows = chosen.nonzero()[:, 0]
    runs = likeliest_wrong(logits[rows], y[rows], max(1, targets)).repeat(restarts, 1)
    x_adv = x.clone()
    if len(rows) == 0:
        return x_adv
    # Of few classes there are fewer than `targets`.
    known, many = ([closest, near], len(runs) // restarts) if refine else ([start], 1)
    for part in in_parts(oracle, x, torch.arange(len(rows), device=x.device), len(runs)):
        some = rows[part]
        begin = [None if images is None else images[some] for images in known[:restarts]]
        begin = [images for images in begin for _ in range(many)]
        begin += [None] * (len(runs) - len(begin))
        state = keyed.stream(keys[some], seed, "multitargeted")
        x_adv[some] = _race(
            oracle,
            x[some],
            y[some],
            threat[some],
            keys[some],
            begin,
            state,
            runs[:, part],
            steps,
            clean[some],
        )
    return x_adv


def _race(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    keys: Tensor,
    begin: list[Tensor | None],
    state: Tensor,
    runs: Tensor,
    steps: int,
    clean: Tensor,
) -> Tensor:
    """The best image that the `runs` (R, N) towards their classes find for each.

    Each run begins at its images of `begin`, (N, C, H, W), at random where it has none or NaN.
    """
    count = len(x)
    owner = torch.arange(count, device=x.device).repeat(len(runs))
    aim = runs.flatten()
    number = torch.arange(len(runs), device=x.device).repeat_interleave(count)
    state = keyed.stream(state[owner], number)
    point = x.new_empty(len(owner), *x.shape[1:])
    # One run after the other: the draws of all together would take several times their memory.
    blocks = zip(point.split(count), begin, state.split(count), strict=True)
    for block, images, draws in blocks:
        block[:] = first_points(images, x, threat, draws, on_surface)
    best, highest = point.clone(), torch.full_like(aim, -torch.inf, dtype=x.dtype)
    lowest, since = torch.zeros_like(highest), highest.clone()
    marks = {part * steps // 12: most for part, most in PACE.items()}
    marks = {step: most for step, most in marks.items() if step >= SOONEST}
    live = torch.arange(len(owner), device=x.device)
    previous, ball = point, threat[owner].around(x[owner])
    broken = torch.zeros(count, dtype=torch.bool, device=x.device)
    for step in range(steps + 1):
        mine = owner[live]
        if step < steps:
            logits, _, grad = oracle.ascent(point, keys[mine], gap, y[mine], aim[live])
        else:
            logits = oracle.logits(point, keys[mine])
        height = margin(logits, y[mine])
        fell = is_broken(logits, y[mine])
        height = torch.where(fell, torch.inf, height)
        higher = height > highest[live]
        best[live[higher]], highest[live[higher]] = point[higher], height[higher]
        broken[mine[fell]] = True
        stay = ~broken[mine]
        if step == 0:
            # A random start may lie far behind the image, or the image almost on the boundary.
            lowest[live] = torch.minimum(clean[mine], height)
        else:
            since[live] = torch.maximum(since[live], height)
            if step in marks:
                stay &= since[live] >= marks[step] * lowest[live]
        if step == steps or not stay.any():
            break
        live, ball = those(stay, live, ball)
        point, previous, grad = those(stay, point, previous, grad)
        grad = moving(grad, state[live], step)
        size = FIRST_STEP * (1 + math.cos(math.pi * step / steps)) / 2
        near = ball.threat
        ahead = ball.project(point + near.eps * size * near.steepest(grad))
        if step:
            move = FORWARD * (ahead - point) + (1 - FORWARD) * (point - previous)
            ahead = ball.project(point + move)
        previous, point = point, ahead
    winner = highest.view(len(runs), count).argmax(dim=0)
    return best.view(len(runs), count, *x.shape[1:])[winner, torch.arange(count, device=x.device)]
