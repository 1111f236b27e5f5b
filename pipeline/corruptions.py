"""Labels and images that mean nothing, after Zhang et al. (2017, arXiv 1611.03530).

Labels and pixels are drawn once, from the seed. Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from .base.splits import Split

if TYPE_CHECKING:
    from .base.config import Corruption


def describe_corruption(corruption: Corruption) -> str:
    """What a reader calls it: `true labels`, `50 % random labels`, `shuffled pixels`."""
    if corruption.kind == "gaussian":
        return "Gaussian images"
    if corruption.kind != "labels":
        return corruption.kind.replace("_", " ")
    if corruption.fraction in (0, 1):
        return "random labels" if corruption.fraction else "true labels"
    return f"{100 * corruption.fraction:g} % random labels"


def corrupt(train: Split, corruption: Corruption, seed: int) -> Split:
    """The training split with corrupted labels or images."""
    if corruption.kind == "labels":
        labels = random_labels(train, corruption.fraction, seed)
        return dataclasses.replace(train, y=labels)
    return corrupt_images(train, train, corruption, seed)


def random_labels(split: Split, fraction: float, seed: int) -> np.ndarray:
    """Labels of which exactly `fraction` are drawn again, uniformly over all classes.

    A draw may hit the true class: with ten classes about a tenth of the drawn labels do not
    change. A larger fraction redraws the same examples and more, with the same results.
    """
    draw = np.random.default_rng([seed, 1])
    chosen = draw.permutation(len(split.y))[: round(fraction * len(split.y))]
    drawn = draw.integers(len(split.classes), size=len(split.y))
    labels = split.y.copy()
    labels[chosen] = drawn[chosen]
    return labels


def corrupt_images(split: Split, train: Split, corruption: Corruption, seed: int) -> Split:
    """The split with corrupted images; `labels` leaves them as they are.

    shuffled_pixels: one permutation of the places for all images, of every split.
    random_pixels: a permutation for each image. gaussian: independent pixels with the mean and
    deviation that each channel has in `train`, cut at black and white. Channels move together.
    """
    if corruption.kind == "labels":
        return split
    count, channels = split.x.shape[:2]
    places = split.x.reshape(count, channels, -1)
    if corruption.kind == "shuffled_pixels":
        order = np.random.default_rng([seed, 2]).permutation(places.shape[2])
        x = places[:, :, order]
    else:
        # Training and test images must not share their draws.
        part = 3 if split is train else 4
        draw = np.random.default_rng([seed, part])
        if corruption.kind == "random_pixels":
            ranks = draw.random((count, 1, places.shape[2]), dtype=np.float32).argsort(axis=2)
            x = np.take_along_axis(places, ranks, axis=2)
        else:
            pixels = train.x.swapaxes(0, 1).reshape(channels, -1)
            mean = pixels.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
            spread = pixels.std(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
            noise = mean + spread * draw.standard_normal(places.shape, dtype=np.float32)
            x = noise.round().clip(0, split.levels).astype(np.uint8)
    return dataclasses.replace(split, x=np.ascontiguousarray(x.reshape(split.x.shape)))
