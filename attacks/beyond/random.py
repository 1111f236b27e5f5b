"""Random transformations: what `grid` and `steepest` must be compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import keyed
from ..oracle import Oracle
from ..tries import first_breaking
from .transformation import Transformation


def random(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    threat: Transformation,
    *,
    keys: Tensor,
    seed: int = 0,
    draws: int = 1,
) -> Tensor:
    """Parameters uniform over the threat. Returns the first draw that breaks, else the last.

    A larger eps stretches the same draws, so that curves over eps compare like with like.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K); not asked when draws = 1.
        x, y: images and labels (N,).
        threat: kind of transformation and eps.
        keys: (N,) the examples' indices, from which the draws follow.
        seed, draws: how many transformations are drawn for each example, >= 1.

    Returns:
        Parameters θ (N, P) inside the threat.
    """

    def drawn(rows: Tensor, numbers: Tensor) -> Tensor:
        return threat[rows].random(keyed.stream(keyed.stream(keys[rows], seed, "random"), numbers))

    def images(rows: Tensor, numbers: Tensor) -> Tensor:
        return threat.image(drawn(rows, numbers), x[rows])

    number = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    if draws > 1:
        number = first_breaking(Oracle.of(model), images, y, keys, draws)
    return drawn(torch.arange(len(x), device=x.device), number)
