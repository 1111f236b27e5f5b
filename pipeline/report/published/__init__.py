"""Published figures, each with its source, for runs whose set-up is the published one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..settings import filled

NEARLY_ALL = 0.98
"""Of the published training images: a share of ours may be held out for validation."""


def beside(run: dict[str, Any], data: str) -> str:
    """The paper's figure for a run of `memorize`; empty where the set-up is not the paper's.

    `100 / 85.8 % (Table 1)`: accuracy on training and test images.
    """
    paper = yaml.safe_load(Path(__file__).with_name("zhang2017.yaml").read_text())
    if data != paper["data"] or run["n_train"] < NEARLY_ALL * paper["images"]:
        return ""
    if run["kind"] != "labels" or run["fraction"] not in (0, 1):
        return ""
    labels = "random" if run["fraction"] else True
    recipe = run["recipe"]
    for row in paper["rows"]:
        like = paper["architectures"][row["of"]]
        settings = filled(recipe["architecture"], recipe["settings"])
        if (
            recipe["architecture"] == like["architecture"]
            and recipe.get("loss", "cross_entropy") == "cross_entropy"
            and all(settings.get(key) == value for key, value in like["settings"].items())
            and settings.get("activation", "relu") == "relu"
            and settings.get("pooling", "max") == "max"
            and row["labels"] == labels
            and set(row["with"]) == regularizers(recipe)
        ):
            return _told(row)
    return ""


def regularizers(recipe: dict[str, Any]) -> set[str]:
    """By the paper's names; what the paper did not try is named too, so that it matches nothing."""
    found = {
        name.replace("_", " ")
        for name in ("weight_decay", "dropout", "label_smoothing", "l1_penalty", "adversarial")
        if recipe.get(name)
    }
    augmentation = recipe.get("augmentation", "none")
    if augmentation == "none":
        return found
    given = augmentation if isinstance(augmentation, dict) else {"scheme": augmentation}
    asked = {name for name, value in given.items() if value and name != "scheme"}
    asked |= {"flip"} if recipe["flip"] else set()
    known = {
        frozenset(): set[str](),
        frozenset({"crop"}): {"crop"},
        frozenset({"crop", "brightness", "contrast", "color", "flip"}): {"full augmentation"},
    }
    if given["scheme"] == "none" and frozenset(asked) in known:
        return found | known[frozenset(asked)]
    return found | {"another augmentation"}


def _told(row: dict[str, Any]) -> str:
    shares = [f"{row[part]:g}" for part in ("train", "test") if row[part] is not None]
    return f"{' / '.join(shares)} % ({row['source']})" if shares else row["source"]
