"""What each attack broke alone, and whether more of the same breaks more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from attacks.alone import SUITE, Diagnosis, Rung

from . import drawing, wording
from .charts import Chart, Key
from .inline import inline
from .results import Results
from .statistics import accuracy
from .table import Cell, Table

NORMAL_HEIGHT = 210


def section(results: Results, suite: str) -> dict[str, Any] | None:
    """Table and charts of one suite; None where nothing was diagnosed."""
    found = {
        network: results.cells[network, suite].diagnosis
        for network in results.networks
        if results.cells[network, suite].diagnosis.n
    }
    if not found:
        return None
    norm = results.cells[next(iter(found)), suite].norm
    title = wording.suite(suite, norm)
    climbed = {network: one for network, one in found.items() if one.ladders}
    return {
        "title": title,
        "takeaway": takeaway(found),
        "eps": wording.grid_eps(next(iter(found.values())).eps),
        "table": table(found),
        "charts": [draw(suite, title, climbed) for draw in (_broken, _missing) if climbed],
    }


def takeaway(found: dict[str, Diagnosis]) -> str:
    """Which attack broke, in all networks together, what no other did."""
    only: dict[str, int] = {}
    for diagnosis in found.values():
        for one in diagnosis.found():
            only[one.label] = only.get(one.label, 0) + one.only
    told = [f"{count} by {label}" for label, count in only.items() if count]
    if not told:
        return "No image was broken by one attack alone: whatever broke, two attacks broke."
    return (
        f"Images that one attack broke and no other did, over all networks: {wording.join(told)}."
    )


def table(found: dict[str, Diagnosis]) -> Table:
    rows = []
    for network, diagnosis in found.items():
        for one in diagnosis.found():
            share = accuracy(one.broke, diagnosis.n)
            added = "" if one.role == SUITE else "added for comparison"
            rows.append(
                [
                    Cell(network),
                    Cell(one.label, added),
                    Cell(
                        wording.percent(share.value), wording.accuracy_interval(share), share.value
                    ),
                    Cell(str(one.broke)),
                    Cell(str(one.only)),
                    Cell(str(diagnosis.n)),
                ]
            )
    return Table(["network", "attack", "broke alone", "images", "only it", "n"], rows)


def _broken(suite: str, title: str, found: dict[str, Diagnosis]) -> Chart:
    return _ladder(
        f"steps-{suite}",
        f"Images broken against gradient steps, {title}",
        _more(found),
        "share of the rightly read images that the attack broke",
        "broken",
        found,
        lambda rung, first, n: rung.broke / n,
    )


def _missing(suite: str, title: str, found: dict[str, Diagnosis]) -> Chart:
    return _ladder(
        f"loss-{suite}",
        f"What is missing to break the rest against gradient steps, {title}",
        "A curve that has become flat has settled: longer runs would hardly change the result.",
        "mean over all images of min(margin, 0), the lead of the right class that the attack left, "
        "as a share of what the fewest steps left",
        "missing margin",
        found,
        lambda rung, first, n: rung.missing / first.missing if first.missing else 0.0,
    )


def _more(found: dict[str, Diagnosis]) -> str:
    """What twice the steps and twice the restarts broke in addition, and what it was worth."""
    told = []
    for ladder in ("steps", "restarts"):
        gains = {}
        for network, diagnosis in found.items():
            before, after = diagnosis.rungs(ladder)[-2:]
            gains[network] = (after.broke - before.broke, diagnosis.more(ladder) or 0)
        most = max(gains, key=lambda network: gains[network])
        own, new = gains[most]
        told.append(
            f"with twice its {ladder} by {own:+d}, of which {new} no attack of the suite had "
            f"broken ({most})"
        )
    label = next(iter(found.values())).ladders["steps"][-2][1]
    return f"What {label} breaks alone grows at most {told[0]}; {told[1]}."


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
    height, legend_rows = NORMAL_HEIGHT, -(-len(found) // 3)
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
                color=drawing.color(number),
                marker=drawing.marker(number),
                markersize=4.5,
                linewidth=1.6,
                gid=line,
                clip_on=False,
            )
            again, more = value(restarts[-1], first, n), restarts[-1].number
            at = steps[-2].number * more // restarts[0].number
            drawing.point(
                axes, at, 100 * again, drawing.color(number), "o", mark, hollow=True, arrow=False
            )
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
            f"images, {one.ladders['steps'][-2][1]} alone. Hollow: twice the restarts instead."
        ),
        file=file,
        inline=inline(file, name, title=title, description=said, height=height, tips=tips),
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


def rows(results: Results) -> list[dict[str, Any]]:
    """For a file: one row for each network, suite and attack that was run alone."""
    listed = []
    for (network, suite), cell in results.cells.items():
        diagnosis = cell.diagnosis
        about = {"network": network, "suite": suite, "eps": diagnosis.eps, "n": diagnosis.n}
        for one in diagnosis.found():
            listed.append(about | one._asdict())
    return listed
