"""A strip of training runs: a mark for each, and the interval of their mean."""

from __future__ import annotations

from matplotlib.axes import Axes

from ..base.palette import color
from . import drawing, wording
from .chart import Chart
from .luck import Luck
from .table import Cell, Table

NUMBER = "robust_acc"


def runs(lucks: list[Luck], numbers: dict[str, int], takeaway: str) -> Chart:
    """Robust accuracy at the headline's ε of every run, one row for each network.

    `numbers`: each network's place among all, for its colour.
    """
    name, height = "luck", 64 + 30 * len(lucks)
    left = 16 + 6 * max(len(each.network) for each in lucks)
    eps = wording.grid_eps(lucks[0].eps or 0.0)
    tips: dict[str, list[str]] = {}
    with drawing.style():
        figure, axes = drawing.figure(height, legend_rows=0, left=left)
        for row, each in enumerate(lucks):
            _draw(axes, each, -row, numbers[each.network], tips)
        axes.set_ylim(-len(lucks) + 0.4, 0.6)
        axes.set_yticks([-n for n in range(len(lucks))], [each.network for each in lucks])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, 104)  # so that the last label is not cut off
        axes.set_xticks(range(0, 101, 20), [f"{p} %" for p in range(0, 101, 20)])
        axes.set_xlabel(f"survive ε = {eps}")
        file = drawing.to_bytes(figure)
    title = f"Images that survive ε = {eps}, run by run"
    return Chart(
        name=name,
        title=title,
        takeaway=takeaway,
        caption=f"{title}. A mark for each training run; line: 95 % t interval of their mean.",
        file=file,
        height=height,
        tips=tips,
        table=Table(
            ["network", "seed", "survived"],
            [
                [Cell(each.network), Cell(str(seed)), Cell(wording.percent(value))]
                for each in lucks
                for seed, value in _points(each)
            ],
        ),
    )


def _points(each: Luck) -> list[tuple[int, float]]:
    """(seed, robust accuracy) of every run that has one."""
    values = zip(each.runs, each.numbers()[NUMBER], strict=True)
    return [(seed, value) for seed, value in values if value == value]


def _draw(axes: Axes, each: Luck, y: int, number: int, tips: dict[str, list[str]]) -> None:
    points = _points(each)
    found = each.spreads().get(NUMBER)
    if found:
        axes.plot([100 * found.low, 100 * found.high], [y, y], color=drawing.INK, linewidth=1.2)
    gid = f"series:{each.network}:run"
    axes.plot(
        [100 * value for _, value in points],
        [y] * len(points),
        color=color(number),
        marker=drawing.marker(number),
        markersize=7,
        markerfacecolor="none",
        markeredgewidth=1.6,
        linestyle="none",
        clip_on=False,
        gid=gid,
    )
    tips[gid] = [f"{each.network}, seed {seed}: {wording.percent(value)}" for seed, value in points]
