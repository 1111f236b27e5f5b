"""Training mode for a network of which a part is frozen."""

from __future__ import annotations

from torch import nn


def training_mode(model: nn.Module) -> None:
    """`model.train()`, but what has no weight to be trained stays in eval mode.

    A frozen batch norm keeps the statistics that its weights were trained with.
    """
    model.train()
    for module in model.modules():
        weights = list(module.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            module.eval()
