"""A user's own images: train/<class>/*, test/<class>/* and, if they like, validation/<class>/*."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..base.errors import UserError
from .source import HOW_TO_SET_ROOT, Source

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
GREY = {"1", "L"}
# What Pillow raises for files that are damaged, or so large that they may be meant to harm.
UNREADABLE = (OSError, SyntaxError, ValueError)
EIGHT_BIT = GREY | {"P", "RGB", "RGBA", "CMYK", "YCbCr", "LA", "PA"}


def read_image_folder(root: Path) -> Source:
    """Read all images below `root`: grey if all of them are, else RGB.

    Classes are the names of the folders, sorted; images are sorted by file name within them, so
    that the order is the same on every file system.

    Raises UserError, naming the file or folder, for an image that cannot be read, is not of 8
    bits a channel or has another size than the rest, for a class that one part lacks, if there
    are fewer than two classes, and if train or test is missing.
    """
    parts = {name: root / name for name in ("train", "validation", "test")}
    for name in ("train", "test"):
        if not parts[name].is_dir():
            raise UserError(
                f"{parts[name]}: no such folder; data set `folder` needs train/<class>/ and "
                f"test/<class>/ with images, and may have validation/<class>/; {HOW_TO_SET_ROOT}"
            )
    listing = {name: images_by_class(folder) for name, folder in parts.items() if folder.is_dir()}
    classes = sorted({label for found in listing.values() for label in found})
    if len(classes) < 2:
        raise UserError(
            f"{parts['train']}: {f'the only class is {classes[0]}' if classes else 'no classes'}; "
            "put the images of each class, two at least, into a folder of its own"
        )
    for name, found in listing.items():
        missing = [label for label in classes if not found.get(label)]
        if missing:
            raise UserError(
                f"{parts[name]}: no images of class {', '.join(missing)}; "
                f"every class needs at least one image in {', '.join(listing)}"
            )
    everything = [path for found in listing.values() for files in found.values() for path in files]
    grey, reference = _check_headers(everything)
    loaded = {name: _load(found, classes, grey, reference) for name, found in listing.items()}
    return Source(loaded["train"], loaded["test"], classes, loaded.get("validation"))


def images_by_class(folder: Path) -> dict[str, list[Path]]:
    """The image files of each class folder, sorted; hidden files and other types are left out."""
    return {
        label.name: sorted(
            path
            for path in label.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        for label in sorted(folder.iterdir())
        if label.is_dir() and not label.name.startswith(".")
    }


def _check_headers(paths: list[Path]) -> tuple[bool, tuple[int, int]]:
    """Whether all images are grey, and their one size (width, height)."""
    from PIL import Image

    grey, first, size = True, paths[0], (0, 0)
    for path in paths:
        try:
            with Image.open(path) as image:
                mode, found = image.mode, image.size
        except (*UNREADABLE, Image.DecompressionBombError) as error:
            raise unreadable(path, error) from error
        check_depth(mode, path)
        if path is first:
            size = found
        elif found != size:
            raise UserError(
                f"{path}: {found[0]}x{found[1]} pixels, but {first} has {size[0]}x{size[1]}; "
                "all images must have one size (width x height)"
            )
        grey = grey and mode in GREY
    return grey, size


def check_depth(mode: str, where: Path | str) -> None:
    """UserError for Pillow's mode of an image whose pixels it would cut to 8 bits unasked."""
    if mode not in EIGHT_BIT:
        raise UserError(
            f"{where}: pixels of type {mode}; images must have 8 bits a channel (grey or RGB)"
        )


def _load(
    found: dict[str, list[Path]], classes: list[str], grey: bool, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image

    labelled = [(label, path) for label, name in enumerate(classes) for path in found[name]]
    x = np.empty((len(labelled), 1 if grey else 3, size[1], size[0]), np.uint8)
    for row, (_, path) in enumerate(labelled):
        try:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("L" if grey else "RGB"))
        except (*UNREADABLE, Image.DecompressionBombError) as error:
            raise unreadable(path, error) from error
        x[row] = pixels[None] if grey else pixels.transpose(2, 0, 1)
    return x, np.array([label for label, _ in labelled], np.int64)


def unreadable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path}: cannot be read as an image ({error}); replace it or take it out of the folder"
    )
