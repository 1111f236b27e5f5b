"""What gradient attacks share: the best point on each example's path, and where to go next."""

from __future__ import annotations

import torch
from torch import Tensor

from . import keyed
from .losses import is_broken
from .noise import Draw, in_ball
from .threat import ThreatModel, column


class Trail:
    """The best point seen for each example: the one that broke it, else the highest loss.

    An example leaves the search at the first point that breaks it, so no pass is spent on what
    is decided, and the point returned is the point that was judged.

    Attributes:
        x_adv: (N, C, H, W), the original where nothing was seen yet.
        broken: (N,) bool.
    """

    def __init__(self, x: Tensor) -> None:
        self.x_adv = x.clone()
        self.broken = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        self._loss = torch.full((len(x),), -torch.inf, device=x.device)

    def unbroken(self) -> Tensor:
        """Indices (M,) of the examples still to be searched."""
        return (~self.broken).nonzero()[:, 0]

    def see(self, rows: Tensor, points: Tensor, logits: Tensor, y: Tensor, loss: Tensor) -> Tensor:
        """Take note of `points` for the examples `rows`; return which stay unbroken, (M,) bool."""
        fell = is_broken(logits, y)
        better = fell | (loss > self._loss[rows])
        self.x_adv[rows[better]] = points[better]
        self._loss[rows[better]] = loss[better]
        self.broken[rows[fell]] = True
        return ~fell


def first_points(
    start: Tensor | None, x: Tensor, threat: ThreatModel, state: Tensor, draw: Draw = in_ball
) -> Tensor:
    """Where a run begins: at `start` drawn into the ball, else at random, uniform in the ball.

    Args:
        start: images (N, C, H, W), NaN for an example that has none; or None for all.
        x: originals; threat: the ball.
        state: (N,) of `keyed.stream`, for the random starts.
        draw: the random starts, if not uniform in the ball.
    """
    random = threat.project(x + draw(state, tuple(x.shape[1:]), threat), x)
    if start is None:
        return random
    given = column(start.flatten(1).isfinite().all(dim=1), x)
    return torch.where(given, threat.project(torch.where(given, start, x), x), random)


def moving(grad: Tensor, state: Tensor) -> Tensor:
    """`grad`, with a keyed random direction for each example whose gradient is exactly zero.

    A zero gradient says nothing about where to go: a saturated or masked network would stop the
    search at its first point.
    """
    still = grad.flatten(1).abs().amax(dim=1) == 0
    if not still.any():
        return grad
    grad = grad.clone()
    grad[still] = keyed.normal(state[still], grad.shape[1:])
    return grad
