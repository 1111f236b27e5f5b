"""What an architecture cannot be."""

from __future__ import annotations

import functools

from models import ARCHITECTURES

from ..data_sets import DataSet
from ..raw import Raw, mapping, numbers
from ..recipes import merged, recipe_layers
from ..starts import start_problems


def architecture_errors(raw: Raw, data_set: DataSet | None) -> list[str]:
    """One line for settings, dropout, weights or images that an architecture cannot have."""
    # The size of a folder's images is not known yet; training checks it before it starts.
    size = data_set.shape[1:] if data_set else None
    errors = []
    for layers in recipe_layers(raw):
        chosen = functools.reduce(merged, (own for _, own in layers))
        architecture, settings = str(chosen.get("architecture")), mapping(chosen, "settings")
        if architecture not in ARCHITECTURES:
            continue  # told by the schema
        dropout = next(iter(numbers([chosen.get("dropout")])), 0.0)
        problems = ARCHITECTURES[architecture].problems(settings, dropout, size)
        for key, reason in [*problems, *start_problems(chosen)]:
            setters = [section for section, own in layers if key.split(".")[0] in own]
            errors.append(f"{setters[-1] if setters else 'recipe'}.{key}: {reason}")
    return errors
