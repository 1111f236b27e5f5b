"""How much is luck? What several training runs of one recipe spread."""

from __future__ import annotations

from .. import comparisons, strip, wording
from ..luck import Luck, pairs
from ..section import Findings, Section
from ..spread import Spread
from ..table import Cell, Table, accuracy_cell


def section(findings: Findings) -> Section | None:
    """None where every network was trained once."""
    lucks = findings.lucks
    head = [each for each in lucks if each.eps is not None]
    if not head:
        return None
    robust = {
        each.network: found["robust_acc"]
        for each in head
        if "robust_acc" in (found := each.spreads())
    }
    compared = pairs(robust)
    takeaway = _takeaway(robust, findings.eps)
    if compared:
        takeaway += f" Over runs, {comparisons.verdict(compared)}"
    numbers = {name: number for number, name in enumerate(findings.results.networks)}
    chart = strip.runs(head, numbers, takeaway)
    shown = _by_network(lucks, findings.suites)
    return Section(
        name="luck",
        short="Luck",
        question="How much is luck?",
        values={
            "chart_of": chart,
            "means": _means(shown, findings.eps),
            "runs": _runs(shown, findings.eps),
            "matrix": comparisons.matrix(list(robust), compared) if compared else None,
            "eps": wording.grid_eps(findings.eps),
        },
        charts=[chart],
    )


def _takeaway(robust: dict[str, Spread], eps: float) -> str:
    """The network whose runs are furthest apart."""
    if not robust:
        return "Verdicts are missing: no spread over runs can be told."
    apart = {name: max(found.values) - min(found.values) for name, found in robust.items()}
    widest = max(apart, key=lambda name: apart[name])
    ends = [wording.percent(end(robust[widest].values)) for end in (min, max)]
    runs = wording.count(len(robust[widest].values), "run")
    return (
        f"{runs} of one recipe, {widest}, which differ in their seed alone, leave "
        f"{wording.join_ends(*ends)} of the images standing at ε = {wording.grid_eps(eps)}"
        + ("; no other network's runs are further apart." if len(robust) > 1 else ".")
    )


def _columns(by_suite: dict[str, Luck], eps: float) -> list[str]:
    eps50 = [f"eps50, {wording.suite(name, each.norm)}" for name, each in by_suite.items()]
    return ["clean", f"survived ε = {wording.grid_eps(eps)}", *eps50]


def _by_network(lucks: list[Luck], suites: list[str]) -> dict[str, dict[str, Luck]]:
    """{network: {suite: its luck}}, the headline's suite first."""
    found = {(each.network, each.suite): each for each in lucks}
    names = dict.fromkeys(each.network for each in lucks)
    return {name: {suite: found[name, suite] for suite in suites} for name in names}


def _means(found: dict[str, dict[str, Luck]], eps: float) -> Table:
    """Mean over runs, and its t interval."""
    rows = []
    for network, by_suite in found.items():
        spreads = [each.spreads() for each in by_suite.values()]
        row = [Cell(network), Cell(str(len(next(iter(by_suite.values())).runs)))]
        row += [_share_cell(spreads[0].get(name)) for name in ("clean_acc", "robust_acc")]
        row += [_eps_cell(each.get("eps50")) for each in spreads]
        rows.append(row)
    return Table(["network", "runs", *_columns(next(iter(found.values())), eps)], rows)


def _share_cell(found: Spread | None) -> Cell:
    if found is None:
        return Cell("verdicts are missing")
    low, high = (100 * end for end in (found.low, found.high))
    return Cell(wording.percent(found.mean), f"{low:.1f}–{high:.1f}", found.mean)


def _eps_cell(found: Spread | None) -> Cell:
    if found is None:
        return Cell("not reached by every run")
    interval = f"{wording.number(found.low)}–{wording.number(found.high)}"
    return Cell(wording.number(found.mean), interval)


def _runs(found: dict[str, dict[str, Luck]], eps: float) -> Table:
    """Each run by itself; its intervals cover the choice of images."""
    rows = []
    for network, by_suite in found.items():
        for seed, measure in next(iter(by_suite.values())).runs.items():
            row = [Cell(f"{network}, seed {seed}"), accuracy_cell(measure.clean)]
            row.append(accuracy_cell(measure.worst_curve.at_least(eps)[1]))
            for each in by_suite.values():
                eps50 = each.runs[seed].eps50
                row.append(Cell(wording.estimate(eps50), wording.interval(eps50)))
            rows.append(row)
    return Table(["run", *_columns(next(iter(found.values())), eps)], rows)
