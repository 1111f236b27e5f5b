"""What the tests of training share: recipes, and small data sets that are made up."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pipeline.base.config import Recipe
from pipeline.base.splits import Split

CPU = torch.device("cpu")

DEFAULTS: dict[str, Any] = {
    "architecture": "small_cnn",
    "settings": {},
    "epochs": 3,
    "batch_size": 32,
    "optimizer": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "schedule": "one_cycle",
    "weight_decay": 0.0,
    "dropout": 0.0,
    "label_smoothing": 0.0,
    "augmentation": "none",
    "flip": False,
    "adversarial": None,
    "select": "last",
    "seeds": [0],
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
