"""What do augmentation and explicit regularization buy, for accuracy and for robustness?"""

from __future__ import annotations

import math

from .. import factors, heatmaps, statistics, wording
from ..chart import Chart
from ..factors import Grid
from ..section import Findings, Section
from ..statistics import Accuracy
from ..table import Cell

Cells = dict[tuple[str, str], tuple[float, Cell]]
AXES = "Rows: augmentation. Columns: explicit regularization. All else is the same"


def section(findings: Findings) -> Section | None:
    """None where the networks are no grid of augmentation and regularization."""
    training = findings.results.trained
    grid = factors.grid({name: info["recipe"] for name, info in training.items()})
    if grid is None:
        return None
    eps = wording.grid_eps(findings.eps)
    measured = {measure.network: measure for measure in findings.head}
    clean = {name: measure.clean for name, measure in measured.items()}
    robust = {name: m.worst_curve.at_least(findings.eps)[1] for name, m in measured.items()}
    gaps = {name: _gap(info, clean[name]) for name, info in training.items()}
    charts = [
        _chart(
            "ablation-clean",
            "Clean accuracy by augmentation and regularization",
            f"Accuracy on {findings.head[0].n} test images without attack. {AXES}; Wilson 95 %.",
            grid,
            {pair: _share(clean[name]) for pair, name in grid.networks.items()},
        ),
        _chart(
            "ablation-robust",
            f"Robust accuracy at ε = {eps} by augmentation and regularization",
            f"Test images that survive ε = {eps}, worst case. {AXES}; Wilson 95 %.",
            grid,
            {pair: _share(robust[name]) for pair, name in grid.networks.items()},
        ),
        _chart(
            "ablation-gap",
            "Generalization gap by augmentation and regularization",
            "Accuracy on training images, without augmentation, minus accuracy on test images, in "
            f"percentage points. {AXES}; the interval is that of the difference of two shares.",
            grid,
            {pair: gaps[name] for pair, name in grid.networks.items()},
        ),
    ]
    return Section(
        name="ablation",
        short="Ablation",
        question="What do augmentation and regularization buy?",
        values={"charts": charts},
        charts=charts,
    )


def _share(value: Accuracy) -> tuple[float, Cell]:
    return value.value, Cell(wording.accuracy(value), wording.accuracy_interval(value))


def _gap(info: dict, test: Accuracy) -> tuple[float, Cell]:
    n = info["n_train"]
    train = statistics.accuracy(round(info["clean_acc_train"] * n), n)
    gap = train.value - test.value
    # Newcombe's interval of a difference, from the Wilson intervals of the two.
    down = math.hypot(train.value - train.low, test.high - test.value)
    up = math.hypot(train.high - train.value, test.value - test.low)
    ends = f"{wording.points(gap - down)} to {wording.points(gap + up)}"
    return gap, Cell(wording.points(gap), ends)


def _chart(name: str, title: str, caption: str, grid: Grid, cells: Cells) -> Chart:
    ordered = {(row, column): cells[row, column] for row in grid.rows for column in grid.columns}
    takeaway = _takeaway(title, grid, cells)
    return heatmaps.settings(name, title, takeaway, caption, "augmentation", ordered)


def _takeaway(title: str, grid: Grid, cells: Cells) -> str:
    """What each axis changes on the average over the other one."""

    def mean(row: str | None, column: str | None) -> float:
        chosen = [
            value
            for (r, c), (value, _) in cells.items()
            if row in (None, r) and column in (None, c)
        ]
        return sum(chosen) / len(chosen)

    base_row, base_column = grid.rows[0], grid.columns[0]
    told = [
        f"{row} {wording.points(mean(row, None) - mean(base_row, None))}" for row in grid.rows[1:]
    ]
    others = [
        f"{column} {wording.points(mean(None, column) - mean(None, base_column))}"
        for column in grid.columns[1:]
    ]
    return (
        f"{title.removesuffix(' by augmentation and regularization')}, in points: against "
        f"augmentation {base_row}, on the average over the columns, {', '.join(told)}; against "
        f"regularization {base_column}, on the average over the rows, {', '.join(others)}."
    )
