"""Heat maps: a number for each pair of two things, darker where it is larger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.patches import Rectangle

from ..base.palette import color
from . import drawing, wording
from .chart import Chart
from .table import Cell, Table

CELL, TALL = 26, 46  # points: the height of a row, and of one whose cells have two lines
FAINT, STRONG = 0.06, 0.6  # opacity of the least and of the greatest value
DARKEST = 0.75  # of a share of 1; ink over it stays readable, on white and on black


class Shade(NamedTuple):
    """A cell: its opacity, what stands in it, and what stands below that in small."""

    opacity: float
    text: str
    small: str = ""


def shares(
    name: str,
    title: str,
    takeaway: str,
    caption: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    table: Table,
    axes_names: tuple[str, str],
    number: int = 0,
) -> Chart:
    """A chart of `values[row][column]`, fractions; None leaves a cell empty.

    Args:
        axes_names: what rows and columns are.
        number: of the series whose colour it takes.
    """
    cells = {
        (row, column): Shade(DARKEST * share, wording.whole_percent(share) if share else "")
        for row, line in enumerate(values)
        for column, share in enumerate(line)
        if share is not None
    }
    return _chart(name, title, takeaway, caption, rows, columns, cells, table, axes_names, number)


def settings(
    name: str,
    title: str,
    takeaway: str,
    caption: str,
    corner: str,
    cells: dict[tuple[str, str], tuple[float, Cell]],
) -> Chart:
    """A chart of `cells`, by (row, column): a value that decides how dark, and how it is written.

    Args:
        corner: what the rows are, for the table.
    """
    rows = list(dict.fromkeys(row for row, _ in cells))
    columns = list(dict.fromkeys(column for _, column in cells))
    values = [value for value, _ in cells.values()]
    low, span = min(values), max(values) - min(values)
    shades = {
        (rows.index(row), columns.index(column)): Shade(
            FAINT + (STRONG - FAINT) * ((value - low) / span if span else 0.5),
            told.text,
            told.interval,
        )
        for (row, column), (value, told) in cells.items()
    }
    body = [[Cell(row), *(cells[row, column][1] for column in columns)] for row in rows]
    table = Table([corner, *columns], body)
    return _chart(name, title, takeaway, caption, rows, columns, shades, table)


def _chart(
    name: str,
    title: str,
    takeaway: str,
    caption: str,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: dict[tuple[int, int], Shade],
    table: Table,
    axes_names: tuple[str, str] = ("", ""),
    number: int = 0,
) -> Chart:
    tall = any(shade.small for shade in cells.values())
    left = (30 if axes_names[0] else 14) + 6.2 * max(len(row) for row in rows)
    height = 60 + (TALL if tall else CELL) * len(rows)
    with drawing.style():
        figure, axes = drawing.figure(height, legend_rows=0, left=left, top=6)
        for (y, x), shade in cells.items():
            axes.add_patch(
                Rectangle(
                    (x, y), 1, 1, facecolor=color(number), alpha=shade.opacity,
                    edgecolor="none", linewidth=0,
                )
            )  # fmt: skip
            middle = y + (0.38 if tall else 0.5)
            if shade.text:
                axes.text(x + 0.5, middle, shade.text, ha="center", va="center", fontsize=9)
            if shade.small:
                axes.text(
                    x + 0.5, y + 0.74, shade.small, ha="center", va="center", fontsize=7,
                    color=drawing.INK,
                )  # fmt: skip
        axes.set_xlim(0, len(columns))
        axes.set_ylim(len(rows), 0)
        axes.grid(visible=False)
        axes.tick_params(length=0)
        wrapped = [column.replace(" and ", "\nand ") for column in columns]
        axes.set_xticks([x + 0.5 for x in range(len(columns))], wrapped)
        if tall:  # what the columns are called is as long as a setting's name
            axes.tick_params(axis="x", labelsize=7.5)
        axes.set_yticks([y + 0.5 for y in range(len(rows))], rows)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.set_ylabel(axes_names[0])
        axes.set_xlabel(axes_names[1])
        file = drawing.to_bytes(figure)
    return Chart(
        name=name,
        title=title,
        takeaway=takeaway,
        caption=caption,
        file=file,
        height=height,
        table=table,
    )


def numbers(
    corner: str,
    rows: Sequence[str],
    columns: Sequence[str],
    counts: Sequence[Sequence[int | None]],
) -> Table:
    """The counts behind a heat map."""
    return Table(
        [corner, *columns],
        [
            [Cell(row), *(Cell("–" if count is None else str(count)) for count in line)]
            for row, line in zip(rows, counts, strict=True)
        ],
    )
