"""More images asked than the data set has."""

from __future__ import annotations

from typing import Any

from ..data_sets import DataSet, held_out
from ..raw import Raw, mapping, numbers
from ..recipes import recipe_sections


def count_errors(raw: Raw, data_set: DataSet | None) -> list[str]:
    """One line for each `samples` that is more than there is."""
    data = mapping(raw, "data")
    shares = numbers([data.get("test"), data.get("validation")])
    if data_set is None or len(shares) < 2:
        return []
    held, validation = shares
    if not (0 < held < 1 and 0 <= validation < 1):
        return []
    train, test = data_set.train, data_set.test
    if test is None:
        test = held_out(train, held)
        train -= test
    train -= held_out(train, validation)
    errors = []

    def check(section: str, asked: Any, there: int, part: str) -> None:
        if isinstance(asked, int) and asked > there:
            errors.append(
                f"{section}.samples: {asked} asked, but {data['name']} has {there} {part} images "
                "here; null takes them all"
            )

    kept = data.get("samples")
    check("data", kept, train, "training")
    check("evaluation", mapping(raw, "evaluation").get("samples"), test, "test")
    for section, recipe in recipe_sections(raw).items():
        there = min(train, kept) if isinstance(kept, int) else train
        check(section, recipe.get("samples"), there, "training")
    return errors
