"""What an architecture lets one set, and which values it takes; needs no torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ACTIVATIONS = ("relu", "leaky_relu", "elu", "tanh", "sigmoid")
POOLINGS = ("max", "average")


@dataclass(frozen=True)
class Setting:
    """One setting: the value it has where none is given, and which values are allowed."""

    default: Any
    allowed: str
    """in words, for error messages and the documentation"""
    fits: Callable[[Any], bool]


def choice(default: str | None, *others: str | None) -> Setting:
    """One of several names."""
    names = (default, *others)
    words = " or ".join("null" if name is None else name for name in names)
    return Setting(default, words, lambda value: value in names)


def switch(default: bool) -> Setting:
    return Setting(default, "true or false", lambda value: isinstance(value, bool))


def whole(default: int, least: int = 1) -> Setting:
    return Setting(
        default,
        f"a whole number of at least {least}",
        lambda value: _is_number(value, int) and value >= least,
    )


def factor(default: float) -> Setting:
    return Setting(
        default,
        "a number greater than 0",
        lambda value: _is_number(value) and math.isfinite(value) and value > 0,
    )


def share(default: float) -> Setting:
    return Setting(
        default, "at least 0 and less than 1", lambda value: _is_number(value) and 0 <= value < 1
    )


def counts(*default: int) -> Setting:
    """A list of whole numbers of at least 1, such as the units of each hidden layer."""
    return Setting(
        list(default),
        f"a list such as {list(default)}",
        lambda value: (
            isinstance(value, list | tuple)
            and len(value) > 0
            and all(_is_number(each, int) and each >= 1 for each in value)
        ),
    )


def _is_number(value: Any, kind: Any = (int, float)) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def activation(default: str = "relu") -> Setting:
    return choice(default, *(name for name in ACTIVATIONS if name != default))


def pooling(default: str = "max") -> Setting:
    return choice(default, *(name for name in POOLINGS if name != default))
