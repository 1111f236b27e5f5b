"""The networks: names, what each one is, and `build`.

Importing this package does not import torch, so that a configuration can be checked quickly.
To add an architecture: write a builder `(shape, classes, dropout, *, settings) -> nn.Module` in
a module of this folder, add an entry to `ARCHITECTURES`, and its parameter counts to
tests/test_models.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .architectures import ARCHITECTURES, Architecture, problems

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ARCHITECTURES", "Architecture", "build", "problems"]


def build(
    name: str,
    *,
    shape: Sequence[int],
    classes: int,
    dropout: float = 0.0,
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.5,
    **settings: Any,
) -> nn.Module:
    """Build a network that maps images in [0, 1] to logits.

    The images are float tensors (N, *shape) with `shape` = (channels, height, width); the
    logits are (N, classes). The network subtracts `mean` and divides by `std` (one number, or
    one per channel) itself, so that whoever attacks it works on pixels. `dropout` is a
    probability; `Architecture.dropout` says where it acts. `settings` are those of the
    architecture that are to differ from their defaults. The weights are drawn from torch's
    global generator.

    Raises ValueError if the name or a setting is unknown or the architecture does not take such
    images.
    """
    if name not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {name!r}; known: {', '.join(ARCHITECTURES)}")
    architecture = ARCHITECTURES[name]
    channels, height, width = shape
    wrong = problems(name, settings, dropout, (height, width))
    if wrong:
        raise ValueError("; ".join(f"{key}: {reason}" for key, reason in wrong))
    from .normalize import normalized

    builder = getattr(import_module(architecture.module), architecture.builder)
    network: nn.Module = builder(
        (channels, height, width),
        classes,
        dropout,
        **architecture.fixed,
        **architecture.filled(settings),
    )
    return normalized(network, channels, mean, std)
