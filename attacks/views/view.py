"""A view of an oracle: what it does not change is the inner one's."""

from __future__ import annotations

import copy
from collections.abc import Callable

from torch import Tensor

from ..oracle import Ascent, Losses, Oracle, Rank


class View(Oracle):
    """An oracle that asks another one. Passes are counted there.

    Args:
        inner: the oracle that is asked; it may be a view itself.
    """

    def __init__(self, inner: Oracle) -> None:
        self.inner = inner
        self.model, self.search = inner.model, inner.search
        self.slots, self.draws, self.levels = inner.slots, inner.draws, inner.levels

    def logits(self, x: Tensor, keys: Tensor, *, count: bool = True) -> Tensor:
        return self.inner.logits(x, keys, count=count)

    def judged(self, x: Tensor, keys: Tensor) -> Tensor:
        return self.inner.judged(x, keys)

    def plain(self, x: Tensor) -> Tensor:
        return self.inner.plain(x)

    def problem(self, logits: Tensor, y: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner.problem(logits, y, keys)

    def within(self, keys: Tensor, x: Tensor, norm: str, eps: Tensor) -> Oracle:
        view = copy.copy(self)
        view.inner = self.inner.within(keys, x, norm, eps)
        return view

    def settle(self, answer: Tensor, x: Tensor, norm: str, eps: float | Tensor) -> Tensor:
        return self.inner.settle(answer, x, norm, eps)

    def ascent(self, x: Tensor, keys: Tensor, loss: Callable[..., Tensor], *rows: Tensor) -> Ascent:
        return self.inner.ascent(x, keys, loss, *rows)

    def first_ranked(
        self, x: Tensor, keys: Tensor, losses: Losses, rank: Rank, *rows: Tensor
    ) -> Ascent:
        return self.inner.first_ranked(x, keys, losses, rank, *rows)

    def charge(
        self, keys: Tensor, *, forwards: int | Tensor = 0, backwards: int | Tensor = 0
    ) -> None:
        self.inner.charge(keys, forwards=forwards, backwards=backwards)

    def passes(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner.passes(keys)
