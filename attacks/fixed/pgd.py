"""Projected gradient descent (Madry et al. 2018, arXiv:1706.06083), with what made it stronger."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .. import keyed
from ..losses import LOSSES, Aim, towards
from ..oracle import Oracle
from ..search import Trail, first_points, moving, those
from ..threat import ThreatModel, column, length
from .sparse import sparse


def pgd(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    keys: Tensor,
    start: Tensor | None = None,
    seed: int = 0,
    steps: int = 40,
    restarts: int = 1,
    step_size: float = 2.5,
    momentum: float = 0.0,
    random_start: bool = True,
    pixels: float = 0.01,
    targets: int = 0,
    loss: Literal["cross_entropy", "margin", "dlr"] = "cross_entropy",
) -> Tensor:
    """Steepest ascent from random starts, projected onto ball and box after each step.

    An example is done at the first point of its path that is misclassified, and that point is
    returned; for the others, the point of highest loss.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K).
        x, y: images and labels (N,).
        threat: norm and budget.
        keys: (N,) the examples' indices, from which each start follows.
        start: images to begin the first run from, in place of its random start; NaN for an
            example that has none.
        seed: changes every random start.
        steps: gradient steps of each run.
        restarts: runs, each from its own start uniform in the ball.
        step_size: length of a step, in units of eps / steps.
        momentum: decay of the accumulated gradient (MI-FGSM, Dong et al. 2018, which begins at the
            image: `random_start: false`); 0 is plain PGD.
        random_start: False lets the first run begin at the image itself (Kurakin et al. 2017,
            arXiv:1611.01236).
        pixels: in L1, the share of an image's entries that a step moves, the steepest that can
            (Tramer and Boneh 2019, arXiv:1904.13000).
        targets: with targets = t, each restart is t runs, one towards each of the t likeliest
            wrong classes, climbing its logit over the label's (MultiTargeted, Gowal et al. 2019,
            arXiv:1910.09338). An untargeted loss follows whichever class leads and can settle at
            a boundary that is not the nearest.
        loss: what is climbed without targets.

    Returns:
        Perturbed images (N, C, H, W) inside ball and box.
    """
    oracle = Oracle.of(model)
    trail = Trail(x)
    share = torch.full_like(y, pixels, dtype=x.dtype) if threat.norm == "l1" else None
    aims: list[Aim] = [(LOSSES[loss], (y,))]
    if targets:
        aims = towards(oracle.logits(x, keys), y, targets, "margin")
    for run in range(restarts * len(aims)):
        rows = trail.unbroken()
        if len(rows) == 0:
            break
        climbed, all_labels = aims[run % len(aims)]
        mine, *labels = (each[rows] for each in (keys, *all_labels))
        state = keyed.stream(mine, seed, "pgd", run)
        begin = None if random_start or run >= len(aims) else x[rows]
        if start is not None and run == 0:
            begin = start[rows]
        point = first_points(begin, x[rows], threat[rows], state)
        ball = threat[rows].around(x[rows])
        velocity = torch.zeros_like(point) if momentum else None
        for step in range(steps):
            seen = oracle.ascent(point, mine, climbed, *labels)
            stay = trail.see(rows, point, seen.logits, labels[0], seen.loss)
            rows, mine, state, ball, *labels = those(stay, rows, mine, state, ball, *labels)
            point, grad = those(stay, point, seen.grad)
            if len(rows) == 0:
                break
            grad = moving(grad, state, step)
            if velocity is not None:
                size = length(grad.double(), "l1").float()
                (velocity,) = those(stay, velocity)
                grad = velocity = momentum * velocity + grad / column(size, grad)
            near = ball.threat
            steepest = (
                sparse(grad, point, share[rows]) if share is not None else near.steepest(grad)
            )
            move = steepest.mul_(near.eps * (step_size / steps))
            point = ball.project(move.add_(point))
        trail.look(oracle, rows, point, mine, climbed, labels)
    return trail.x_adv
