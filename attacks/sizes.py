"""How many images a pass holds: its slots; fewer or twice as many where the bits are the same."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

# Passes shrink in steps of an eighth of the slots, but of no fewer than so many images: still
# smaller ones take kernels of single rows, which round differently, and save little.
LEAST, STEPS = 16, 8

# Twice the slots where the images are small, of up to so many numbers together: a small network's
# passes are mostly Python, and the memory of large ones is what `slots` bounds.
DOUBLED = 2**18


class Sizes:
    """The sizes of passes that answer alike, found out as they are asked for.

    Kernels are chosen by the shape of what they are given, not by its values. A pass of another
    size that once gave each row the bits of a whole one does so always: rows that do not fill the
    slots need not be padded up to them, and two passes can be one. A size is tried beside a whole
    pass when it comes up for the second time, and is trusted from then on or never.

    Args:
        whole: every pass is to be a whole one.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._same: dict[tuple[Hashable, int], bool | None] = {}

    def of(self, kind: Hashable, count: int, slots: int, numbers: int) -> tuple[int, int | None]:
        """The size of a pass where `count` rows are left, and one to be tried beside it, or None.

        A whole pass has `slots` images of so many `numbers`; `kind` is that and all else that
        chooses kernels: the model, the shape of an image, the gradient.
        """
        step = max(LEAST, slots // STEPS)
        size = -(-count // step) * step
        if count >= 2 * slots and 2 * slots * numbers <= DOUBLED:
            size = 2 * slots
        elif size >= slots:
            size = slots
        if size == slots or self._whole:
            return slots, None
        if (kind, size) not in self._same:
            self._same[kind, size] = None
            return slots, None
        same = self._same[kind, size]
        return (size if same else slots), (size if same is None else None)

    def learn(
        self, kind: Hashable, size: int, whole: Sequence[Tensor], tried: Sequence[Tensor] | None
    ) -> None:
        """Trust a `size` if it gave the same bits; not if it failed (None), nor where a tensor
        holds nothing but zeros: two kernels agree about a gradient that is not there."""
        self._same[kind, size] = tried is not None and all(
            bool(one.any()) and torch.equal(resized(one, size), other)
            for one, other in zip(whole, tried, strict=True)
        )


def resized(rows: Tensor, size: int) -> Tensor:
    """The first `size` of `rows`, or all of them twice."""
    return rows[:size] if size <= len(rows) else torch.cat([rows, rows])
