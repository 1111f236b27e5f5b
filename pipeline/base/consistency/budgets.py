"""Budgets that the box [0, 1] does not hold."""

from __future__ import annotations

import math
from typing import Any

from attacks import registry

from ..data_sets import DataSet
from ..raw import Raw, mapping, numbers
from ..recipes import recipe_sections


def box_errors(key: str, norm: str, grid: Any, data_set: DataSet | None) -> list[str]:
    """One line for each budget of a raw list that is more than `norm` allows."""
    if norm in ("l2", "l1") and data_set is None:
        return []  # a folder's image size is not known yet; the attack checks it before it starts
    limit = registry.largest_eps(norm, math.prod(data_set.shape if data_set else ()))
    return [
        f"{key}: {eps:g} is more than {norm} allows for images in [0, 1]: at most {limit:g}"
        for eps in numbers(grid)
        if eps > limit * (1 + 1e-9)
    ]


def training_errors(raw: Raw, data_set: DataSet | None) -> list[str]:
    """Budgets of adversarial training that the box does not hold."""
    errors = []
    for key, recipe in recipe_sections(raw).items():
        threat = mapping(recipe, "adversarial")
        if threat.get("norm") in registry.L_NORMS:
            grid = [threat.get("eps")]
            errors += box_errors(f"{key}.adversarial.eps", threat["norm"], grid, data_set)
    return errors
