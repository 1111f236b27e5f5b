"""One try after another until one breaks: what needs no gradient, only a list."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .losses import is_broken
from .oracle import Oracle


def first_breaking(
    oracle: Oracle,
    images: Callable[[Tensor, Tensor], Tensor],
    y: Tensor,
    keys: Tensor,
    count: int | Tensor,
) -> Tensor:
    """The number of the first try that breaks each example, else of its last, (N,) int64.

    Args:
        oracle: the model; asked for logits alone.
        images: takes rows (M,) of the examples and numbers (M,) of their tries, returns images.
        y, keys: labels and indices (N,).
        count: how many tries an example has, >= 1; one number, or one for each (N,).
    """
    last = torch.as_tensor(count, device=y.device).expand(len(y)) - 1
    found = last.clone()
    rows = torch.arange(len(y), device=y.device)
    done = 0
    while len(rows):
        # As many tries at once as fill the slots when few examples are left. What is charged is
        # what one try after another would have cost, so that it does not depend on the company.
        group = max(1, oracle.slots // len(rows))
        which = rows.repeat_interleave(group)
        numbers = done + torch.arange(group, device=y.device).repeat(len(rows))
        tried = images(which, torch.minimum(numbers, last[which]))
        logits = oracle.logits(tried, keys[which], count=False)
        fell = is_broken(logits, y[which]).view(-1, group)
        first = done + torch.where(fell.any(dim=1), fell.int().argmax(dim=1), group - 1)
        ended = torch.minimum(first, last[rows])
        oracle.charge(keys[rows], forwards=ended + 1 - done)
        done += group
        over = fell.any(dim=1) | (last[rows] < done)
        found[rows[over]] = ended[over]
        rows = rows[~over]
    return found
