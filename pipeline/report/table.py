"""A table as the templates draw it."""

from __future__ import annotations

from dataclasses import dataclass

from . import wording
from .statistics import Accuracy


@dataclass(frozen=True)
class Cell:
    """A value, and beside it, quieter, its interval."""

    text: str
    interval: str = ""
    share: float | None = None  # a fraction is drawn as a bar behind its number
    mark: str = ""  # a class of the style sheet that frames and colours the text

    def __str__(self) -> str:
        return f"{self.text} ({self.interval})" if self.interval else self.text


@dataclass(frozen=True)
class Table:
    """`head` names the columns; the first cell of a row is its heading."""

    head: list[str]
    rows: list[list[Cell]]


def plain(head: list[str], rows: list[list[str]]) -> Table:
    return Table(head, [[Cell(text) for text in row] for row in rows])


def accuracy_cell(value: Accuracy) -> Cell:
    return Cell(wording.accuracy(value), wording.accuracy_interval(value), value.value)
