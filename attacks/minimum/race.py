"""Which searches for the nearest adversarial image go on, where one within a reach is wanted."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

# Where gradients mislead nobody, the first steps find the nearest image and the rest polish it: a
# search that is farther away than this, and came no nearer by this share between these steps, has
# arrived.
FROM, UNTIL, FAR, NEARER = 10, 20, 1.15, 0.02


class Race:
    """Searches that leave where they fall behind the pace of those that come within reach.

    Most are far from it, and known to be after a third of the steps.

    Args:
        reach: (N,) the largest distance that is of use for each search.
        pace: after so many of `of` steps, of a search that ends within reach, the nearest
            adversarial image is at most so many reaches away.
        steps: that are to be made in place of `of`.
    """

    def __init__(self, reach: Tensor, pace: Mapping[int, float], steps: int, of: int) -> None:
        def scaled(mark: int) -> int:
            return max(1, mark * steps // of)

        self._reach = reach
        self._pace = {scaled(mark): most for mark, most in pace.items()}
        self._since, self._arrived = scaled(FROM), scaled(UNTIL)
        self._before = torch.full_like(reach, torch.inf)

    def looks(self, step: int) -> bool:
        """Whether anyone may leave before this step."""
        return step in (self._since, self._arrived, *self._pace)

    def stay(self, step: int, rows: Tensor, distance: Tensor) -> Tensor:
        """Which of the searches `rows` (M,) go on, (M,) bool, by what all have found, (N,)."""
        far = distance[rows] / self._reach[rows]
        stay = far <= self._pace.get(step, torch.inf)
        if step == self._arrived:
            nearer = distance[rows] < (1 - NEARER) * self._before[rows]
            stay &= nearer | (far <= FAR)
        if step == self._since:
            self._before = distance.clone()
        return stay
