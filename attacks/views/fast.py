"""The same function made faster, for attacks to search; verdicts stay with the model itself.

evaluate(model, x, y, threat, search=fast(model, precision="bf16"))
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import fuse_conv_bn_eval, fuse_linear_bn_eval

from ..precision import Precision, computing
from .products import as_products

FUSED: dict[tuple[type, type], Callable[..., nn.Module]] = {
    (nn.Conv2d, nn.BatchNorm2d): fuse_conv_bn_eval,
    (nn.Linear, nn.BatchNorm1d): fuse_linear_bn_eval,
}


def fast(
    model: nn.Module,
    *,
    precision: Literal["fp32", "tf32", "bf16"] = "bf16",
    compile: bool = False,
) -> nn.Module:
    """A copy of `model` for searching: eval mode, batch norm folded, channels last, less precision.

    What it finds is a claim: an `Oracle(model, search=fast(model))` takes every verdict from the
    model itself in IEEE float32, and a suite counts where the two disagree. Lower precision changes
    what an attack finds, so it is part of what a result depends on.

    Args:
        model: maps images (N, C, H, W) in [0, 1] to logits (N, K). Left as it is; the copy does
            not follow when it changes.
        precision: of convolutions and matrix products: "bf16" (autocast), "tf32" (19 bits, on
            NVIDIA GPUs; elsewhere the same as "fp32") or "fp32" (IEEE).
        compile: hand the copy to `torch.compile`, on a GPU with CUDA graphs; in "fp32" there,
            convolutions become matrix products (see `products`). The first passes take a minute;
            a GPU pays it back over a large test set, a CPU hardly.

    Returns:
        A module with the model's signature; logits are float32.

    Raises:
        ValueError: for another precision.
    """
    if precision not in get_args(Precision):
        raise ValueError(
            f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}"
        )
    network: Any = folded(copy.deepcopy(model).eval())
    on_gpu = any(parameter.is_cuda for parameter in model.parameters())
    # Before compiling: a compiled backward pass computes what any parameter asks for.
    network.requires_grad_(False)
    network.to(memory_format=torch.channels_last)
    if precision == "bf16":
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.to(torch.bfloat16)  # autocast would do so again in every pass
    if compile and on_gpu and precision == "fp32":
        as_products(network, compile=True)  # as a whole they take minutes to compile
    elif compile:
        network = torch.compile(network, mode="reduce-overhead" if on_gpu else "default")
    return Fast(network, precision, one_size=compile).eval()


def folded(model: nn.Module) -> nn.Module:
    """`model`, in eval mode, with each batch norm folded into the layer before it.

    A model whose forward cannot be traced (it branches on values) is returned as it is.
    """
    try:
        traced = fx.symbolic_trace(model)
    except Exception:  # tracing runs the model's own code, which may raise anything
        return model
    modules: dict[str, Any] = dict(traced.named_modules())
    calls = [node for node in traced.graph.nodes if node.op == "call_module"]
    uses = [node.target for node in calls]
    for node in calls:
        before = node.args[0] if node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module":
            continue
        layer, norm = modules[str(before.target)], modules[str(node.target)]
        fuse = FUSED.get((type(layer), type(norm)))
        # The layer's own output must go nowhere else, nor the layer be used twice.
        alone = len(before.users) == 1 and uses.count(before.target) == 1
        if fuse is None or not alone or norm.running_mean is None:
            continue
        name = str(before.target)
        parent, _, child = name.rpartition(".")
        modules[name] = fuse(layer, norm)
        setattr(modules[parent], child, modules[name])
        node.replace_all_uses_with(before)
        traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


class Fast(nn.Module):
    """A network that computes in a precision of its own, forward and backward.

    The oracle asks for IEEE float32 around every pass, which this overrules for itself.

    Attributes:
        one_size: compiled for one size of pass; each other one takes a minute of compiling.
    """

    def __init__(self, network: nn.Module, precision: Precision, *, one_size: bool) -> None:
        super().__init__()
        self.network, self.precision, self.one_size = network, precision, one_size

    def forward(self, x: Tensor) -> Tensor:
        return _Pass.apply(x, self)

    def answer(self, x: Tensor) -> Tensor:
        """Logits, in whatever type the precision leaves them."""
        with computing(self.precision, x.device):
            return self.network(x.contiguous(memory_format=torch.channels_last))


class _Pass(torch.autograd.Function):
    """One pass with its own graph inside, so that the backward pass has the precision too: a
    kernel reads the setting when it runs, which for the backward pass is after `forward` is left.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, owner: Fast) -> Tensor:
        if not ctx.needs_input_grad[0]:
            return owner.answer(x).float().clone()
        with torch.enable_grad():
            ctx.x = x.detach().requires_grad_(True)
            ctx.logits = owner.answer(ctx.x)
        ctx.owner = owner
        return ctx.logits.detach().float().clone()  # a graph on a GPU writes its output over

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        with computing(ctx.owner.precision, ctx.x.device):
            weights = grads[0].to(ctx.logits.dtype)
            # Kept: an attack may ask for the gradients of several losses, one after another.
            (grad,) = torch.autograd.grad(ctx.logits, ctx.x, weights, retain_graph=True)
        return grad, None
