"""Optimizers and learning rates by the names that params.yaml knows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from ..base.config import Recipe

WARM_UP = 0.3
"""Share of the training in which one_cycle raises the learning rate."""


def optimizer_for(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer; biases and batch norm are not decayed.

    SGD uses Nesterov's momentum; Adam and AdamW keep torch's defaults for their moments.
    """
    groups: list[dict[str, Any]] = [
        {
            "params": [p for p in model.parameters() if p.ndim > 1],
            "weight_decay": recipe.weight_decay,
        },
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups, recipe.lr, recipe.momentum, nesterov=recipe.momentum > 0, fused=True
        )
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, recipe.lr, fused=True)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate at one of `steps` steps, counted from 0.

    constant: `lr`. cosine: from `lr` down to 0. one_cycle: up to `lr` over the first 30 % in a
    straight line, then down to 0 as a cosine (Smith and Topin, 2017, arXiv 1708.07120).
    """
    done = (step + 0.5) / steps
    if recipe.schedule == "constant":
        return recipe.lr
    warm_up = WARM_UP if recipe.schedule == "one_cycle" else 0.0
    if done < warm_up:
        return recipe.lr * done / warm_up
    return recipe.lr * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up))) / 2


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr
