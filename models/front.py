"""What stands around a network of the user's: images reach it resized, its outputs leave sorted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .normalize import Normalize


class Resample(nn.Module):
    """Resizes, with anti-aliasing, and cuts out the middle: (N, C, H, W) to (N, C, h, w).

    Bilinear interpolation is linear in each direction, so that two matrices do both at once. Their
    rows are shares that sum to 1: images in [0, 1] stay there, and a pass backward is a product of
    matrices, which rounds alike on every run (torch's own, on a GPU, does not).
    """

    rows: Tensor
    columns: Tensor

    def __init__(
        self,
        size: tuple[int, int],
        resize: int | Sequence[int] | None,
        crop: int | Sequence[int] | None,
    ) -> None:
        """`size`: height and width that come in. `resize`: height and width, or what the shorter
        side becomes; `crop`: height and width of the middle part; one number: a square.

        Raises:
            ValueError: if the part to be cut out is larger than the image.
        """
        super().__init__()
        resized = resized_to(size, resize)
        cut = cropped_to(resized, crop)
        for name, start, to, part in zip(("rows", "columns"), size, resized, cut, strict=True):
            begin = middle(to, part)
            self.register_buffer(name, _matrix(start, to)[begin : begin + part])

    def forward(self, x: Tensor) -> Tensor:
        return self.rows @ x @ self.columns.T


def resized_to(size: tuple[int, int], resize: int | Sequence[int] | None) -> tuple[int, int]:
    """Height and width after resizing: one number is the shorter side, and shapes are kept."""
    if resize is None:
        return size
    if isinstance(resize, int):
        short = min(size)
        height, width = (max(1, int(side * resize / short)) for side in size)
        return height, width
    height, width = resize
    return height, width


def cropped_to(size: tuple[int, int], crop: int | Sequence[int] | None) -> tuple[int, int]:
    """Height and width of the part that is cut out; ValueError if it is larger than the image."""
    if crop is None:
        return size
    height, width = (crop, crop) if isinstance(crop, int) else crop
    if height > size[0] or width > size[1]:
        raise ValueError(
            f"{height}x{width} pixels cannot be cut out of {size[0]}x{size[1]}; resize first"
        )
    return height, width


def middle(side: int, part: int) -> int:
    """Where the middle part of a side begins; as torchvision rounds it."""
    return round((side - part) / 2)


def _matrix(start: int, to: int) -> Tensor:
    """(to, start): the shares of `start` pixels that make up each of `to`."""
    if start == to:
        return torch.eye(start)
    one = torch.eye(start)[None, None]
    return interpolate(one, size=(to, start), mode="bilinear", antialias=True)[0, 0]


class Sorted(nn.Module):
    """Outputs in another order: (N, K) to (N, K)."""

    order: Tensor

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("order", torch.tensor(order, dtype=torch.int64))

    def forward(self, logits: Tensor) -> Tensor:
        return logits[:, self.order]


class WithoutGradients(nn.Module):
    """A network that is asked for logits alone, whatever it is made of."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.network(x.detach())


def fronted(
    network: nn.Module,
    size: tuple[int, int],
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize: int | Sequence[int] | None = None,
    crop: int | Sequence[int] | None = None,
    outputs: Sequence[int] | None = None,
    gradients: bool = True,
) -> nn.Module:
    """`network` for images (N, C, *size) in [0, 1].

    Args:
        network: maps what it is given to logits (N, K).
        mean, std: of each channel, subtracted and divided by; None: left alone.
        resize, crop: as of `Resample`.
        outputs: the order in which its K outputs leave; None: its own.
        gradients: False: none are asked for, and none flow.

    Raises:
        ValueError: for sizes or numbers that do not fit.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if resize is not None or crop is not None:
        parts["resample"] = Resample(size, resize, crop)
    if mean is not None and std is not None:
        parts["normalize"] = Normalize(mean, std)
    parts["network"] = network
    if outputs is not None:
        parts["sorted"] = Sorted(outputs)
    whole = nn.Sequential(parts)
    return whole if gradients else WithoutGradients(whole)
