"""What can be read of a raw params.yaml, though other parts of it may be wrong."""

from __future__ import annotations

from typing import Any

Raw = dict[str, Any]


def mapping(values: Raw, key: str) -> Raw:
    """What stands at `key`; empty where it is no mapping."""
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def items(values: Any) -> list[Any]:
    """A list as it is; empty where it is none."""
    return values if isinstance(values, list) else []


def numbers(values: Any) -> list[float]:
    """Those of a list that are numbers or fractions, in order."""
    found = []
    for value in items(values):
        try:
            found.append(float(budget(value)))
        except (TypeError, ValueError):
            continue
    return found


def budget(value: Any) -> Any:
    """`8/255` is a perturbation budget as people write it; YAML leaves it a string."""
    try:
        if isinstance(value, bool):
            raise ValueError
        if isinstance(value, str):
            above, slash, below = value.partition("/")
            return float(above) / (float(below) if slash else 1)
    except (ValueError, ZeroDivisionError):
        raise ValueError("must be a number or a fraction such as 8/255") from None
    return value
