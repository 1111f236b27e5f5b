"""Batches of one image, in which batch norm has nothing to compare."""

from __future__ import annotations

import math

from models import ARCHITECTURES

from ..raw import Raw, mapping


def batch_errors(recipe: Raw, there: int | None) -> list[str]:
    """What is wrong with the batches of a raw recipe; `there`: training images, if known."""
    architecture = ARCHITECTURES.get(str(recipe.get("architecture")))
    size, samples = recipe.get("batch_size"), recipe.get("samples")
    if architecture is None or recipe.get("frozen") or not isinstance(size, int) or size < 1:
        return []
    if not architecture.has_batch_norm(mapping(recipe, "settings")):
        return []
    if isinstance(samples, int) and samples > 0:
        there = samples if there is None else min(there, samples)
    return single(there, size)


def single(count: int | None, size: int) -> list[str]:
    """Why batches of equal size, at most `size`, of `count` images are not for batch norm."""
    if size > 1 and (count is None or count // math.ceil(count / size) > 1):
        return []
    one = "an image" if count is None else f"one of {count} images"
    return [f"{size} leaves {one} alone in a batch, and batch norm compares the images; raise it"]
