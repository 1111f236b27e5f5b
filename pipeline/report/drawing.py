"""How charts look: palette, axes and legends in matplotlib, and the SVG file they become.

Drawing uses a fixed light palette; inline.py turns its colours into CSS variables for the page.
"""

from __future__ import annotations

import io
import math
import re
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ..base.palette import color

INK, QUIET, GRID, SURFACE = "#20232a", "#5c6270", "#dfe2e8", "#fffffe"
# One beside each colour of the palette.
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
_RC: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be selected, searched and read aloud
    "svg.hashsalt": "epsball",  # ids follow from content, so equal figures are equal bytes
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": SURFACE,
    "legend.frameon": False,
}
WIDTH = 380  # points; a phone shows it about 1:1, so that 9 points stay readable
LEGEND_ROW = 17


def style() -> AbstractContextManager[None]:
    """The context in which every figure is made and saved."""
    return matplotlib.rc_context(_RC)


def figure(
    height: float, *, legend_rows: int, left: float = 54, top: float = 14
) -> tuple[Figure, Axes]:
    """A figure `height` points high, with room for a legend below it that the page cuts off."""
    full = height + legend_rows * LEGEND_ROW
    made = Figure(figsize=(WIDTH / 72, full / 72))
    bottom = 40 + legend_rows * LEGEND_ROW
    axes = made.add_axes(
        (left / WIDTH, bottom / full, (WIDTH - left - 12) / WIDTH, (full - bottom - top) / full)
    )
    return made, axes


def marker(number: int) -> str:
    return MARKERS[number % len(MARKERS)]


def to_bytes(made: Figure) -> bytes:
    """The figure as an SVG file, the same bytes for the same drawing."""
    buffer = io.BytesIO()
    FigureCanvasSVG(made).print_svg(buffer, metadata={"Date": None})
    return re.sub(rb"[ \t]+\n", b"\n", buffer.getvalue())


def eps_axis(axes: Axes, smallest: float, largest: float, *, zero: bool) -> None:
    """Logarithmic, with 0 (the clean image) on it when `zero`; ticks at 1, 2 and 5."""
    ticks = [m * 10.0**e for e in range(-5, 4) for m in (1, 2, 5)]
    if zero:
        axes.set_xscale("symlog", linthresh=smallest, linscale=0.35)
        axes.set_xlim(0, largest * 1.03)
        ticks = [0.0, *(t for t in ticks if smallest * 0.99 <= t <= largest * 1.01)]
    else:
        axes.set_xscale("log")
        axes.set_xlim(smallest / 1.25, largest * 1.35)
        ticks = [t for t in ticks if smallest / 1.25 <= t <= largest * 1.35]
    if len(ticks) > 9:
        ticks = [t for t in ticks if t == 0 or not f"{t:.0e}".startswith("2")]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def percent_axis(axes: Axes, label: str, top: float = 100) -> None:
    """From 0 to the first mark at or above `top` percent."""
    step = next(step for step in (1, 2, 5, 10, 20) if top <= 6 * step)
    marks = range(0, -(-max(1, math.ceil(top)) // step) * step + 1, step)
    axes.set_ylim(0, 1.01 * marks[-1])
    axes.set_yticks(marks, [f"{mark} %" for mark in marks])
    axes.set_ylabel(label, labelpad=2)


def chance_line(axes: Axes, chance: float, x: float) -> None:
    axes.axhline(100 * chance, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
    axes.text(x, 100 * chance + 1.5, " chance", fontsize=8.5, color=QUIET)


def sample(number: int, label: str) -> Line2D:
    """A legend's entry for a series: its colour and its marker."""
    return Line2D([], [], color=color(number), marker=marker(number), markersize=4.5, label=label)


def hollow(shape: str, label: str) -> Line2D:
    """A legend's entry for a hollow mark."""
    return Line2D(
        [],
        [],
        color=QUIET,
        marker=shape,
        markersize=5.5,
        markerfacecolor=SURFACE,
        linestyle="none",
        label=label,
    )


def point(
    axes: Axes, x: float, y: float, tone: str, shape: str, gid: str, *, hollow: bool, arrow: bool
) -> None:
    """A mark, and an arrow to the right of it where the true value lies beyond."""
    axes.plot(
        [x],
        [y],
        marker=shape,
        markersize=7,
        color=tone,
        markerfacecolor=SURFACE if hollow else tone,
        markeredgewidth=1.6,
        gid=gid,
        clip_on=False,
        linestyle="none",
    )
    if arrow:
        axes.annotate(
            "",
            (x, y),
            xytext=(19, 0),
            textcoords="offset points",
            arrowprops={"arrowstyle": "<-", "color": tone, "shrinkA": 0, "shrinkB": 4},
            annotation_clip=False,
        )


def legend(made: Figure, handles: list[Line2D], *, row: int) -> None:
    """A legend below the axes, `row` rows above the lower edge; the page cuts it off."""
    made.legend(
        handles=handles,
        loc="lower center",
        ncols=3,
        fontsize=8.5,
        borderaxespad=0.1,
        bbox_to_anchor=(0.5, row * LEGEND_ROW / 72 / made.get_figheight()),
    ).set_gid(f"legend_{row}")
