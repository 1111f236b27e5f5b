"""Initial weights by the names that params.yaml knows."""

from __future__ import annotations

from torch import nn


def initialize(network: nn.Module, name: str) -> None:
    """Draw the weights of convolutions and linear layers anew, from torch's global generator.

    default: as the architecture has them. xavier: uniform, variance 2 / (inputs + outputs) (Glorot
    and Bengio, 2010). he: normal, variance 2 / inputs, for ReLU (He et al., 2015, arXiv
    1502.01852). With the last two, biases begin at 0.
    """
    if name == "default":
        return
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        if name == "xavier":
            nn.init.xavier_uniform_(module.weight)
        else:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
