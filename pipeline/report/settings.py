"""The value that a setting of an architecture has where a recipe leaves it out."""

from __future__ import annotations

from typing import Any

from models import ARCHITECTURES


def default(architecture: str, setting: str) -> Any:
    """None where the architecture has no such setting."""
    known = ARCHITECTURES.get(architecture)
    return known.filled({}).get(setting) if known else None
