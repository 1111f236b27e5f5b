"""Front ends without a useful gradient (BPDA: Athalye, Carlini and Wagner 2018, 1802.00420)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Front = Callable[[Tensor], Tensor]


def bpda(front: Front, model: nn.Module, backward: Front | None = None) -> nn.Module:
    """`model` behind `front`: forward through the true front end, backward around it.

    For quantization, JPEG, a denoiser, a look-up: what lies between image and network and has a
    gradient of zero, a wrong one, or none. Attacks ask it in place of the defended model, which
    keeps the verdict:

        evaluate(defended, x, y, threat, search=bpda(front, network))

    Args:
        front: maps images (N, C, H, W) to what the model takes.
        model: the network behind it, maps to logits (N, K).
        backward: a differentiable stand-in for `front`, whose gradient is taken; None for the
            identity, which needs a front end that keeps the shape.

    Raises:
        ValueError: when it is called, if `front` and its stand-in return different shapes.
    """
    return _Behind(front, model, backward)


class _Behind(nn.Module):
    def __init__(self, front: Front, model: nn.Module, backward: Front | None) -> None:
        super().__init__()
        self.front, self.model, self.backward = front, model, backward

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            true = self.front(x)
        stand_in = x if self.backward is None else self.backward(x)
        if true.shape != stand_in.shape:
            raise ValueError(
                f"the front end makes {tuple(true.shape)} of {tuple(x.shape)}, but what stands in "
                f"for its gradient {tuple(stand_in.shape)}; give one that fits as `backward`"
            )
        return self.model(_Straight.apply(stand_in, true))


class _Straight(torch.autograd.Function):
    """The value of the second, to the bit; the gradient goes to the first."""

    @staticmethod
    def forward(ctx: Any, stand_in: Tensor, true: Tensor) -> Tensor:
        return true.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None
