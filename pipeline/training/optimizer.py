"""Optimizers by the names that params.yaml knows, and the penalties on weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from ..base.config import Recipe


def optimizer_for(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer; biases and batch norm are not decayed.

    `weight_decay` is an L2 penalty, but for AdamW, which takes it off the weights themselves.
    What the recipe does not name is as torch has it.
    """
    groups: list[dict[str, Any]] = [
        {
            "params": [p for p in model.parameters() if p.ndim > 1],
            "weight_decay": recipe.weight_decay,
        },
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        nesterov = recipe.nesterov and recipe.momentum > 0
        return torch.optim.SGD(groups, recipe.lr, recipe.momentum, nesterov=nesterov, fused=True)
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, recipe.lr, momentum=recipe.momentum)
    if recipe.optimizer == "adagrad":
        return torch.optim.Adagrad(groups, recipe.lr)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, recipe.lr, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def add_l1_penalty(optimizer: torch.optim.Optimizer, penalty: float) -> None:
    """Add the gradient of `penalty` · Σ|w| over the weights that `optimizer_for` may decay."""
    # What is frozen has no gradient.
    weights = [w for w in optimizer.param_groups[0]["params"] if w.grad is not None]
    gradients = [weight.grad for weight in weights]
    signs = torch._foreach_sign([weight.detach() for weight in weights])
    torch._foreach_add_(gradients, signs, alpha=penalty)
