"""How many images survive? Every network by every suite, at an ε that the reader picks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import sentences, wording
from ..measures import Curve, Measure
from ..results import Results
from ..section import Findings, Section
from ..table import Cell, Table, accuracy_cell


@dataclass(frozen=True)
class AtEachEps:
    """One suite's table of networks for each ε of its grid; `shown` is the one shown at first."""

    suite: str
    norm: str
    tables: dict[str, Table]
    shown: str
    note: str

    @property
    def at_first(self) -> Table:
        return self.tables[self.shown]


def section(findings: Findings) -> Section:
    head = findings.config.headline.suite
    return Section(
        name="survival",
        short="Survival",
        question="How many images survive?",
        values={
            "takeaway": sentences.survival(findings.head, findings.eps),
            "suites": [
                _at_each(findings.results, findings.of(suite), findings.eps if suite == head else 0)
                for suite in findings.suites
            ],
            "weak": ", ".join(findings.results.without_gradients),
            "kinds": ", ".join(
                f"{m.network}: {wording.noise_kind(m.one_draw.name)}" for m in findings.head
            ),
        },
    )


def _at_each(results: Results, found: list[Measure], eps: float) -> AtEachEps:
    grid = found[0].worst_curve.eps[1:]
    at = min((each for each in grid if each >= eps * (1 - 1e-9)), default=grid[-1])
    if not eps:
        at = grid[len(grid) // 2]
    true = sentences.true_sizes(found, at)
    return AtEachEps(
        suite=found[0].suite,
        norm=wording.suite(found[0].suite, found[0].norm),
        tables={wording.grid_eps(each): _table(results, found, each) for each in grid},
        shown=wording.grid_eps(at),
        note=f"At {wording.norm(found[0].norm)} ε = {wording.grid_eps(at)}{true}." if true else "",
    )


def _table(results: Results, found: list[Measure], eps: float) -> Table:
    draws = next((wording.draws(m.worst_draw.name) for m in found if m.worst_draw), None)
    head = ["network", "clean", "noise, one draw", *([f"noise, {draws}"] if draws else [])]
    head += ["attacks of the suite", "worst case", "n"]
    unfinished = any(not measure.complete for measure in found)
    head += ["errors"] if unfinished else []
    head += ["parameters", "training, s", "passes of the attacks"]
    rows = []
    for measure in found:
        row = [Cell(measure.network), accuracy_cell(measure.clean)]
        row.append(_noise(measure.one_draw.curve, eps))
        if measure.worst_draw:
            row.append(_noise(measure.worst_draw.curve, eps))
        for curve in (measure.suite_curve, measure.worst_curve):
            row.append(accuracy_cell(curve.at_least(eps)[1]))
        row.append(Cell(str(measure.n)))
        row += [Cell(str(measure.errors))] if unfinished else []
        rows.append(row + _cost(results, measure))
    return Table(head, rows)


def _noise(curve: Curve, eps: float) -> Cell:
    """Accuracy under noise of this ε, or of the next of its grid, which is told."""
    at, value = curve.at_least(eps)
    cell = accuracy_cell(value)
    if abs(at - eps) <= 1e-9 * eps:
        return cell
    return Cell(cell.text, f"{cell.interval}, ε = {wording.grid_eps(at)}", cell.share)


def _cost(results: Results, measure: Measure) -> list[Cell]:
    training = results.training[measure.network]
    run: dict[str, Any] = results.cells[measure.network, measure.suite].run
    return [
        Cell(wording.thousands(training["parameters"]) if training.get("parameters") else "–"),
        Cell(f"{training['seconds']:.1f}" if training.get("history") else "–"),
        Cell(wording.thousands(run["forwards"] + run["backwards"])),
    ]
