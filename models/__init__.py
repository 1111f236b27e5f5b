"""The networks: names, what each one is, and `build`.

Importing this package does not import torch, so that a configuration can be checked quickly.
To add an architecture: write a builder `(shape, classes, dropout, **settings) -> nn.Module` in
a module of this folder, add a line to `ARCHITECTURES`, and its parameter count to
tests/test_models.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Architecture:
    """Where a builder is and which images it takes."""

    module: str
    builder: str
    description: str
    minimum: int = 1
    """Smallest height and width in pixels."""
    sides: tuple[int, ...] = ()
    """If not empty: the only heights and widths that it takes (square images)."""

    def sizes(self) -> str:
        """The accepted image sizes in words, for error messages."""
        if self.sides:
            return " or ".join(f"{side}x{side}" for side in self.sides)
        return f"{self.minimum}x{self.minimum} and larger"

    def accepts(self, height: int, width: int) -> bool:
        if self.sides:
            return height == width and height in self.sides
        return min(height, width) >= self.minimum


ARCHITECTURES: dict[str, Architecture] = {
    "linear": Architecture("models.plain", "linear", "softmax regression on the pixels"),
    "mlp": Architecture("models.plain", "mlp", "three hidden layers of 512 units"),
    "small_cnn": Architecture(
        "models.convolutional",
        "small_cnn",
        "two convolutions (16, 32) and one hidden layer of 64 units",
        minimum=8,
    ),
    "lenet5": Architecture(
        "models.convolutional",
        "lenet5",
        "LeNet-5 with ReLU and max-pooling (LeCun et al., 1998)",
        sides=(28, 32),
    ),
    "cnn": Architecture(
        "models.convolutional",
        "cnn",
        "four convolutions (32, 32, 64, 64) with batch norm and one hidden layer of 128 units",
        minimum=8,
    ),
    "resnet18": Architecture(
        "models.resnet",
        "resnet18",
        "ResNet-18 with a 3x3 stem for small images (He et al., 2016)",
        minimum=8,
    ),
}


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
    one per channel) itself, so that whoever attacks it works on pixels. `dropout` is the
    probability in front of the last layer (for `mlp`: of every layer but the first).
    `settings` go to the builder of the architecture. The weights are drawn from torch's global
    generator.

    Raises ValueError if the name is unknown or the architecture does not take such images.
    """
    architecture = ARCHITECTURES.get(name)
    if architecture is None:
        raise ValueError(f"unknown architecture {name!r}; known: {', '.join(ARCHITECTURES)}")
    channels, height, width = shape
    if not architecture.accepts(height, width):
        raise ValueError(
            f"{name} takes images of {architecture.sizes()} pixels, not {height}x{width}"
        )
    from .normalize import normalized

    builder = getattr(import_module(architecture.module), architecture.builder)
    network: nn.Module = builder((channels, height, width), classes, dropout, **settings)
    return normalized(network, channels, mean, std)
