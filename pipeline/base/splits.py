"""The parts of the data set as the stages read them from artifacts/data.npz."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
