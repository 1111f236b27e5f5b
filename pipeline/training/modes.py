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
    frozen = not all(weight.requires_grad for weight in model.parameters())
    for module in model.modules():
        if isinstance(module, _BatchNorm) and frozen:  # all but the last layer is
            module.eval()


def has_batch_norm(model: nn.Module) -> bool:
    """Whether any is trained: a frozen one keeps its statistics and compares no images."""
    frozen = not all(weight.requires_grad for weight in model.parameters())
    return not frozen and any(isinstance(module, _BatchNorm) for module in model.modules())


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
