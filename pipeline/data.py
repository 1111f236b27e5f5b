"""Stage `data`: the data set, split once, in one file that every other stage reads."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from .base.data_sets import held_out, root_of
from .base.errors import UserError
from .base.splits import Part, Split, shuffled
from .base.store import Place, write_npz
from .sources.published import LOADERS
from .sources.source import Source

if TYPE_CHECKING:
    from .base.config import Config


def run(place: Place, config: Config) -> None:
    """Load the configured data set, split it, and write artifacts/data.npz."""
    source = load_source(config.data.name, config.data.root)
    for part in ("test", "validation"):
        if getattr(source, part) is not None and getattr(config.data, part):
            print(f"data.{part}: not read, as {config.data.name} has that split of its own")
    splits = split(
        source,
        seed=config.data.seed,
        validation=config.data.validation,
        test=config.data.test,
        samples=config.data.samples,
    )
    arrays: dict[str, np.ndarray] = {}
    for part, found in splits.items():
        arrays |= {f"x_{part}": found.x, f"y_{part}": found.y, f"index_{part}": found.index}
    arrays["classes"] = np.array(source.classes)
    arrays["levels"] = np.array(source.levels)
    arrays["name"] = np.array(config.data.name)
    write_npz(place.data, **arrays, checksum=np.array(checksum(arrays)))
    sizes = ", ".join(f"{len(found.y)} {part}" for part, found in splits.items())
    print(f"{config.data.name}: {sizes} images of {'x'.join(map(str, splits['train'].shape))}")


def load_source(name: str, root: str | None) -> Source:
    """The data set as published; `root` None means EPSBALL_DATA, or else the folder `data`."""
    return LOADERS[name](root_of(root))


def split(
    source: Source, *, seed: int, validation: float, test: float | None, samples: int | None
) -> dict[Part, Split]:
    """Cut a source into train, validation and test, the same for the same seed on any machine.

    A fraction `test` is held out of a data set without a test part, then a fraction
    `validation` of what remains, if it brings none (0: nothing); both keep the shares of the
    classes.
    `samples` keeps that many of the training images: the first in a keyed order, so that the
    smaller set is always within the larger.

    Raises:
        UserError: `test` is None, and the data set has no test part.
    """
    numbers = np.arange(len(source.train[1]))
    parts: dict[Part, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    if source.test is not None:
        parts["test"] = (*source.test, np.arange(len(source.test[1])))
    elif test is None:
        raise UserError(
            "data.test: these images have no test split of their own; say which share of them is "
            "held out, such as 0.2"
        )
    else:
        numbers, held = _hold_out(numbers, source.train[1], test, seed, purpose=1)
        parts["test"] = _rows(source.train, held)
    if source.validation is not None:
        parts["validation"] = (*source.validation, np.arange(len(source.validation[1])))
    else:
        numbers, held = _hold_out(numbers, source.train[1], validation, seed, purpose=2)
        parts["validation"] = _rows(source.train, held)
    if samples is not None:
        numbers = np.sort(shuffled(numbers, seed, purpose=3)[:samples])
    parts["train"] = _rows(source.train, numbers)
    order: tuple[Part, ...] = ("train", "validation", "test")
    return {part: Split(*parts[part], source.levels, source.classes) for part in order}


def _rows(
    part: tuple[np.ndarray, np.ndarray], numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return part[0][numbers], part[1][numbers], numbers


def _hold_out(
    numbers: np.ndarray, labels: np.ndarray, fraction: float, seed: int, purpose: int
) -> tuple[np.ndarray, np.ndarray]:
    """(kept, held out), both ascending; the held out are `fraction`, rounded up, by class."""
    order = shuffled(numbers, seed, purpose)
    values, counts = np.unique(labels[order], return_counts=True)
    quota = np.floor(counts * fraction).astype(int)
    # The rounding is given to the classes that lost most by it.
    missing = held_out(len(numbers), fraction) - quota.sum()
    quota[np.argsort(quota - counts * fraction, kind="stable")[:missing]] += 1
    held = np.concatenate(
        [order[labels[order] == value][:n] for value, n in zip(values, quota, strict=True)]
    )
    return np.setdiff1d(numbers, held), np.sort(held)


def checksum(arrays: dict[str, np.ndarray]) -> str:
    """sha256 over names, types, shapes and contents."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
