"""What gradient attacks share: the best point on each example's path, and where to go next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from . import keyed
from .losses import is_broken, margin
from .noise import Draw, in_ball
from .oracle import Oracle
from .threat import ThreatModel, column

# Runs that are under way together, in units of the oracle's slots, and on a CPU the numbers of
# their images: what bounds the memory. An attack holds some ten times as many numbers.
SLOTFULS, NUMBERS = 8, 2**22


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

    def see(
        self, rows: Tensor, points: Tensor, logits: Tensor, y: Tensor, loss: Tensor
    ) -> Tensor | None:
        """Take note of `points` for the examples `rows`; return which stay unbroken, (M,) bool,
        or None if all do.

        `rows` (M,) are increasing.
        """
        # Few operations: beside a small network's step, each is felt.
        fell = is_broken(logits, y)
        some = bool(fell.any())
        whole = len(rows) == len(self.x_adv)
        better = loss > (self._loss if whole else self._loss[rows])
        if some:
            better |= fell
        if whole:
            self.x_adv = torch.where(column(better, points), points, self.x_adv)
            self._loss = torch.where(better, loss, self._loss)
        else:
            better = better.nonzero()[:, 0]
            at = rows[better]
            self.x_adv.index_copy_(0, at, points.index_select(0, better))
            self._loss.index_copy_(0, at, loss[better])
        if not some:
            return None
        self.broken[rows[fell]] = True
        return ~fell

    def look(
        self,
        oracle: Oracle,
        rows: Tensor,
        points: Tensor,
        keys: Tensor,
        climbed: Callable[..., Tensor],
        labels: Sequence[Tensor],
    ) -> Tensor | None:
        """Ask the model about `points` and `see` them: for where a run ends.

        `labels`, what `climbed` takes beside logits, begin with the true ones.
        """
        if len(rows) == 0:
            return None
        logits = oracle.logits(points, keys)
        return self.see(rows, points, logits, labels[0], climbed(logits, *labels))


def in_parts(oracle: Oracle, x: Tensor, rows: Tensor, runs: int) -> Sequence[Tensor]:
    """`rows` (M,) of the images `x` in parts small enough that `runs` of each can be under way
    together."""
    most = SLOTFULS * oracle.slots
    if x.device.type == "cpu":
        most = max(oracle.slots, min(most, NUMBERS // x.shape[1:].numel()))
    return rows.split(max(1, most // runs))


def those(stay: Tensor | None, *each: Any) -> list[Any]:
    """The examples `stay`, (M,) bool or None for all, of each tensor, threat model or ball; no copy
    if all do."""
    if stay is None or bool(stay.all()):
        return list(each)
    return [values[stay] for values in each]


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


def moving(grad: Tensor, keys: Tensor, *purpose: int | str) -> Tensor:
    """`grad`, with a keyed random direction for each example whose gradient is exactly zero.

    A zero gradient says nothing about where to go: a saturated or masked network would stop the
    search at its first point. `keys` (N,) and `purpose` are those of `keyed.stream`.
    """
    flat = grad.flatten(1)
    # A few pixels tell of nearly every image that its gradient is not zero.
    still = ~flat[:, :: max(1, flat.shape[1] // 16)].any(dim=1)
    if still.any():
        still[still.clone()] = ~flat[still].any(dim=1)
    if not still.any():
        return grad
    grad = grad.clone()
    grad[still] = keyed.normal(keyed.stream(keys[still], *purpose), grad.shape[1:])
    return grad


def share_left(
    oracle: Oracle, x: Tensor, y: Tensor, keys: Tensor, closest: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """How much of the clean margin is left at the best unbroken image that is known.

    0 is the boundary, 1 is nothing gained. It says how close an example came to falling, whatever
    the scale of the logits; an attack that goes by it spends its budget where it helps, and no
    example's verdict depends on its company.

    Args:
        x, y, keys: images, labels and indices (N, ...).
        closest: for each example the unbroken image of least margin that is known, NaN where none
            is; or None.

    Returns:
        The clean margin (N,), the share that is left (N,), infinite where no image is known, and
        the logits (N, K) at that image, else at x.
    """
    logits = oracle.logits(x, keys)
    clean = margin(logits, y)
    left = torch.full_like(clean, torch.inf)
    if closest is None:
        return clean, left, logits
    # An example that stands on the boundary already has no margin to take a share of.
    known = (closest.flatten(1).isfinite().all(dim=1) & (clean < 0)).nonzero()[:, 0]
    if len(known):
        logits[known] = oracle.logits(closest[known], keys[known])
        found = margin(logits[known], y[known]) / clean[known]
        # An attack that ended farther from the boundary than it began tells nothing.
        left[known] = torch.where(found <= 1, found, torch.inf)
    return clean, left, logits
