"""Charts of one attack, alone, with more steps and restarts: success, and what is missing to it."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from attacks.diagnosis.alone import LADDERS, Diagnosis, Rung

from ..base.palette import color
from . import drawing, wording
from .chart import Chart, Key
from .table import Cell, Table

HEIGHT = 210


def broken(suite: str, title: str, found: dict[str, Diagnosis]) -> Chart:
    return _ladder(
        f"steps-{suite}",
        f"Images broken against gradient steps, {title}",
        _more(found),
        "share of the rightly read images that the attack broke",
        "broken",
        found,
        lambda rung, first, n: rung.broke / n,
    )


def missing(suite: str, title: str, found: dict[str, Diagnosis]) -> Chart:
    return _ladder(
        f"loss-{suite}",
        f"What is missing to break the rest against gradient steps, {title}",
        _shrinks(found),
        "mean over all images of min(margin, 0), the lead of the right class that the attack left, "
        "as a share of what the fewest steps left",
        "missing margin",
        found,
        lambda rung, first, n: rung.missing / first.missing if first.missing else 0.0,
    )


def _more(found: dict[str, Diagnosis]) -> str:
    """What twice the steps and twice the restarts broke in addition, and what was new of it."""
    told = []
    for ladder in LADDERS:
        gains = {}
        for network, diagnosis in found.items():
            before, after = diagnosis.rungs(ladder)[-2:]
            gains[network] = (after.broke - before.broke, diagnosis.more(ladder) or 0)
        most = max(gains, key=lambda network: gains[network])
        own, new = gains[most]
        more = "no image more"
        if own > 0 or new > 0:
            count = wording.count(max(own, 0), "image")
            more = f"at most {count} more ({most}), {new} of them new to the suite"
        told.append(f"Twice the {ladder} of {_climber(found)} break {more}.")
    return " ".join(told)


def _shrinks(found: dict[str, Diagnosis]) -> str:
    """By how much twice the steps and twice the restarts shrink what is missing, at most."""
    told = []
    for ladder in LADDERS:
        shares = {}
        for network, diagnosis in found.items():
            before, after = diagnosis.rungs(ladder)[-2:]
            shares[network] = 1 - after.missing / before.missing if before.missing else 0.0
        most = max(shares, key=lambda network: shares[network])
        if shares[most] > 0:
            told.append(f"twice the {ladder} by up to {wording.percent(shares[most])} ({most})")
    if not told:
        return (
            f"Neither twice the steps nor twice the restarts of {_climber(found)} raise its loss."
        )
    return f"What {_climber(found)} leaves missing shrinks with {wording.join(told)}."


def _climber(found: dict[str, Diagnosis]) -> str:
    """The attack whose steps and restarts are doubled: of one suite, the same for every network."""
    return next(iter(found.values())).ladders["steps"][-2][1]


def _ladder(
    name: str,
    title: str,
    said: str,
    measured: str,
    axis: str,
    found: dict[str, Diagnosis],
    value: Callable[[Rung, Rung, int], float],
) -> Chart:
    """One line for each network over its steps; a hollow mark for twice the restarts."""
    height, legend_rows = HEIGHT, -(-len(found) // 3)
    tips: dict[str, list[str]] = {}
    rows: list[list[Cell]] = []
    ticks: set[int] = set()
    highest: list[float] = []
    with drawing.style():
        figure, axes = drawing.figure(height, legend_rows=legend_rows)
        for number, (network, diagnosis) in enumerate(found.items()):
            steps, restarts = diagnosis.rungs("steps"), diagnosis.rungs("restarts")
            first, n = steps[0], diagnosis.n
            shares = [value(rung, first, n) for rung in steps]
            line, mark = f"series:{network}:steps", f"series:{network}:restarts"
            axes.plot(
                [rung.number for rung in steps],
                [100 * share for share in shares],
                color=color(number),
                marker=drawing.marker(number),
                markersize=4.5,
                linewidth=1.6,
                gid=line,
                clip_on=False,
            )
            again, more = value(restarts[-1], first, n), restarts[-1].number
            at = steps[-2].number * more // restarts[0].number
            drawing.point(axes, at, 100 * again, color(number), "o", mark, hollow=True, arrow=False)
            highest += [*shares, again]
            ticks |= {rung.number for rung in steps}
            tips[line] = [
                f"{network}, {rung.number} steps: {wording.percent(share)}"
                for rung, share in zip(steps, shares, strict=True)
            ]
            tips[mark] = [f"{network}, {more} restarts: {wording.percent(again)}"]
            rows += [
                _row(network, f"{rung.number} steps", rung, share)
                for rung, share in zip(steps, shares, strict=True)
            ]
            rows.append(_row(network, f"{more} restarts", restarts[-1], again))
        axes.set_xscale("log", base=2)
        axes.set_xlim(min(ticks) / 1.15, max(ticks) * 1.15)
        axes.xaxis.set_major_locator(FixedLocator(sorted(ticks)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:g}"))
        axes.set_xlabel("gradient steps on an image")
        drawing.percent_axis(axes, axis)
        axes.set_ylim(0, max(101.0, 102 * max(highest)))
        samples = [drawing.sample(n, network) for n, network in enumerate(found)]
        drawing.legend(figure, samples, row=0)
        file = drawing.to_bytes(figure)
    one = next(iter(found.values()))
    return Chart(
        name=name,
        title=title,
        takeaway=said,
        caption=(
            f"{title}: {measured}; ε = {wording.grid_eps(one.eps)}, {_counts(found)} rightly read "
            f"images, {_climber(found)} alone. Hollow: twice the restarts instead."
        ),
        file=file,
        height=height,
        tips=tips,
        table=Table(["network", "attack's", "broke", "mean of min(margin, 0)", axis], rows),
        keys=[Key("network", network, network, number) for number, network in enumerate(found)],
    )


def _row(network: str, more: str, rung: Rung, share: float) -> list[Cell]:
    missing = f"{rung.missing:.3g}".replace("-", "−")
    return [
        Cell(network), Cell(more), Cell(str(rung.broke)), Cell(missing),
        Cell(wording.percent(share)),
    ]  # fmt: skip


def _counts(found: dict[str, Diagnosis]) -> str:
    counts = sorted({diagnosis.n for diagnosis in found.values()})
    return wording.join_ends(str(counts[0]), str(counts[-1]))
