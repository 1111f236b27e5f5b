"""The mode that a network is in while it is trained, and while it is attacked in training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def training_mode(model: nn.Module) -> None:
    """`model.train()`, but a frozen batch norm keeps the statistics that its weights were trained
    with. Dropout and stochastic depth drop within frozen blocks too: the recipe asks for it."""
    model.train()
    if _frozen(model):
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()


def has_batch_norm(model: nn.Module) -> bool:
    """Whether any is trained: a frozen one keeps its statistics and compares no images."""
    return not _frozen(model) and any(isinstance(part, _BatchNorm) for part in model.modules())


def _frozen(model: nn.Module) -> bool:
    """Whether all but the last layer is kept as it is, which has no batch norm."""
    return not all(weight.requires_grad for weight in model.parameters())


@contextmanager
def attacked(model: nn.Module) -> Iterator[None]:
    """In eval mode, its weights frozen: a compiled backward pass would compute theirs too.

    So batch norm does not learn the statistics of half-finished attacks, and dropout does not blur
    the gradient. Afterwards all is as before.
    """
    # One pass, and no more of it: this stands at every step, where a GPU waits for it.
    training = [module for module in model.modules() if module.training]
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for module in training:
        module.training = False
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learned:
            parameter.requires_grad_()
        for module in training:
            module.training = True
