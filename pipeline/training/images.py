"""A split of the data set on the device, and the accuracy of a network on it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..base.splits import Split
from .execution import Execution

AT_ONCE = 1000
"""Images of which the accuracy is taken together."""


class Images:
    """Kept as bytes, a quarter of the memory of float32, and converted batch by batch."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self.x = torch.from_numpy(split.x).to(device)
        self.y = torch.from_numpy(split.y).to(device)
        self.levels, self.classes, self.shape = split.levels, split.classes, split.shape

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Images in [0, 1] (N, C, H, W) float32 and labels (N,) int64."""
        if isinstance(rows, slice):
            return self.x[rows].float() / self.levels, self.y[rows]
        # Faster than indexing, which counts where networks are small.
        x, y = self.x.index_select(0, rows), self.y.index_select(0, rows)
        return x.float() / self.levels, y


def accuracy(model: nn.Module, images: Images, execution: Execution | None = None) -> float:
    """Share of images that the network classifies rightly; leaves it in eval mode.

    In float32, or as `execution` has it.
    """
    execution = execution or Execution()
    model.eval()
    hits = []  # read at the end: a GPU waits at each read
    with torch.inference_mode():
        for first in range(0, len(images), AT_ONCE):
            x, y = images.batch(slice(first, first + AT_ONCE))
            with execution.computing(x.device):
                hits.append(model(x.to(memory_format=execution.layout)).argmax(1) == y)
        return int(torch.cat(hits).sum()) / len(images)
