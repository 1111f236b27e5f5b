"""Gradient ascent on a transformation's parameters (Engstrom et al. 2019, arXiv:1712.02779)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from .. import keyed
from ..losses import LOSSES
from ..oracle import Oracle
from ..search import Trail, moving
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
    trail = Trail(threat.unchanged(x))
    climbed = LOSSES[loss]
    for run in range(restarts):
        rows = trail.unbroken()
        if len(rows) == 0:
            break
        state = keyed.stream(keys, seed, "steepest", run)
        theta = threat[rows].random(state[rows])
        if start is not None and run == 0:
            given = column(start[rows].isfinite().all(dim=1), theta)
            begin = start[rows].where(given, 0)
            theta = threat[rows].at(threat[rows].units(begin)).where(given, theta)
        for step in range(steps):
            near = threat[rows]
            seen = oracle.ascent(near.image(theta, x[rows]), keys[rows], climbed, y[rows])
            stay = trail.see(rows, theta, seen.logits, y[rows], seen.loss)
            rows, theta, grad = rows[stay], theta[stay], seen.grad[stay]
            if len(rows) == 0:
                break
            near = threat[rows]
            grad = moving(near.pull(theta, x[rows], grad), keyed.stream(state[rows], step))
            stride = step_size * (1 - step / steps)
            theta = near.at(near.units(theta) + stride * grad.sign())
        if len(rows):
            logits = oracle.logits(threat[rows].image(theta, x[rows]), keys[rows])
            trail.see(rows, theta, logits, y[rows], climbed(logits, y[rows]))
    return trail.x_adv
