"""The gradient to an image on a CPU, faster: that of a convolution of one to four channels.

oneDNN computes channels in groups of eight or sixteen, so what a first convolution sends back to
the one or three channels of an image takes it longer than the forward pass, by several times on
MNIST. A product of every tap with all that comes back, and a sum of the products, each where its
tap lay, is faster (docs/attacks.md). The forward pass is the module's own.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

MOST = 4  # channels; with eight, oneDNN is faster than this
ROOM = 2**21  # products at a time: 8 MB, which a cache holds
SMALL = 16 * 16  # pixels up to which a few dozen steps of Python cost what they gain


def of_few_channels(modules: Iterable[nn.Module]) -> list[nn.Conv2d]:
    """The convolutions among `modules` whose gradient to what they are given can be had faster."""
    return [
        module
        for module in modules
        if type(module) is nn.Conv2d
        and module.in_channels <= MOST
        and module.groups == 1
        and module.padding_mode == "zeros"
        and isinstance(module.padding, tuple)
        and "forward" not in vars(module)
    ]


@contextmanager
def faster_backward(convolutions: list[nn.Conv2d]) -> Iterator[None]:
    """While it lasts, what these send back to images of a CPU takes the faster way."""
    try:
        for layer in convolutions:
            layer.forward = functools.partial(_forward, layer)  # type: ignore[method-assign]
        yield
    finally:
        for layer in convolutions:
            vars(layer).pop("forward", None)


def _forward(layer: nn.Conv2d, x: Tensor) -> Tensor:
    if not _suits(layer, x):
        return nn.Conv2d.forward(layer, x)
    # To its weights, the gradient flows as ever, should the model itself ask for it.
    return _Back.apply(nn.Conv2d.forward(layer, x.detach()), x, layer.weight, layer)


def _suits(layer: nn.Conv2d, x: Tensor) -> bool:
    return (
        torch.is_grad_enabled()
        and x.requires_grad
        and type(x) is Tensor
        and x.device.type == "cpu"
        and x.dtype == layer.weight.dtype == torch.float32
        and x.dim() == 4
        and len(x) > 0
        and x[0, 0].numel() > SMALL
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._are_functorch_transforms_active()
    )


class _Back(torch.autograd.Function):
    """The output of a convolution as it is; what comes back goes to `x`, too."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, x: Tensor, weight: Tensor, layer: nn.Conv2d) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.layer, ctx.shape = layer, x.shape
        ctx.mark_dirty(out)  # the same tensor, not a view of it, which could not be written over
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        return grads[0], to_image(grads[0], weight, ctx.shape, ctx.layer), None, None


def to_image(grad: Tensor, weight: Tensor, shape: torch.Size, layer: nn.Conv2d) -> Tensor:
    """The gradient (N, C, H, W) to what a convolution was given, from that of its output.

    Args:
        grad: (N, K, H', W').
        weight: (K, C, kernel).
        shape: (N, C, H, W).
        layer: has stride, padding and dilation.
    """
    each = weight[0].numel() * grad[0, 0].numel()
    parts = grad.split(max(1, ROOM // each))
    return torch.cat([_summed(part, weight, shape, layer) for part in parts])


def _summed(grad: Tensor, weight: Tensor, shape: torch.Size, layer: nn.Conv2d) -> Tensor:
    """`to_image` of as many images as there is room for."""
    _, channels, height, width = shape
    count, _, rows, columns = grad.shape
    tall, wide = weight.shape[2:]
    given: Any = (layer.stride, layer.padding, layer.dilation)
    (down, across), (top, left), (apart, beside) = given
    # Not `@`, which would copy all that comes back to transpose it.
    products = torch.bmm(weight.flatten(1).T.expand(count, -1, -1), grad.flatten(2))
    products = products.view(count, channels, tall, wide, rows, columns)
    # With room for the padding, and for what the stride leaves over.
    reach = down * (rows - 1) + 1, across * (columns - 1) + 1
    found = grad.new_zeros(count, channels, height + 2 * top, width + 2 * left)
    for i in range(tall):
        for j in range(wide):
            y, x = i * apart, j * beside
            under = found[:, :, y : y + reach[0] : down, x : x + reach[1] : across]
            under += products[:, :, i, j]
    return found[:, :, top : top + height, left : left + width]
