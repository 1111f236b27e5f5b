"""An oracle that remembers which images an attack asked about, and a network to ask."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from attacks.oracle import Ascent, Oracle


class Asked(Oracle):
    """Attributes: `climbed` and `read`, the images of each call, for a gradient and for logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.climbed: list[Tensor] = []
        self.read: list[Tensor] = []

    def ascent(self, x: Tensor, keys: Tensor, loss: Callable[..., Tensor], *rows: Tensor) -> Ascent:
        self.climbed.append(x.clone())
        return super().ascent(x, keys, loss, *rows)

    def logits(self, x: Tensor, keys: Tensor, *, count: bool = True) -> Tensor:
        self.read.append(x.clone())
        return super().logits(x, keys, count=count)


class Hill(nn.Module):
    """Two classes, whose margin is a hill that ends below 0: nothing breaks, and a path that passes
    above its top in a pixel is called back. Its slopes differ from pixel to pixel."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.top = 0.3 + 0.4 * torch.rand(shape, generator=generator)
        self.slope = 0.5 + 2 * torch.rand(shape, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        margin = -1 - (self.slope * (x - self.top).square()).flatten(1).sum(1)
        return torch.stack([0 * margin, margin], dim=1)

    def gradient(self, x: Tensor) -> Tensor:
        """Of the margin of label 0."""
        return -2 * self.slope * (x - self.top)
