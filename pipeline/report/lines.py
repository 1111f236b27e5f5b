"""A chart of lines over anything that has a size: epochs, shares, images, parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from ..base.palette import color
from . import drawing, wording
from .chart import Chart, Key
from .statistics import Accuracy
from .table import Cell, Table, accuracy_cell


@dataclass(frozen=True)
class Line:
    """One series: a value at each `x`; those that are shares of images come with an interval."""

    name: str
    x: list[float]
    y: list[float | Accuracy]
    number: int | None = None
    """of its colour and marker, one for a network on all of the page; None: its place here"""

    @property
    def values(self) -> list[float]:
        return [each.value if isinstance(each, Accuracy) else each for each in self.y]


@dataclass(frozen=True)
class Axis:
    label: str
    log: bool = False
    percent: bool = False
    """from 0 to 100 %"""
    zoomed: bool = False
    """percent, but no further up than the values go"""
    whole: bool = False

    def told(self, value: float | Accuracy) -> str:
        if isinstance(value, Accuracy):
            return wording.accuracy(value)
        if self.percent:
            return wording.percent(value)
        return wording.thousands(int(value)) if self.whole else wording.number(value)


def chart(
    name: str,
    title: str,
    caption: str,
    takeaway: str,
    series: list[Line],
    *,
    x: Axis,
    y: Axis,
    chance: float | None = None,
    every: int = 1,
) -> Chart:
    """Draw `series`; each `every`-th point has a mark and tells its value."""
    height, rows = 230, -(-len(series) // 3)
    tips = {}
    scale = 100 if y.percent else 1
    numbers = [place if each.number is None else each.number for place, each in enumerate(series)]
    with drawing.style():
        figure, axes = drawing.figure(height, legend_rows=rows)
        for place, (number, line) in enumerate(zip(numbers, series, strict=True)):
            gid = f"series:line{place}:line"
            axes.plot(
                line.x,
                [scale * value for value in line.values],
                color=color(number),
                marker=drawing.marker(number),
                markersize=4.5,
                markevery=every,
                linewidth=1.6,
                gid=gid,
                clip_on=False,
            )
            ends = [(each.low, each.high) for each in line.y if isinstance(each, Accuracy)]
            if ends:
                axes.fill_between(
                    line.x,
                    [scale * low for low, _ in ends],
                    [scale * high for _, high in ends],
                    color=color(number),
                    alpha=0.14,
                    linewidth=0,
                    gid=gid.replace("series", "band"),
                )
            points = list(zip(line.x, line.y, strict=True))
            tips[gid] = [
                f"{line.name}, {x.label} {x.told(a)}: {y.told(b)}" for a, b in points[::every]
            ]
        if chance is not None:
            drawing.chance_line(axes, chance, min(line.x[0] for line in series))
        _axes(axes, x, y, _top(series) if y.zoomed else 100)
        names = [drawing.sample(n, line.name) for n, line in zip(numbers, series, strict=True)]
        drawing.legend(figure, names, row=0)
        file = drawing.to_bytes(figure)
    return Chart(
        name=name,
        title=title,
        takeaway=takeaway,
        caption=caption,
        file=file,
        height=height,
        tips=tips,
        table=_table(series, x, y.told),
        keys=[
            Key("network", f"line{place}", line.name, number)
            for place, (number, line) in enumerate(zip(numbers, series, strict=True))
        ],
    )


def _axes(axes: Axes, x: Axis, y: Axis, top: float) -> None:
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    if x.log:
        axes.set_xscale("log")
        # More than two decades leave labels in between no room.
        crowded = _decades(axes.get_xlim()) > 2
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if crowded else (1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        whole = FuncFormatter(lambda value, _: wording.thousands(int(value)))
        axes.xaxis.set_major_formatter(whole if x.whole else plain)
    elif x.percent:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=x.whole))
    axes.set_xlabel(x.label)
    if y.percent:
        drawing.percent_axis(axes, y.label, top)
        return
    if y.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(plain)
        crowded = _decades(axes.get_ylim()) > 1
        axes.yaxis.set_minor_formatter(NullFormatter() if crowded else plain)
    else:
        axes.set_ylim(bottom=0)
    axes.set_ylabel(y.label, labelpad=2)


def _decades(limits: tuple[float, float]) -> float:
    return math.log10(limits[1] / limits[0])


def _top(series: list[Line]) -> float:
    """The largest value with its interval, in percent."""
    values = [value for line in series for value in line.y]
    return 100 * max(v.high if isinstance(v, Accuracy) else v for v in values)


def _table(series: list[Line], x: Axis, told: Callable[[float | Accuracy], str]) -> Table:
    values = {line.name: dict(zip(line.x, line.y, strict=True)) for line in series}
    rows = []
    for at in sorted({at for line in series for at in line.x}):
        row = [Cell(x.told(at))]
        for line in series:
            found = values[line.name].get(at)
            if found is None:
                row.append(Cell(""))
            elif isinstance(found, Accuracy):
                row.append(accuracy_cell(found))
            else:
                row.append(Cell(told(found)))
        rows.append(row)
    return Table([x.label, *(line.name for line in series)], rows)
