"""What several networks are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

Shape = tuple[int, int, int]

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def activate(name: str) -> nn.Module:
    """An activation by its name, with torch's defaults (slope 0.01 of leaky_relu, 1 of elu)."""
    return _ACTIVATIONS[name]()


def pool(name: str, size: int, stride: int | None = None, padding: int = 0) -> nn.Module:
    """Pooling over windows by its name, `max` or `average`."""
    kind = nn.MaxPool2d if name == "max" else nn.AvgPool2d
    return kind(size, stride, padding)


def convolution(
    channels_in: int,
    channels_out: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    activation: str | None = "relu",
    batch_norm: bool = True,
    groups: int = 1,
) -> list[nn.Module]:
    """A convolution that keeps the image's size for stride 1, batch norm and activation if asked.

    Without a bias where batch norm follows, which subtracts the mean and adds its own.
    """
    padding = kernel // 2
    layers: list[nn.Module] = [
        nn.Conv2d(
            channels_in, channels_out, kernel, stride, padding, groups=groups, bias=not batch_norm
        )
    ]
    if batch_norm:
        layers.append(nn.BatchNorm2d(channels_out))
    return layers if activation is None else [*layers, activate(activation)]


def head(features: int, classes: int, dropout: float) -> list[nn.Module]:
    """The mean of each channel over the image, and one linear layer: for images of any size."""
    return [
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(features, classes),
    ]


def he_normal(network: nn.Module) -> nn.Module:
    """Draw all convolutions as He et al. (2015, arXiv 1502.01852) do, by the fan-out.

    Torch's default fades through many layers.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


class Concatenated(nn.Module):
    """Branches side by side: their channels, one after the other."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)
