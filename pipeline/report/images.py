"""The gallery: pictures as PNG data URIs, each true to its pixels."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np

from . import wording
from .results import Cell

SHOWN = 6  # per network in the page; the rest stays in gallery.npz


@dataclass(frozen=True)
class Picture:
    uri: str
    alt: str
    heading: str
    predicted: str
    confidence: str
    right: bool | None


@dataclass(frozen=True)
class Example:
    """One image, noise drawn at the attack's size, the attack, and its perturbation alone."""

    index: int
    label: str
    eps: str
    pictures: list[Picture]


def png(image: np.ndarray) -> bytes:
    """A (C, H, W) image in [0, 1], C 1 or 3, as PNG."""
    from PIL import Image

    pixels = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    made = Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1))
    buffer = io.BytesIO()
    made.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(image: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()


def magnified(change: np.ndarray) -> tuple[np.ndarray, float]:
    """A perturbation around mid grey, stretched to the full range, and the factor used."""
    largest = float(np.abs(change).max())
    factor = 0.5 / largest if largest else 1.0
    return 0.5 + change * factor, factor


def examples(cell: Cell, classes: list[str], shown: int = SHOWN) -> list[Example]:
    """The first examples of a cell's gallery (the stage keeps broken ones, by image index)."""
    stored = cell.gallery
    return [_example(stored, i, classes) for i in range(min(shown, len(stored["index"])))]


def _example(stored: dict[str, np.ndarray], i: int, classes: list[str]) -> Example:
    label = int(stored["label"][i])
    eps = wording.grid_eps(float(stored["eps"][i]))
    change, factor = magnified(stored["x_adv"][i] - stored["x"][i])
    pictures = []
    # The distance that a change really has, after clipping to the box.
    for heading, key, prefix, size in (
        ("image", "x", "clean", None),
        ("noise", "noise", "noise", "noise_distance"),
        ("attack", "x_adv", "adv", "distance"),
    ):
        predicted = int(stored[f"{prefix}_pred"][i])
        confidence = wording.percent(float(stored[f"{prefix}_confidence"][i]))
        name = wording.class_name(classes, predicted)
        if size is not None:
            heading += " " + wording.number(float(stored[size][i]))
        pictures.append(
            Picture(
                uri=data_uri(stored[key][i]),
                alt=f"{heading}: read as {name}, confidence {confidence}",
                heading=heading,
                predicted=name,
                confidence=confidence,
                right=predicted == label,
            )
        )
    pictures.append(
        Picture(
            data_uri(change),
            f"the change alone, {factor:.1f} times",
            "change",
            f"× {factor:.1f}",
            "",
            None,
        )
    )
    return Example(int(stored["index"][i]), classes[label], eps, pictures)
