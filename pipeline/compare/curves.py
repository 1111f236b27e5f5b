"""The chart of a comparison: accuracy against ε, before and after."""

from __future__ import annotations

from matplotlib.lines import Line2D

from ..base.palette import color
from ..report import drawing, wording
from ..report.chart import Chart, Key
from ..report.charts import Dash
from ..report.statistics import Accuracy
from ..report.table import Table, accuracy_cell, plain
from .changes import NetworkChange, SuiteChange

KINDS = {"now": "this run", "base": "the base"}
DASHES: dict[str, Dash] = {"now": (0, ()), "base": (0, (5, 2))}


def curves(suite: str, found: list[NetworkChange], headline: float | None) -> Chart:
    """Worst-case accuracy of every network, this run solid and the base dashed."""
    shown = [(change.network, change.suites[suite]) for change in found if suite in change.suites]
    norm, grid = shown[0][1].norm, [0.0, *shown[0][1].new.grid.tolist()]
    lines = [
        (number, network, kind, values)
        for number, (network, change) in enumerate(shown)
        for kind, values in (("base", change.base.curve()), ("now", change.new.curve()))
    ]
    height, rows = 250, -(-len(shown) // 3)
    with drawing.style():
        figure, axes = drawing.figure(height, legend_rows=rows + 1)
        for number, network, kind, values in lines:
            now = kind == "now"
            axes.plot(
                grid,
                [100 * value.value for value in values],
                color=color(number),
                linestyle=DASHES[kind],
                marker=drawing.marker(number),
                markersize=4.5 if now else 3.5,
                markerfacecolor=color(number) if now else drawing.SURFACE,
                linewidth=1.8 if now else 1.3,
                gid=f"series:{network}:{kind}",
                clip_on=False,
            )
        drawing.eps_axis(axes, grid[1], grid[-1], zero=True)
        if headline is not None:
            axes.axvline(headline, color=drawing.GRID, linewidth=4, zorder=0.5)
        axes.set_xlabel(wording.eps_label(norm))
        drawing.percent_axis(axes, "accuracy, worst case")
        drawing.legend(
            figure, [drawing.sample(n, each) for n, (each, _) in enumerate(shown)], row=1
        )
        kinds = [
            Line2D([], [], color=drawing.QUIET, linestyle=DASHES[kind], label=label)
            for kind, label in KINDS.items()
        ]
        drawing.legend(figure, kinds, row=0)
        file = drawing.to_bytes(figure)
    name, told = f"change-{suite}", wording.suite(suite, norm)
    title, takeaway = f"Accuracy against ε, before and after, {told}", _takeaway(shown)
    tips = {
        f"series:{network}:{kind}": [
            f"{network}, {KINDS[kind]}, ε = {wording.grid_eps(eps)}: {wording.accuracy(value)}"
            for eps, value in zip(grid, values, strict=True)
        ]
        for _, network, kind, values in lines
    }
    return Chart(
        name=name,
        title=title,
        takeaway=takeaway,
        caption=f"{title}: this run solid, the base dashed; the images that both runs judged."
        + (" The pale bar marks the ε of the test." if headline is not None else ""),
        file=file,
        height=height,
        tips=tips,
        table=_table(grid, lines),
        keys=[Key("network", network, network, number) for number, (network, _) in enumerate(shown)]
        + [Key("kind", kind, label, 0) for kind, label in KINDS.items()],
    )


def _takeaway(shown: list[tuple[str, SuiteChange]]) -> str:
    """How far the two curves of each network lie apart at most."""
    gaps = []
    for network, change in shown:
        pairs = zip(change.base.curve(), change.new.curve(), strict=True)
        gap = max(((new.value - base.value) for base, new in pairs), key=abs)
        gaps.append(f"{network} {wording.points(gap)}")
    return f"The largest change of accuracy at one ε, in points: {wording.join(gaps)}."


def _table(grid: list[float], lines: list[tuple[int, str, str, list[Accuracy]]]) -> Table:
    table = plain(["network", "run", "ε", "accuracy, 95 %"], [])
    for _, network, kind, values in lines:
        for eps, value in zip(grid, values, strict=True):
            (row,) = plain([], [[network, KINDS[kind], wording.grid_eps(eps)]]).rows
            table.rows.append([*row, accuracy_cell(value)])
    return table
