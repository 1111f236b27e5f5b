"""A heat map: a number for each pair of two settings, its colour and its interval."""

from __future__ import annotations

from matplotlib.patches import Rectangle

from . import drawing
from .charts import Chart
from .inline import inline
from .table import Cell, Table

FAINT, STRONG = 0.06, 0.6
"""Opacity of the least and the greatest value: ink stays readable on both, light and dark."""
ROW = 46


def chart(
    name: str,
    title: str,
    caption: str,
    takeaway: str,
    corner: str,
    cells: dict[tuple[str, str], tuple[float, Cell]],
) -> Chart:
    """Draw `cells`, by (row, column): a value that decides the colour, and how it is written."""
    rows = list(dict.fromkeys(row for row, _ in cells))
    columns = list(dict.fromkeys(column for _, column in cells))
    values = [value for value, _ in cells.values()]
    low, span = min(values), max(values) - min(values)
    height = 60 + ROW * len(rows)
    with drawing.style():
        figure, axes = drawing.figure(height, legend_rows=0, left=14 + 6 * max(map(len, rows)))
        for (row, column), (value, told) in cells.items():
            x, y = columns.index(column), rows.index(row)
            strength = FAINT + (STRONG - FAINT) * ((value - low) / span if span else 0.5)
            axes.add_patch(
                Rectangle((x - 0.49, y - 0.48), 0.98, 0.96, color=drawing.color(0), alpha=strength)
            )
            axes.text(x, y - 0.1, told.text, ha="center", va="center", fontsize=9.5)
            axes.text(
                x, y + 0.25, told.interval, ha="center", va="center", fontsize=7, color=drawing.INK
            )
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        wrapped = [column.replace(" and ", "\nand ") for column in columns]
        axes.set_xticks(range(len(columns)), wrapped, fontsize=7.5)
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        file = drawing.to_bytes(figure)
    head, body = [corner, *columns], []
    for row in rows:
        body.append([Cell(row), *(cells[row, column][1] for column in columns)])
    return Chart(
        name=name,
        title=title,
        takeaway=takeaway,
        caption=caption,
        file=file,
        inline=inline(file, name, title=title, description=takeaway, height=height, tips={}),
        table=Table(head, body),
        keys=[],
    )
