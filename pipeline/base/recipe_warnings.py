"""What params.yaml may mean and rarely does: said before any work, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .data_sets import PUBLISHED

if TYPE_CHECKING:
    from .config import Config

WRITTEN = ("digits", "mnist", "svhn")
"""Data sets of digits: mirrored, most of them are nothing, and a 2 may become a 5."""
TURNED = 45
"""Degrees by which a digit may be turned and still be told from the others."""


def recipe_warnings(config: Config, only: str | None = None) -> list[str]:
    """One line for each doubtful setting of networks that are trained, those of `memorize` too.

    Args:
        only: the key of one network, such as `networks.plain`; if not given all, and the data.
    """
    recipes = {
        f"networks.{name}": config.recipe_of(name)
        for name, entry in config.networks.items()
        if "model" not in entry
    }
    recipes |= {
        f"memorize.networks.{name}": config.memorizing(name) for name in config.memorize.networks
    }
    told = [
        f"{key}.{line}"
        for key, recipe in recipes.items()
        if only in (None, key)
        for line in _doubts(recipe.model_dump(mode="json"), config.data.name)
    ]
    published = PUBLISHED.get(config.data.name)
    if only is None and published and published.test and config.data.test is not None:
        told.insert(0, f"data.test: {config.data.name} has a test split of its own; write null")
    return told


def _doubts(recipe: dict[str, Any], data_set: str) -> Iterator[str]:
    if recipe["flip"] and recipe["augmentation"] != "none" and data_set in WRITTEN:
        yield f"flip: {data_set} shows digits, and a mirrored digit is another one or none"
    ranges = recipe["augmentation"]
    rotation = ranges.get("rotation", 0) if isinstance(ranges, dict) else 0
    if rotation > TURNED and data_set in WRITTEN:
        yield (
            f"augmentation.rotation: {data_set} shows digits, and one that is turned by more than "
            f"{TURNED} degrees may be another, as a 6 becomes a 9; got {rotation:g}"
        )
    if recipe["patience"] and recipe["schedule"] in ("cosine", "one_cycle"):
        yield (
            f"patience: {recipe['schedule']} lowers lr over all epochs, and training may end "
            "before it is low; schedule: constant or step does not count on the end"
        )
