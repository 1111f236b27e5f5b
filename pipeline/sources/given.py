"""Labelled images as somebody has them who only wants a model checked: folders, arrays, a Dataset.

Nothing is trained, so there is one part. What comes out has 8 bits a channel, as photos have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.front import cropped_to, middle, resized_to

from ..base.errors import UserError
from ..base.progress import progress
from .image_folder import GREY, check_depth
from .listing import listing_of

Size = int | Sequence[int] | None

# 8-bit images of which no pixel is brighter were hardly scaled to 255: digits of 17 levels, masks,
# zeros and ones. ε would be many times larger than it says.
DARK = 32
# What values that were computed may stand beyond [0, 1]: half a grey level, as rounding moves too.
OVERSHOOT = 0.5 / 255


@dataclass(frozen=True)
class Given:
    """x: uint8 (N, C, H, W). y: labels, int64 (N,), places in `classes`. index: their numbers in
    the whole data set, int64 (N,). outputs: the model's output of each class; None if not told.
    rounded: by how much an image in [0, 1] was moved to have 8 bits, at most.
    """

    x: np.ndarray
    y: np.ndarray
    index: np.ndarray
    classes: list[str]
    outputs: dict[str, int] | None
    rounded: float


def read_given(
    data: str,
    choose: Callable[[np.ndarray], np.ndarray],
    *,
    outputs: Mapping[str, int] | None,
    channels: int | None,
    resize: Size,
    crop: Size,
) -> Given:
    """Read labelled images.

    Args:
        data: a folder with a folder for each class (or with `test/` that has them), an .npz of x
            and y, or `module:function` that returns a Dataset.
        choose: which of the indices (N,) to read.
        outputs: name of a class to the model's output.
        channels: 1 or 3; None: as the images are, grey if all of them are.
        resize, crop: as in `models.front`, applied to each image.

    Raises:
        UserError: for what cannot be read, images of several sizes, images that are not in
            [0, 1] or of 8 bits (normalized ones), or whole numbers of which none is above DARK.
    """
    listing = listing_of(data)
    index = choose(np.arange(listing.count))
    pixels, labels, rounded, brightest = [], [], 0.0, 0
    with progress(len(index), "read images") as bar:
        for number in index.tolist():
            where = f"--data: image {number} of {data}"
            image, label = listing.read(number)
            image, moved = _pixels(image, where)
            brightest = max(brightest, 255 if moved is not None else int(image.max()))
            pixels.append(sized(image, resize, crop, where))
            labels.append(label)
            rounded = max(rounded, moved or 0.0)
            bar.update()
    if brightest <= DARK:
        raise UserError(
            f"--data: {data}: no pixel is brighter than {brightest}, where 8 bits go to 255, so ε "
            "would not mean what it says; divide them by the largest value that a pixel can have "
            "(by 255 if the images are as dark as that): values in [0, 1] are taken as they are"
        )
    x, y = _stacked(pixels, channels, data), np.array(labels, np.int64)
    if listing.classes is not None:
        return Given(x, y, index, listing.classes, dict(outputs) if outputs else None, rounded)
    if y.min() < 0:
        raise UserError(f"--data: {data}: the label {y.min()}; labels are the model's outputs")
    occur, places = np.unique(y, return_inverse=True)
    if outputs and not set(outputs.values()) & set(occur.tolist()):
        raise UserError(f"--classes: none of the outputs named is a label of {data}")
    names = {**listing.names, **{number: name for name, number in (outputs or {}).items()}}
    classes = [names.get(number, str(number)) for number in occur.tolist()]
    return Given(
        x, places, index, classes, dict(zip(classes, occur.tolist(), strict=True)), rounded
    )


def _pixels(image: Any, where: str) -> tuple[np.ndarray, float | None]:
    """uint8 (C, H, W), C 1 or 3, and by how much rounding moved it; None if it had 8 bits."""
    if hasattr(image, "convert"):  # PIL's
        check_depth(image.mode, where)
        image = np.asarray(image.convert("L" if image.mode in GREY else "RGB"))
        return (image[None] if image.ndim == 2 else image.transpose(2, 0, 1)), None
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or not {array.shape[0], array.shape[-1]} & {1, 3}:
        raise UserError(f"{where}: must have 1 or 3 channels, has the shape {array.shape}")
    if array.shape[0] not in (1, 3):
        array = array.transpose(2, 0, 1)
    if array.dtype == np.uint8:
        return array, None
    low, high = float(array.min()), float(array.max())
    whole = array.dtype.kind in "iu" or (high > 1 and bool((array == np.floor(array)).all()))
    if whole and low >= 0 and high <= 255:
        return array.astype(np.uint8), None
    if not (low >= -OVERSHOOT and high <= 1 + OVERSHOOT):
        raise UserError(f"{where}: {_outside(low, high)}")
    scaled = array.astype(np.float64).clip(0, 1) * 255
    return scaled.round().astype(np.uint8), float(np.abs(scaled.round() - scaled).max() / 255)


def _outside(low: float, high: float) -> str:
    told = f"values from {low:g} to {high:g}, but images must lie in [0, 1]"
    if not np.isfinite([low, high]).all():
        return f"{told}; some are no numbers"
    if low >= 0:
        return (
            f"{told} or be whole numbers up to 255; divide them by the largest value that a pixel "
            "can have, such as 255 for 8 bits and 65535 for 16"
        )
    return (
        f"{told}; they are normalized already: give them as they were before, and the mean and "
        "std with --normalize, since ε is measured in pixels"
    )


def sized(image: np.ndarray, resize: Size, crop: Size, where: str) -> np.ndarray:
    """Resized and cut as torchvision does it to photos."""
    if resize is None and crop is None:
        return image
    from PIL import Image

    height, width = resized_to((image.shape[1], image.shape[2]), resize)
    try:
        cut = cropped_to((height, width), crop)
    except ValueError as error:
        raise UserError(f"{where}: --crop: {error}") from None
    photo = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
    top, left = middle(height, cut[0]), middle(width, cut[1])
    photo = photo.resize((width, height), Image.Resampling.BILINEAR)
    found = np.asarray(photo.crop((left, top, left + cut[1], top + cut[0])))
    return found[None] if found.ndim == 2 else found.transpose(2, 0, 1)


def _stacked(images: list[np.ndarray], channels: int | None, data: str) -> np.ndarray:
    sizes = sorted({image.shape[1:] for image in images})
    if len(sizes) > 1:
        shown = ", ".join(f"{height}x{width}" for height, width in sizes[:5])
        raise UserError(
            f"--data: {data}: images of several sizes ({shown}); bring them to one with --resize "
            "and --crop"
        )
    wanted = channels or max(len(image) for image in images)
    if wanted not in (1, 3):
        raise UserError(f"--normalize: {wanted} means and deviations; images have 1 channel or 3")
    if wanted == 1 and any(len(image) == 3 for image in images):
        raise UserError(f"--normalize: one channel, but {data} has images in colour")
    return np.stack([np.broadcast_to(each, (wanted, *each.shape[1:])) for each in images])
