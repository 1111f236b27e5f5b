"""What a recipe may mean and rarely does: said before training, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import Config

WRITTEN = ("digits", "mnist", "svhn")
"""Data sets of digits: mirrored, most of them are nothing, and a 2 may become a 5."""


def recipe_warnings(config: Config, network: str | None = None) -> list[str]:
    """One line for each doubtful setting, of one network or of all."""
    names = [network] if network else list(config.networks)
    names = [name for name in names if "model" not in config.networks[name]]
    defaults = config.recipe.model_dump(mode="json")
    return [
        f"networks.{name}.{line}"
        for name in names
        for line in _doubts(defaults | config.networks[name], config.data.name)
    ]


def _doubts(recipe: dict[str, Any], data_set: str) -> Iterator[str]:
    if recipe["flip"] and recipe["augmentation"] != "none" and data_set in WRITTEN:
        yield f"flip: {data_set} shows digits, and a mirrored digit is another one or none"
    if recipe["patience"] and recipe["schedule"] in ("cosine", "one_cycle"):
        yield (
            f"patience: {recipe['schedule']} lowers lr over all epochs, and training may end "
            "before it is low; schedule: constant or step does not count on the end"
        )
