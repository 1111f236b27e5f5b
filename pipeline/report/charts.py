"""The charts of one suite: accuracy against eps, and the eps that breaks half of the images."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..base.palette import color
from . import drawing, sentences, wording
from .chart import Chart, Key
from .measures import Curve, Measure
from .table import Cell, Table

KINDS = {"attack": "attack", "noise": "noise, one draw", "noise_worst": "noise, worst of N"}
Dash = tuple[float, tuple[float, ...]]
DASHES: dict[str, Dash] = {
    "attack": (0, ()),
    "noise": (0, (1.2, 1.8)),
    "noise_worst": (0, (5, 2)),
}


def accuracy_curves(found: list[Measure], *, chance: float, headline: float | None) -> Chart:
    """Accuracy against eps for every network of one suite, attack and noise on one axis."""
    name, networks = f"curves-{found[0].suite}", [measure.network for measure in found]
    drawn = [(number, m, curve) for number, m in enumerate(found) for curve in _shown(m)]
    height, rows = 250, -(-len(found) // 3)
    with drawing.style():
        figure, axes = drawing.figure(height, legend_rows=rows + 1)
        for number, measure, curve in drawn:
            _draw(axes, curve, number, f"series:{measure.network}:{curve.kind}")
        grid = [eps for _, _, curve in drawn for eps in curve.eps[1:]]
        drawing.eps_axis(axes, min(grid), max(grid), zero=True)
        drawing.chance_line(axes, chance, 0)
        if headline is not None:
            axes.axvline(headline, color=drawing.GRID, linewidth=4, zorder=0.5)
        axes.set_xlabel(wording.eps_label(found[0].norm))
        drawing.percent_axis(axes, "accuracy")
        drawing.legend(figure, [drawing.sample(n, name) for n, name in enumerate(networks)], row=1)
        kinds = [
            Line2D([], [], color=drawing.QUIET, linestyle=DASHES[kind], label=label)
            for kind, label in KINDS.items()
        ]
        drawing.legend(figure, kinds, row=0)
        file = drawing.to_bytes(figure)
    title = f"Accuracy against ε, {wording.suite(found[0].suite, found[0].norm)}"
    takeaway = sentences.curves(found)
    return Chart(
        name=name,
        title=title,
        takeaway=takeaway,
        caption=(
            f"{title}, {found[0].n} test images. Solid: the attacks of the suite. Dotted: one draw "
            "of the most harmful noise. Dashed: the worst of all its draws. Bands: Wilson 95 %. "
            "The ε axis is logarithmic beyond its first step, so that the gap between two curves, "
            "read sideways, is the noise multiple."
            + (" The pale bar marks the headline ε." if headline is not None else "")
        ),
        file=file,
        height=height,
        tips={f"series:{m.network}:{c.kind}": _tips(m.network, c) for _, m, c in drawn},
        table=Table(
            ["network", "curve", "ε", "accuracy, 95 %"],
            [row for _, measure, curve in drawn for row in _rows(measure.network, curve)],
        ),
        keys=[Key("network", name, name, number) for number, name in enumerate(networks)]
        + [Key("kind", kind, label, 0) for kind, label in KINDS.items()],
    )


def _shown(measure: Measure) -> list[Curve]:
    curves = [measure.suite_curve, measure.one_draw.curve]
    return curves + ([measure.worst_draw.curve] if measure.worst_draw else [])


def _curve_name(curve: Curve) -> str:
    return "attack" if curve.kind == "attack" else wording.noise(curve.name)


def _tips(network: str, curve: Curve) -> list[str]:
    return [
        f"{network}, {_curve_name(curve)}, ε = {wording.grid_eps(eps)}: "
        f"{wording.accuracy(value)} ({wording.accuracy_interval(value)})"
        for eps, value in zip(curve.eps, curve.accuracy, strict=True)
    ]


def _rows(network: str, curve: Curve) -> list[list[Cell]]:
    return [
        [
            Cell(network),
            Cell(_curve_name(curve)),
            Cell(wording.grid_eps(eps), _true_size(curve, eps)),
            Cell(wording.accuracy(value), wording.accuracy_interval(value)),
        ]
        for eps, value in zip(curve.eps, curve.accuracy, strict=True)
    ]


def _true_size(curve: Curve, eps: float) -> str:
    size = curve.size_at(eps)
    return f"true size {wording.number(size)}" if wording.smaller(size, eps) else ""


def _draw(axes: Axes, curve: Curve, number: int, gid: str) -> None:
    attack, tone = curve.kind == "attack", color(number)
    axes.plot(
        curve.eps,
        [100 * value.value for value in curve.accuracy],
        color=tone,
        linestyle=DASHES[curve.kind],
        marker=drawing.marker(number),
        markersize=4.5 if attack else 3.5,
        linewidth=1.8 if attack else 1.3,
        gid=gid,
        clip_on=False,
    )
    axes.fill_between(
        curve.eps,
        [100 * value.low for value in curve.accuracy],
        [100 * value.high for value in curve.accuracy],
        color=tone,
        alpha=0.16 if attack else 0.08,
        linewidth=0,
        gid=gid.replace("series", "band"),
    )


def distances(found: list[Measure], levels: int) -> Chart:
    """eps10 to eps50 of the attack, and eps50 of noise, one row for each network."""
    name, top = f"distances-{found[0].suite}", 8
    height = 64 + top + 30 * len(found)
    left = 16 + 6 * max(len(measure.network) for measure in found)
    tips: dict[str, list[str]] = {}
    with drawing.style():
        figure, axes = drawing.figure(height, legend_rows=0, left=left, top=14 + top)
        edges = []
        for number, measure in enumerate(found):
            edges += _distance(axes, measure, number, tips)
        axes.set_ylim(-len(found) + 0.4, 0.6)
        axes.set_yticks([-n for n in range(len(found))], [m.network for m in found])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        drawing.eps_axis(axes, min(edges), max(edges), zero=False)
        axes.set_xlabel(wording.eps_label(found[0].norm))
        figure.legend(
            handles=[
                Line2D([], [], color=drawing.QUIET, linewidth=5, label="attack, eps10 to eps50"),
                drawing.hollow("D", "noise, worst of N"),
                drawing.hollow("o", "noise, one draw"),
            ],
            loc="upper right",
            ncols=3,
            fontsize=8.5,
            handletextpad=0.6,
            handlelength=1.2,
            columnspacing=1.2,
            borderaxespad=0,
        ).set_gid("marks")
        file = drawing.to_bytes(figure)
    title = f"The ε that breaks half of the images, {wording.suite(found[0].suite, found[0].norm)}"
    takeaway = sentences.distances(found)
    return Chart(
        name=name,
        title=title,
        takeaway=takeaway,
        caption=(
            f"{title}. Thin line: 95 % interval of eps50. Hollow marks: eps50 of the most harmful "
            "noise. A mark with an arrow was not reached; it stands at the largest ε tried. "
            "Logarithmic axis: equal gaps are equal multiples."
        ),
        file=file,
        height=height,
        tips=tips,
        table=sentences.distance_table(found, levels),
    )


def _distance(axes: Axes, measure: Measure, number: int, tips: dict[str, list[str]]) -> list[float]:
    """Draw one network's row; the eps that it spans."""
    y, tone, eps50 = -number, color(number), measure.eps50
    if not eps50.known:  # nothing was read rightly: the row stays empty
        return measure.suite_curve.eps[1:]
    first = min(measure.eps10.value, eps50.limit) or eps50.limit
    half = min(eps50.value, eps50.limit)
    axes.plot([first, half], [y, y], color=tone, linewidth=6, solid_capstyle="butt")
    if eps50.reached:
        ends = [eps50.low or first, min(eps50.high, eps50.limit)]
        axes.plot(ends, [y, y], color=drawing.INK, linewidth=1.2)
    points = [(half, eps50, "attack", "attack", drawing.marker(number))]
    for noise in (measure.worst_draw, measure.one_draw):
        if noise:
            at = min(noise.eps50.value, noise.eps50.limit)
            shape = "D" if noise.curve.kind == "noise_worst" else "o"
            points.append((at, noise.eps50, noise.curve.kind, wording.noise(noise.name), shape))
    for at, value, kind, told, shape in points:
        gid = f"series:{measure.network}:{kind}"
        drawing.point(
            axes, at, y, tone, shape, gid, hollow=kind != "attack", arrow=not value.reached
        )
        tips[gid] = [f"{measure.network}, {told}: eps50 {wording.estimate(value)}"]
    return [first, *(at for at, *_ in points)]
