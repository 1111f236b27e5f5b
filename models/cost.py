"""What a network costs: parameters, memory and operations for one image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn


def cost(model: nn.Module, shape: Sequence[int]) -> dict[str, int]:
    """Measured on one forward pass of a blank image (channels, height, width), in eval mode.

    Returns:
        parameters, and of them `trained` ones; weight_bytes, of parameters and buffers;
        activation_bytes, what a backward pass to weights and image needs beside the weights;
        macs, the multiply-accumulate operations of convolutions and linear layers in one forward
        pass. Torch's own FlopCounterMode counts the same, and takes a second to start.
    """
    weights = list(chain(model.parameters(), model.buffers()))
    own = {weight.untyped_storage().data_ptr() for weight in weights}
    kept: dict[int, Tensor] = {}  # by where they lie: views, and what two layers share, count once
    macs = 0

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in own:
            kept[place] = tensor
        return tensor

    def count(module: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal macs
        assert isinstance(module, nn.Conv2d | nn.Linear)
        macs += output.numel() * module.weight[0].numel()

    hooks = [
        module.register_forward_hook(count)
        for module in model.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    was_training = model.training
    model.eval()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.enable_grad():
        model(torch.zeros(1, *shape, device=weights[0].device if weights else None))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "weight_bytes": sum(w.untyped_storage().nbytes() for w in weights),
        "activation_bytes": sum(t.untyped_storage().nbytes() for t in kept.values()),
        "macs": macs,
    }
