"""Which images both runs judged: by number where the data are the same, else by their pixels."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import reduce

import numpy as np

from ..base.errors import UserError
from .runs import Run


@dataclass(frozen=True)
class Images:
    """(N,) indices of the same images in both runs, and what is to be said about them."""

    base: np.ndarray
    new: np.ndarray
    notes: list[str]


def common(base: Run, new: Run) -> Images:
    """The images that every table of both runs holds.

    Raises:
        UserError: none, or images of the same number that are not the same.
    """
    ours, theirs = _judged(new), _judged(base)
    notes = []
    if base.data and new.data and base.data != new.data:
        raise UserError(
            f"the base is of the data set {base.data}, this run of {new.data}: no image in common"
        )
    same_data = bool(base.checksum) and base.checksum == new.checksum
    if same_data or not (len(base.x_test) and len(new.x_test)):
        index = np.intersect1d(theirs, ours)
        pair = index, index
        if not same_data:
            notes.append(
                "The checksums of the data differ, or are not known of both: images are paired by "
                "their number, and their labels agree."
            )
    else:
        pair = _by_pixels(base, theirs, new, ours)
        notes.append(
            "The data have changed (their checksums differ): images are paired by their pixels."
        )
    labels = _labels(base, pair[0]), _labels(new, pair[1])
    alike = labels[0] == labels[1]
    if not alike.all() and not same_data and not len(new.x_test) * len(base.x_test):
        raise UserError(
            f"{(~alike).sum()} images of the same number have other labels in the base: the data "
            "differ, and without artifacts/data.npz of both runs images cannot be paired"
        )
    if not alike.all():
        notes.append(f"{(~alike).sum()} images are left out: their labels have changed.")
    found = Images(pair[0][alike], pair[1][alike], notes)
    if not len(found.new):
        raise UserError("the two runs judged no image in common")
    if len(found.new) < max(len(ours), len(theirs)):
        notes.append(
            f"The base judged {len(theirs)} test images, this run {len(ours)}; "
            f"{len(found.new)} are the same and are compared."
        )
    return found


def _judged(run: Run) -> np.ndarray:
    return reduce(np.intersect1d, [cell.attack.index for cell in run.cells.values()])


def _labels(run: Run, index: np.ndarray) -> np.ndarray:
    table = next(iter(run.cells.values())).attack
    return table.label[np.searchsorted(table.index, index)]


def _by_pixels(
    base: Run, theirs: np.ndarray, new: Run, ours: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of images that are equal; of several equal ones, the first with the first."""
    before, after = _named(base, theirs), _named(new, ours)
    pairs = [(before[name], number) for name, number in after.items() if name in before]
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    return first, second


def _named(run: Run, index: np.ndarray) -> dict[tuple[str, int], int]:
    """(hash of the pixels, how many equal ones came before it) -> the image's number."""
    at = {int(number): row for row, number in enumerate(run.index_test)}
    seen: Counter[str] = Counter()
    named: dict[tuple[str, int], int] = {}
    for number in map(int, index):
        if number in at:  # else judged before the data were made anew
            image = np.ascontiguousarray(run.x_test[at[number]])
            name = hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()
            named[name, seen[name]] = number
            seen[name] += 1
    return named
