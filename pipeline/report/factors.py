"""Which networks differ in what: read from their recipes, so that no one has to say it twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import wording
from .settings import filled

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
            scheme = wording.augmentation(recipes[name])
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


class Couples(NamedTuple):
    """Pairs of networks that differ in what a claim says; where there are none, the reason."""

    pairs: list[tuple[str, str]]
    reason: str


def couples(
    recipes: dict[str, Recipe],
    first: Callable[[Recipe], bool],
    second: Callable[[Recipe], bool],
    apart: tuple[str, ...],
) -> Couples:
    """Each network of the first kind with each of the second, if all but `apart` is the same.

    Args:
        recipes: of networks; `first` and `second` are asked for theirs as `flat` has them.
        apart: keys in which the two may differ.
    """
    known = {name: flat(recipe) for name, recipe in recipes.items()}
    asked = [
        (a, b, [key for key in _differing(known[a], known[b]) if key not in apart])
        for a in known
        for b in known
        if first(known[a]) and second(known[b])
    ]
    pairs = [(a, b) for a, b, more in asked if not more]
    if pairs or not asked:
        return Couples(pairs, "" if pairs else "nothing that could tell was run")
    a, b, more = min(asked, key=lambda each: len(each[2]))
    return Couples([], f"no fair pair: {a} and {b} differ in {wording.join(more)} too")


def flat(recipe: Recipe) -> Recipe:
    """A recipe, its architecture's settings as `settings.<name>` with defaults filled in.

    Without its seeds: which run of a recipe it is makes no other recipe.
    """
    rest = {key: value for key, value in recipe.items() if key not in ("settings", "seeds")}
    settings = filled(str(recipe.get("architecture")), recipe.get("settings", {}))
    return rest | {f"settings.{name}": value for name, value in settings.items()}


def _differing(first: Recipe, second: Recipe) -> list[str]:
    keys = dict.fromkeys([*first, *second])
    return [key for key in keys if first.get(key) != second.get(key)]


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
