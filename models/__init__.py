"""The networks: names, what each one is, and `build`.

Importing this package does not import torch, so that a configuration can be checked quickly.
To add an architecture: write a builder `(shape, classes, dropout, *, settings) -> nn.Module` in
a module of this folder, and add an entry with its parameter counts to table.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .architecture import Architecture
from .table import ARCHITECTURES

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ARCHITECTURES", "Architecture", "build"]


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
    wrong = architecture.problems(settings, dropout, (height, width))
    if wrong:
        raise ValueError("; ".join(f"{key}: {reason}" for key, reason in wrong))
    from .normalize import normalized

    module, function = architecture.builder.split(":")
    builder = getattr(import_module(f"{__name__}.{module}"), function)
    network: nn.Module = builder(
        (channels, height, width),
        classes,
        dropout,
        **architecture.fixed,
        **architecture.filled(settings),
    )
    return normalized(network, channels, mean, std)
