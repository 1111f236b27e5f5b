"""How the learning rate and ε run over a training, by the names that params.yaml knows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..base.config import Recipe

ONE_CYCLE_WARM_UP = 0.3
"""Share of the training in which one_cycle raises the rate, if `warm_up` does not say."""


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate at one of `steps` steps, counted from 0.

    Over the first `warm_up` of all steps it rises from 0 to `lr` in a straight line. Then it is
    constant, or falls: cosine, down to 0 at the end; one_cycle, the same, but never without a rise
    (Smith and Topin, 2017, arXiv 1708.07120); step, times `lr_decay` at each of `lr_milestones`;
    exponential, times `lr_decay` after each epoch; inverse, `lr` / (1 + `lr_decay` · epochs done).
    """
    done = (step + 0.5) / steps
    warm_up = recipe.warm_up
    if warm_up is None:
        warm_up = ONE_CYCLE_WARM_UP if recipe.schedule == "one_cycle" else 0.0
    rise = min(1.0, done / warm_up) if warm_up else 1.0
    if recipe.schedule in ("cosine", "one_cycle"):
        if rise < 1:
            return recipe.lr * done / warm_up
        return recipe.lr * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up))) / 2
    return recipe.lr * rise * _share(recipe, done, step * recipe.epochs // steps)


def _share(recipe: Recipe, done: float, epochs: int) -> float:
    """What is left of the rate when `epochs` are finished, a share `done` of the training."""
    decay = recipe.lr_decay
    if decay is None:
        return 1.0
    if recipe.schedule == "step":
        return float(decay ** sum(done >= share for share in recipe.lr_milestones or ()))
    if recipe.schedule == "exponential":
        return float(decay**epochs)
    return 1 / (1 + decay * epochs) if recipe.schedule == "inverse" else 1.0


def share_of_eps(recipe: Recipe, step: int, batches: int) -> float:
    """How much of ε is trained against at a step, of which an epoch has `batches`.

    It rises in a straight line over the warm-up: met with a large ε at once, a small network may
    stay at a constant answer for good.
    """
    warm_up = recipe.adversarial.warm_up if recipe.adversarial else 0.0
    rising = warm_up * recipe.epochs * batches
    return min(1.0, (step + 1) / rising) if rising else 1.0
