"""How a network is computed while it is trained: in what its device is fast at."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Self, cast

import torch
from torch import nn


@dataclass(frozen=True)
class Execution:
    """As torch has it, if nothing is said.

    Args:
        precision: of convolutions and matrix products (autocast); None: that of the weights.
        layout: of images and weights in memory.
        compiler: the backend of torch.compile; None: the network is not compiled.
    """

    precision: torch.dtype | None = None
    layout: torch.memory_format = torch.preserve_format
    compiler: str | None = None

    @classmethod
    def on(cls, device: torch.device, *, compiled: bool) -> Self:
        """A GPU's is fast there; on a CPU compiling takes longer than it saves."""
        if device.type != "cuda":
            return cls()
        return cls(torch.bfloat16, torch.channels_last, "inductor" if compiled else None)

    def of(self, model: nn.Module) -> nn.Module:
        """What to call in place of `model`, whose weights it shares; they are laid out in place."""
        model.to(memory_format=self.layout)
        if self.compiler is None:
            return model
        return cast(nn.Module, torch.compile(model, backend=self.compiler))

    def computing(self, device: torch.device) -> AbstractContextManager[None]:
        """The precision, for what is computed within."""
        if self.precision is None:
            return nullcontext()
        return torch.autocast(device.type, self.precision)
