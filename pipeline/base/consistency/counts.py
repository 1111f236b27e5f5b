"""How many images there are, and where more are asked."""

from __future__ import annotations

from typing import Any

from ..data_sets import DataSet, held_out
from ..raw import Raw, mapping, numbers
from ..recipes import recipe_sections


def sizes(raw: Raw, data_set: DataSet | None) -> tuple[int, int] | None:
    """How many training and test images the split leaves; None if that is not known yet."""
    if data_set is None:
        return None
    data, train, test = mapping(raw, "data"), data_set.train, data_set.test
    if test is None:
        share = next(iter(numbers([data.get("test")])), 0.0)
        if not 0 < share < 1:
            return None  # told by the schema
        test = held_out(train, share)
        train -= test
    share = next(iter(numbers([data.get("validation")])), -1.0)
    return (train - held_out(train, share), test) if 0 <= share < 1 else None


def training_images(raw: Raw, data_set: DataSet | None) -> int | None:
    """How many of them data.samples keeps; None if that is not known yet."""
    found, kept = sizes(raw, data_set), mapping(raw, "data").get("samples")
    if found is None:
        return None
    return min(found[0], kept) if isinstance(kept, int) else found[0]


def count_errors(raw: Raw, data_set: DataSet | None) -> list[str]:
    """One line for each `samples` that is more than there is."""
    found = sizes(raw, data_set)
    if found is None:
        return []
    data, (train, test) = mapping(raw, "data"), found
    errors = []

    def check(section: str, asked: Any, there: int, part: str) -> None:
        if isinstance(asked, int) and asked > there:
            errors.append(
                f"{section}.samples: {asked} asked, but {data['name']} has {there} {part} images "
                "here; null takes them all"
            )

    check("data", data.get("samples"), train, "training")
    check("evaluation", mapping(raw, "evaluation").get("samples"), test, "test")
    there = training_images(raw, data_set) or train
    for section, recipe in recipe_sections(raw).items():
        check(section, recipe.get("samples"), there, "training")
    return errors
