"""Labelled images before they are read: those of a folder, of an .npz archive, or of a Dataset."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..base.callables import callable_errors, load_callable
from ..base.errors import ANY, UserError, told
from .image_folder import UNREADABLE, images_by_class, unreadable

NAMES = (("x", "y"), ("x_test", "y_test"))


@dataclass(frozen=True)
class Listing:
    """How many there are, and how one is read: an image, PIL's or an array, and its label.

    Labels are places in `classes`; where that is None they are the model's outputs, and `names`
    are what some of these are called.
    """

    count: int
    read: Callable[[int], tuple[Any, int]]
    classes: list[str] | None = None
    names: Mapping[int, str] = field(default_factory=dict)


def listing_of(data: str) -> Listing:
    """What a folder, an .npz of x and y, or `module:function` lists; UserError if it is none."""
    if Path(data).is_dir():
        return _folder(Path(data))
    if Path(data).suffix == ".npz":
        return _archive(Path(data))
    if ":" in data:
        return _dataset(data)
    raise UserError(f"--data: {data!r} is no folder, no .npz file and not written module:function")


def _folder(root: Path) -> Listing:
    from PIL import Image

    root = root / "test" if (root / "test").is_dir() else root
    found = {name: files for name, files in images_by_class(root).items() if files}
    if not found:
        raise UserError(
            f"--data: {root}: no images; put those of each class into a folder of its own"
        )
    files = [(path, label) for label, name in enumerate(found) for path in found[name]]

    def read(number: int) -> tuple[Any, int]:
        path, label = files[number]
        try:
            with Image.open(path) as image:
                image.load()
        except (*UNREADABLE, Image.DecompressionBombError) as error:
            raise unreadable(path, error) from error
        return image, label

    return Listing(len(files), read, list(found))


def _archive(path: Path) -> Listing:
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = next((both for both in NAMES if set(both) <= set(archive.files)), None)
            if names is None:
                raise UserError(
                    f"--data: {path}: needs images x and labels y, has {', '.join(archive.files)}"
                )
            x, y = (archive[name] for name in names)
    except FileNotFoundError:
        raise UserError(f"--data: {path}: no such file") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"--data: {path}: cannot be read ({told(error)})") from error
    if x.ndim not in (3, 4) or y.shape != x.shape[:1] or not len(y) or y.dtype.kind not in "iu":
        raise UserError(
            f"--data: {path}: x must be images (N, C, H, W), (N, H, W, C) or (N, H, W) and y one "
            f"whole number for each, got {x.shape} and {y.dtype} {y.shape}"
        )
    return Listing(len(y), lambda number: (x[number], int(y[number])))


def _dataset(name: str) -> Listing:
    errors = callable_errors(name)
    if errors:
        raise UserError("\n".join(f"--data: {line}" for line in errors))
    made = load_callable(name, "--data")

    def failed(error: BaseException) -> UserError:
        return UserError(
            f"--data: {name}() must return a Dataset of (image, label) with a length: {told(error)}"
        )

    def read(number: int) -> tuple[Any, int]:
        try:
            image, label = dataset[number]
            return image, int(label)
        except ANY as error:
            raise failed(error) from error

    try:
        dataset = made()
        count = len(dataset)
    except ANY as error:
        raise failed(error) from error
    if count == 0:
        raise UserError(f"--data: {name}() returns a Dataset without images")
    classes = getattr(dataset, "classes", None)
    names = map(str, classes) if isinstance(classes, list | tuple) else ()
    return Listing(count, read, names=dict(enumerate(names)))
