"""The settings of an architecture, those that a recipe leaves out among them."""

from __future__ import annotations

from typing import Any

from models import ARCHITECTURES


def filled(architecture: str, given: dict[str, Any]) -> dict[str, Any]:
    """All of them; of an architecture that is not known, those that are given."""
    known = ARCHITECTURES.get(architecture)
    return known.filled(given) if known else given
