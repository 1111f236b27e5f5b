"""The parts of the data set as the stages read them from artifacts/data.npz."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from .errors import UserError
from .store import Place

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Split:
    """One part of the data set.

    x: uint8 (N, C, H, W); an image in [0, 1] is x / levels. y: labels, int64 (N,). index: the
    examples' numbers in the published data set, int64 (N,), from which keyed randomness follows.
    """

    x: np.ndarray
    y: np.ndarray
    index: np.ndarray
    levels: int
    classes: list[str]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)"""
        return self.x.shape[1], self.x.shape[2], self.x.shape[3]


def load_split(place: Place, part: Part) -> Split:
    """One part of artifacts/data.npz; UserError if the file is missing or damaged."""
    with _opened(place) as archive:
        x, y, index = (archive[f"{array}_{part}"] for array in ("x", "y", "index"))
        return Split(x, y, index, int(archive["levels"]), archive["classes"].tolist())


def load_checksum(place: Place) -> str:
    """The sha256 of the data set in artifacts/data.npz; UserError as for `load_split`."""
    with _opened(place) as archive:
        return str(archive["checksum"])


@contextmanager
def _opened(place: Place) -> Iterator[Any]:
    """The archive, of which a member is read when it is asked for."""
    try:
        with np.load(place.data) as archive:
            yield archive
    except FileNotFoundError:
        raise UserError(f"{place.data}: missing; run `dvc repro data` to make it") from None
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{place.data}: damaged ({error}); delete it and run `dvc repro data`"
        ) from error


def first_of(train: Split, samples: int | None, keys: str) -> Split:
    """A keyed subset of `samples` images, nested: a larger one holds every smaller one.

    It is the same for every network, whatever its seed.

    Raises:
        UserError: naming `keys`, the section that asks, if more are asked than there are.
    """
    if samples is None:
        return train
    if samples > len(train.y):
        raise UserError(
            f"{keys}.samples: {samples} asked, but the training split has {len(train.y)} images; "
            "null takes them all"
        )
    kept = np.isin(train.index, shuffled(train.index, seed=0, purpose=4)[:samples])
    return replace(train, x=train.x[kept], y=train.y[kept], index=train.index[kept])


def shuffled(numbers: np.ndarray, seed: int, purpose: int) -> np.ndarray:
    """`numbers` in the order of a hash (SplitMix64) of seed, purpose and number.

    A hash and not numpy's generator, whose streams may change from version to version.
    """
    z = numbers.astype(np.uint64) + np.uint64((seed << 32) + (purpose << 28))
    with np.errstate(over="ignore"):
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers[np.argsort(z ^ (z >> np.uint64(31)), kind="stable")]
