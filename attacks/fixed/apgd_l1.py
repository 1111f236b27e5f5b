"""Auto-PGD in the L1 ball (Croce and Hein 2021, arXiv:2103.01208): steps of few pixels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .. import keyed
from ..losses import LOSSES, towards
from ..oracle import Oracle
from ..search import Trail, first_points, moving, those
from ..threat import ThreatModel, column
from .sparse import sparse

# Radii of a run in units of eps, each with the share of the steps that come before it. What was
# found in a larger ball is drawn into the next one: few pixels matter, and finding them takes room.
STAGES = ((3.0, 0.0), (2.0, 0.3), (1.0, 0.6))
# The first steps move this share of the pixels; later ones the best point's share, over SPARSER.
FEW, SPARSER = 0.2, 1.5
# Steps start at the radius and shrink to this share of it. The paper stops at 0.1, from where some
# linear networks are missed at 1.02 of their optimum; trained ones fare alike with either.
SHORTEST = 0.05


def apgd_l1(
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
    """Sparse projected ascent through balls of 3, 2 and 1 eps, each from the best point before.

    An example is done at the first point inside eps that is misclassified, and that point is
    returned; for the others, the point of highest loss inside eps. A run that breaks nothing
    costs steps + 2 forward and steps backward passes.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K).
        x, y: images and labels (N,).
        threat: norm "l1" and budget.
        keys: (N,) the examples' indices, from which each start follows.
        start: images to begin the first run from, in place of its random start; NaN for an
            example that has none.
        seed: changes every random start.
        steps: gradient steps of each run, in all three balls together.
        restarts: runs, each from its own start, Gaussian noise drawn into the largest ball.
        targets: with targets = t, each restart is t runs, one towards each of the t likeliest
            wrong classes, K - 1 at most. They climb the targeted DLR, or the target's logit over
            the label's where K < 4 or loss is "margin".
        loss: what is climbed without targets.

    Returns:
        Perturbed images (N, C, H, W) inside ball and box.
    """
    oracle = Oracle.of(model)
    trail = Trail(x)
    # In a run of few steps a smaller ball takes the place of a larger one.
    radii = {int(before * steps): radius for radius, before in STAGES}
    window = max(int(0.04 * steps / len(STAGES)), 1)
    pixels = x.shape[1:].numel()
    aims = towards(oracle.logits(x, keys), y, targets, loss) if targets else [(LOSSES[loss], (y,))]
    for run in range(restarts * len(aims)):
        rows = trail.unbroken()
        if len(rows) == 0:
            break
        climbed, all_labels = aims[run % len(aims)]
        mine, *labels = (each[rows] for each in (keys, *all_labels))
        state = keyed.stream(mine, seed, "apgd_l1", run)
        begin = start[rows] if start is not None and run == 0 else None
        ball = ThreatModel("l1", radii[0] * threat.eps)
        point = first_points(begin, x[rows], ball[rows], state, _noise)
        best = best_grad = point
        share = torch.full(rows.shape, FEW, device=x.device)
        size, moved = torch.ones_like(share), torch.full_like(share, pixels)
        for step in range(steps):
            began = max(each for each in radii if each <= step)
            if step == began > 0:
                ball = ThreatModel("l1", radii[step] * threat.eps)
                point = ball[rows].project(best, x[rows])
                moved = _moved(point, x[rows])
                share, size = moved / (pixels * SPARSER), torch.ones_like(size)
            if step == began:
                highest = torch.full_like(size, -torch.inf)
            seen = oracle.ascent(point, mine, climbed, *labels)
            grad, value = moving(seen.grad, state, step), seen.loss
            if radii[began] == 1:
                stay = trail.see(rows, point, seen.logits, labels[0], value)
                rows, mine, state, *labels = those(stay, rows, mine, state, *labels)
                if len(rows) == 0:
                    break
                point, grad, value, best, best_grad = those(
                    stay, point, grad, value, best, best_grad
                )
                highest, share, size, moved = those(stay, highest, share, size, moved)
            better = value > highest
            highest = torch.where(better, value, highest)
            best = torch.where(column(better, point), point, best)
            best_grad = torch.where(column(better, point), grad, best_grad)
            if step > began and (step - began) % window == 0:
                # Where the best point became sparser, search around it with long steps of still
                # fewer pixels; elsewhere with shorter ones.
                now = _moved(best, x[rows])
                fewer = now < 0.95 * moved
                share, moved = now / (pixels * SPARSER), now
                size = torch.where(fewer, 1, (size / 1.5).clamp_min(SHORTEST))
                back = column(fewer, point)
                point, grad = torch.where(back, best, point), torch.where(back, best_grad, grad)
            near = ball[rows]
            length = near.eps * column(size, point)
            point = near.project(point + length * sparse(grad, point, share), x[rows])
        if len(rows) == 0:
            continue
        last = threat[rows].project(point, x[rows])
        stay = trail.look(oracle, rows, last, mine, climbed, labels)
        # Steps end near an optimum at the edge of the box; the whole budget by the gradient at the
        # best point hits it.
        rows, mine, best_grad, *labels = those(stay, rows, mine, best_grad, *labels)
        if steps:
            end = threat[rows].extreme(best_grad, x[rows])
            trail.look(oracle, rows, end, mine, climbed, labels)
    return trail.x_adv


def _moved(point: Tensor, x: Tensor) -> Tensor:
    """How many entries of each image differ from the original, (N,) float."""
    return (point != x).flatten(1).sum(dim=1).float()


def _noise(state: Tensor, shape: tuple[int, ...], threat: ThreatModel) -> Tensor:
    return keyed.normal(state, shape)
