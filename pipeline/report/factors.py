"""Which networks differ in what: read from their recipes, so that no one has to say it twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import wording

Recipe = dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """Networks that hold every pair of an augmentation and an explicit regularization.

    `networks` has the network of each pair (row, column); all else in their recipes is the same.
    """

    rows: list[str]
    columns: list[str]
    networks: dict[tuple[str, str], str]


def grid(recipes: dict[str, Recipe]) -> Grid | None:
    """The largest full grid of augmentation and explicit regularization, at least 2x2.

    Regularization is weight decay and dropout, of which each must have one strength; None if the
    networks hold no such grid.
    """
    best: Grid | None = None
    for alike in _alike(recipes, ("augmentation", "weight_decay", "dropout")):
        cells: dict[tuple[str, str], str] = {}
        for name in alike:
            scheme = wording.augmentation(recipes[name]["augmentation"])
            cells.setdefault((scheme, _explicit(recipes[name])), name)
        rows = list(dict.fromkeys(row for row, _ in cells))
        columns = list(dict.fromkeys(column for _, column in cells))
        full = all((row, column) in cells for row in rows for column in columns)
        if full and min(len(rows), len(columns)) > 1:
            found = Grid(rows, columns, cells)
            if best is None or len(found.networks) > len(best.networks):
                best = found
    return best


def by_samples(recipes: dict[str, Recipe]) -> list[list[str]]:
    """Networks that differ in the size of their training set alone; groups of at least three."""
    return [names for names in _alike(recipes, ("samples",)) if len(names) > 2]


def _alike(recipes: dict[str, Recipe], apart: tuple[str, ...]) -> list[list[str]]:
    """The networks in groups whose recipes differ in nothing but `apart`."""
    groups: dict[str, list[str]] = {}
    for name, recipe in recipes.items():
        rest = {key: value for key, value in sorted(recipe.items()) if key not in apart}
        groups.setdefault(repr(rest), []).append(name)
    return list(groups.values())


def _explicit(recipe: Recipe) -> str:
    told = [
        f"{label} {recipe[key]:g}"
        for key, label in (("weight_decay", "weight decay"), ("dropout", "dropout"))
        if recipe[key]
    ]
    return " and ".join(told) or "none"
