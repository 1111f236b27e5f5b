"""Auto-PGD (Croce and Hein 2020, arXiv:2003.01690): each example finds its own step size."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .. import keyed
from ..losses import LOSSES, towards
from ..noise import on_surface
from ..oracle import Oracle
from ..search import Trail, first_points, moving, those
from ..threat import ThreatModel, column

# Share of a step that follows the gradient; the rest repeats the move before.
FORWARD = 0.75
# A step size is kept if more than this share of its steps raised the loss.
RISING = 0.75


def apgd(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    keys: Tensor,
    start: Tensor | None = None,
    seed: int = 0,
    steps: int = 100,
    restarts: int = 1,
    targets: int = 0,
    loss: Literal["cross_entropy", "margin", "dlr"] = "cross_entropy",
) -> Tensor:
    """Projected ascent with momentum, from steps of 2 eps that halve where they stop to pay.

    An example is done at the first point of its path that is misclassified, and that point is
    returned; for the others, the point of highest loss. A run that breaks nothing costs
    steps + 1 forward and steps backward passes.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K).
        x, y: images and labels (N,).
        threat: norm ("linf" or "l2") and budget.
        keys: (N,) the examples' indices, from which each start follows.
        start: images to begin the first run from, in place of its random start; NaN for an
            example that has none.
        seed: changes every random start.
        steps: gradient steps of each run.
        restarts: runs, each from its own start on the surface of the ball.
        targets: with targets = t, each restart is t runs, one towards each of the t likeliest
            wrong classes, K - 1 at most. They climb the targeted DLR, or the target's logit over
            the label's where K < 4 or loss is "margin".
        loss: what is climbed without targets.

    Returns:
        Perturbed images (N, C, H, W) inside ball and box.
    """
    oracle = Oracle.of(model)
    trail = Trail(x)
    windows = checkpoints(steps)
    aims = towards(oracle.logits(x, keys), y, targets, loss) if targets else [(LOSSES[loss], (y,))]
    for run in range(restarts * len(aims)):
        rows = trail.unbroken()
        if len(rows) == 0:
            break
        climbed, all_labels = aims[run % len(aims)]
        mine, *labels = (each[rows] for each in (keys, *all_labels))
        state = keyed.stream(mine, seed, "apgd", run)
        begin = start[rows] if start is not None and run == 0 else None
        point = first_points(begin, x[rows], threat[rows], state, on_surface)
        previous = best = best_grad = point
        ball, pace = threat[rows].around(x[rows]), Pace(rows)
        for step in range(steps):
            seen = oracle.ascent(point, mine, climbed, *labels)
            stay = trail.see(rows, point, seen.logits, labels[0], seen.loss)
            rows, mine, state, ball, *labels = those(stay, rows, mine, state, ball, *labels)
            if len(rows) == 0:
                break
            pace.keep(stay)
            point, previous, best, best_grad = those(stay, point, previous, best, best_grad)
            loss_now, grad = those(stay, seen.loss, seen.grad)
            grad = moving(grad, state, step)
            better = column(pace.see(loss_now), point)
            best = torch.where(better, point, best)
            best_grad = torch.where(better, grad, best_grad)
            if step in windows:
                back = column(pace.halve(windows[step]), point)
                point, grad = torch.where(back, best, point), torch.where(back, best_grad, grad)
            length = ball.threat.eps * column(pace.size, point)
            ahead = ball.project(point + length * ball.threat.steepest(grad))
            if step:
                move = FORWARD * (ahead - point) + (1 - FORWARD) * (point - previous)
                ahead = ball.project(point + move)
            previous, point = point, ahead
        trail.look(oracle, rows, point, mine, climbed, labels)
    return trail.x_adv


def checkpoints(steps: int) -> dict[int, int]:
    """The steps at which step sizes are looked at, each with the steps since the one before.

    The first at 22 % of the run; each window 3 % shorter than the last, down to 6 %.
    """
    window, shortest = max(int(0.22 * steps), 1), max(int(0.06 * steps), 1)
    shorter = max(int(0.03 * steps), 1)
    found = {}
    at = window
    while at < steps:
        found[at] = window
        window = max(window - shorter, shortest)
        at += window
    return found


class Pace:
    """The step size of each example, and what decides when it halves.

    Attributes:
        size: (M,) length of a step in units of eps.
    """

    def __init__(self, rows: Tensor) -> None:
        self.size = torch.full((len(rows),), 2.0, device=rows.device)
        self._loss = torch.full_like(self.size, torch.inf)  # so that the start is no rise
        self._best = torch.full_like(self.size, -torch.inf)
        self._best_before = self._best
        self._rises = torch.zeros_like(self.size)
        self._halved = torch.ones_like(self.size, dtype=torch.bool)

    def keep(self, stay: Tensor | None) -> None:
        """Forget the examples that are not among `stay`, (M,) bool; None: forget none."""
        state = vars(self)
        state.update(zip(state, those(stay, *state.values()), strict=True))

    def see(self, loss: Tensor) -> Tensor:
        """Take note of the loss (M,) at the next point of each path; where it is the highest."""
        self._rises = self._rises + (loss > self._loss)
        better = loss > self._best
        self._loss, self._best = loss, torch.where(better, loss, self._best)
        return better

    def halve(self, window: int) -> Tensor:
        """Halve the steps of the examples that stopped to gain; which they are, (M,) bool.

        Those go on from their best point. An example stopped to gain in this window if too few
        of its steps raised the loss; or if none found a new best point, unless the steps were
        halved just before.
        """
        stuck = ~self._halved & (self._best <= self._best_before)
        self._halved = stuck | (self._rises <= RISING * window)
        self.size = torch.where(self._halved, self.size / 2, self.size)
        self._loss = torch.where(self._halved, self._best, self._loss)
        self._best_before = self._best
        self._rises = torch.zeros_like(self._rises)
        return self._halved
