"""Networks for large images as torchvision has them, by name."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .parts import Shape


class Repeated(nn.Module):
    """The one channel of grey images three times: (N, 1, H, W) to (N, 3, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.expand(-1, 3, -1, -1)


def torchvision_network(
    shape: Shape,
    classes: int,
    dropout: float,
    *,
    name: str,
    dropout_keyword: str | None,
    stochastic_depth: float | None = None,
) -> nn.Module:
    """`torchvision.models.<name>`, untrained, without a regularizer that is not asked for.

    `dropout_keyword` is what its builder calls dropout; None if it has none.

    Raises ValueError if the images have neither one channel nor three.
    """
    from torchvision.models import get_model

    if shape[0] not in (1, 3):
        raise ValueError(f"torchvision.{name} takes images of 1 or 3 channels, not {shape[0]}")
    options: dict[str, Any] = {} if dropout_keyword is None else {dropout_keyword: dropout}
    if stochastic_depth is not None:
        options["stochastic_depth_prob"] = stochastic_depth
    if name == "googlenet":  # its outputs on the way helped before there was batch norm
        options |= {"aux_logits": False, "init_weights": True}
    network = get_model(name, num_classes=classes, **options)
    return nn.Sequential(Repeated(), network) if shape[0] == 1 else network
