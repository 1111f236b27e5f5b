"""Square: random search with square windows (Andriushchenko et al. 2020, arXiv:1912.00049).

It asks for logits alone, so that a network which hides its gradients gains nothing by it. Each
example draws windows and colours of its own. The L1 form is that of Croce and Hein 2021
(arXiv:2103.01208).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .. import keyed
from ..losses import is_broken, margin
from ..oracle import Oracle
from ..search import Trail, first_points
from ..threat import ThreatModel, column
from .windows import HALVINGS, Bumps, Stripes

# How often a proposal that changes nothing is drawn anew, before a query is spent on it.
_REDRAWS = 3


def square(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    keys: Tensor,
    start: Tensor | None = None,
    seed: int = 0,
    queries: int = 5000,
    restarts: int = 1,
    share: float = 0.8,
) -> Tensor:
    """Recolour a window, keep it if the margin rose; windows shrink as the queries are spent.

    An example is done at the first point that is misclassified, and that point is returned; for
    the others, the point of highest margin.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K); asked for no gradient.
        x, y: images and labels (N,).
        threat: norm and budget.
        keys: (N,) the examples' indices, from which every proposal follows.
        start: images to begin the first run from, in place of its random start; NaN for an
            example that has none.
        seed: changes every random draw.
        queries: forward passes of each run, the start's included. The schedule is scaled to them.
        restarts: runs, each with draws of its own.
        share: of the pixels in the first windows (p_init of the paper).

    Returns:
        Perturbed images (N, C, H, W) inside ball and box.
    """
    oracle = Oracle.of(model)
    trail = Trail(x)
    search = Stripes(x, share) if threat.norm == "linf" else Bumps(x, share, threat.norm)
    halvings = torch.tensor(HALVINGS, device=x.device)
    for run in range(restarts):
        rows = trail.unbroken()
        if len(rows) == 0:
            break
        state = keyed.stream(keys, seed, "square", run)
        begin = start[rows] if start is not None and run == 0 else None
        point = first_points(begin, x[rows], threat[rows], state[rows], search.first)
        logits = oracle.logits(point, keys[rows])
        highest = margin(logits, y[rows])
        stay = trail.see(rows, point, logits, y[rows], highest)
        stay &= torch.as_tensor(threat[rows].eps > 0, device=x.device).flatten()
        rows, point, highest = rows[stay], point[stay], highest[stay]
        asked = torch.ones_like(rows)
        while len(rows) and queries > 1:
            # A proposal depends on the point and its number alone. So as many as fill the slots
            # are asked at once, and those after the first that is kept are forgotten: the path
            # is that of one query after another, and so is what is charged.
            group = max(1, oracle.slots // len(rows))
            which = torch.arange(len(rows), device=x.device).repeat_interleave(group)
            number = asked[which] + torch.arange(group, device=x.device).repeat(len(rows))
            draw = keyed.stream(state[rows][which], number)
            age = torch.bucketize(number * 10_000 // queries, halvings)
            near = threat[rows][which]
            tried = _redrawn(search, x[rows][which], point[which], near, draw, age)
            logits = oracle.logits(tried)
            value, labels = margin(logits, y[rows][which]), y[rows][which]
            kept = (value > highest[which]) | is_broken(logits, labels)
            kept = (kept & (number < queries)).view(-1, group)
            risen = kept.any(dim=1)
            first = torch.where(risen, kept.int().argmax(dim=1), group - 1)
            spent = torch.minimum(first + 1, queries - asked)
            oracle.charge(keys[rows], forwards=spent)
            asked = asked + spent
            taken = torch.arange(len(rows), device=x.device) * group + first
            point = torch.where(column(risen, point), tried[taken], point)
            highest = torch.where(risen, value[taken], highest)
            stay = torch.ones_like(risen)
            stay[risen] = trail.see(
                rows[risen], point[risen], logits[taken[risen]], y[rows[risen]], highest[risen]
            )
            stay &= asked < queries
            rows, point, highest, asked = rows[stay], point[stay], highest[stay], asked[stay]
    return trail.x_adv


def _redrawn(
    search: Stripes | Bumps,
    x: Tensor,
    point: Tensor,
    threat: ThreatModel,
    draw: Tensor,
    age: Tensor,
) -> Tensor:
    """A proposal for each example, drawn anew where it would change nothing."""
    tried = search.propose(x, point, threat, draw, age)
    for again in range(_REDRAWS):
        same = (tried == point).flatten(1).all(dim=1).nonzero()[:, 0]
        if len(same) == 0:
            break
        anew = keyed.stream(draw[same], again)
        tried[same] = search.propose(x[same], point[same], threat[same], anew, age[same])
    return tried
