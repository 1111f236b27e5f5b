"""What minimum-norm attacks keep: the nearest misclassified point of each example."""

from __future__ import annotations

import torch
from torch import Tensor

from ..losses import is_broken
from ..oracle import Oracle
from ..threat import length


class Nearest:
    """The nearest misclassified point seen for each example: what a minimum-norm attack returns.

    Attributes:
        x, y, norm: originals (N, C, H, W), labels (N,), and the norm of the distance.
        x_adv: (N, C, H, W), the original where none was seen yet.
        distance: (N,), infinite where none was seen yet.
    """

    def __init__(self, x: Tensor, y: Tensor, norm: str) -> None:
        self.x_adv = x.clone()
        self.distance = torch.full((len(x),), torch.inf, device=x.device)
        self.x, self.y, self.norm = x, y, norm

    def see(self, rows: Tensor, points: Tensor, logits: Tensor) -> Tensor:
        """Take note of `points` for the examples `rows`; return which are wrong, (M,) bool."""
        fell = is_broken(logits, self.y[rows])
        reached = length((points - self.x[rows]).double(), self.norm).float()
        self._keep(rows, points, reached.where(fell, torch.inf))
        return fell

    def take_best(self, rows: Tensor, runs: Nearest) -> None:
        """Take note of what `runs` found: several for each of `rows` (M,), M after M."""
        least = runs.distance.view(-1, len(rows)).min(dim=0)
        each = least.indices * len(rows) + torch.arange(len(rows), device=rows.device)
        self._keep(rows, runs.x_adv[each], least.values)

    def _keep(self, rows: Tensor, points: Tensor, distance: Tensor) -> None:
        closer = distance < self.distance[rows]
        self.x_adv[rows[closer]] = points[closer]
        self.distance[rows[closer]] = distance[closer]

    def unsettled(self) -> Tensor:
        """Indices (M,) of the examples not known to be wrong as they are, at distance 0."""
        return (self.distance > 0).nonzero()[:, 0]

    def draw_in(self, oracle: Oracle, keys: Tensor, rows: Tensor) -> None:
        """Shorten the perturbations of `rows` as far as they stay wrong: six forward passes.

        For attacks that hover behind the boundary by a few percent; ends within 0.1 % of it.
        """
        rows = rows[self.distance[rows].isfinite()]
        for share in (0.04, 0.02, 0.01, 0.005, 0.0025, 0.00125):
            if len(rows):
                points = self.x_adv[rows].lerp(self.x[rows], share)
                self.see(rows, points, oracle.logits(points, keys[rows]))
