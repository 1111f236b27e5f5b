"""Augmentations that the images, the loss or nothing at all can be meant for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def augmentation_errors(
    recipe: dict[str, Any], shape: tuple[int, int, int] | None
) -> Iterator[tuple[str, str]]:
    """(range, what is wrong) of a raw recipe; `shape` of the images, None if not known yet."""
    ranges = recipe.get("augmentation")
    if not isinstance(ranges, dict):
        return
    if ranges.get("mixup") and recipe.get("loss") == "hinge":
        yield "mixup", "an image of two classes has no place in the hinge loss; leave it out"
    if ranges.get("mixup") and recipe.get("batch_size") == 1:
        yield "mixup", "an image is mixed with another of its batch, and batch_size is 1; raise it"
    if shape is None:
        return
    channels, *sides = shape
    if ranges.get("color") and channels == 1:
        yield "color", "the images are grey; leave it out"
    for name, harm in (("cutout", "hides"), ("crop", "can lose")):
        size = ranges.get(name)
        if isinstance(size, int) and size >= min(sides):
            yield (
                name,
                f"{size} pixels {harm} all of an image of {sides[0]}x{sides[1]}; "
                f"at most {min(sides) - 1}",
            )
