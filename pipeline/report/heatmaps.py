"""Heat maps: shares of rows by columns, the number in each cell, darker where it is larger."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.patches import Rectangle

from . import drawing, wording
from .charts import Chart
from .inline import inline
from .table import Cell, Table

CELL = 26  # points: the height of a row
DARKEST = 0.75  # ink over it stays readable, on white and on black


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
    left = 30 + 6.2 * max(len(row) for row in rows)
    height = 54 + CELL * len(rows)
    with drawing.style():
        figure, axes = drawing.figure(height, legend_rows=0, left=left, top=6)
        for y, line in enumerate(values):
            for x, share in enumerate(line):
                if share is None:
                    continue
                axes.add_patch(
                    Rectangle(
                        (x, y), 1, 1, facecolor=drawing.color(number), alpha=DARKEST * share,
                        edgecolor="none", linewidth=0,
                    )
                )  # fmt: skip
                if share:
                    told = wording.whole_percent(share)
                    axes.text(x + 0.5, y + 0.5, told, ha="center", va="center", fontsize=9)
        axes.set_xlim(0, len(columns))
        axes.set_ylim(len(rows), 0)
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.set_xticks([x + 0.5 for x in range(len(columns))], columns)
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
        inline=inline(file, name, title=title, description=takeaway, height=height, tips={}),
        table=table,
        keys=[],
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
