"""What several networks are made of."""

from __future__ import annotations

from torch import nn

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
    activation: str,
    batch_norm: bool,
) -> list[nn.Module]:
    """A convolution that keeps the image's size for stride 1, batch norm if asked, activation.

    Without a bias where batch norm follows, which subtracts the mean and adds its own.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(
            channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=not batch_norm
        )
    ]
    if batch_norm:
        layers.append(nn.BatchNorm2d(channels_out))
    return [*layers, activate(activation)]
