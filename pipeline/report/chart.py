"""A chart: what it says in a sentence, its drawing for a file and for the page, and its table."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from .inline import inline
from .table import Table


@dataclass(frozen=True)
class Key:
    """An entry of a legend: a series (colour, marker) or a kind of curve (dash)."""

    of: str
    name: str
    label: str
    number: int


@dataclass(frozen=True)
class Chart:
    """A drawing with the sentence that it shows, and its table.

    Attributes:
        file: the drawing as SVG, with its legend.
        height: of the drawing without its legend, in points.
        tips: one text for each marker of the series with that gid.
        keys: of the legend that the page has in place of the drawing's.
    """

    name: str
    title: str
    takeaway: str
    caption: str
    file: bytes = field(repr=False)
    height: float
    table: Table
    tips: dict[str, list[str]] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)

    @cached_property
    def inline(self) -> str:
        """The drawing as a part of the page."""
        return inline(
            self.file,
            self.name,
            title=self.title,
            description=self.takeaway,
            height=self.height,
            tips=self.tips,
        )
