"""What the last report found, for the terminal."""

from __future__ import annotations

from ..base import store
from ..base.store import Place


def headline_lines(place: Place) -> list[str]:
    """Three lines: eps50, survival at the headline eps, noise against attack, per network."""
    lines: list[str] = store.read_json(place.reports / "tables" / "summary.json")["lines"]
    return lines
