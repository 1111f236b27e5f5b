"""What the tests of training share: recipes, and small data sets that are made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from pipeline.base.config import Recipe
from pipeline.base.splits import Split

CPU = torch.device("cpu")

# The shipped recipe, so that a new key needs no line here.
DEFAULTS: dict[str, Any] = {
    **yaml.safe_load((Path(__file__).parent.parent / "params.yaml").read_text())["recipe"],
    "epochs": 3,
}


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(DEFAULTS | changes)


def made_up(count: int, seed: int = 0, classes: int = 3, side: int = 8) -> Split:
    """Images whose class is told by the third of them that is bright; easy, with some noise."""
    draw = np.random.default_rng(seed)
    y = draw.integers(classes, size=count)
    x = draw.integers(0, 60, size=(count, 1, side, side))
    third = side // classes
    for row, label in enumerate(y):
        x[row, 0, :, label * third : (label + 1) * third] += 150
    index = np.arange(count)
    return Split(x.astype(np.uint8), y.astype(np.int64), index, 255, list("abcdefghij"[:classes]))
