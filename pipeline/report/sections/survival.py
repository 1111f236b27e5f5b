"""How many images survive? Clean, noise and attacked accuracy at the headline ε."""

from __future__ import annotations

from typing import Any

from .. import sentences, wording
from ..measures import Measure
from ..section import Findings, Section
from ..table import Cell, Table, accuracy_cell


def section(findings: Findings) -> Section:
    return Section(
        name="survival",
        short="Survival",
        question="How many images survive?",
        values=_survival(findings.head, findings.eps)
        | {"weak": ", ".join(findings.results.without_gradients)},
    )


def _survival(found: list[Measure], eps: float) -> dict[str, Any]:
    draws = next((wording.draws(m.worst_draw.name) for m in found if m.worst_draw), None)
    head = ["network", "clean", "noise, one draw", *([f"noise, {draws}"] if draws else [])]
    head += ["attacks of the suite", "worst case", "n"]
    unfinished = any(not measure.complete for measure in found)
    rows = []
    for measure in found:
        values = [measure.clean, measure.one_draw.curve.at_least(eps)[1]]
        if measure.worst_draw:
            values.append(measure.worst_draw.curve.at_least(eps)[1])
        values += [measure.suite_curve.at_least(eps)[1], measure.worst_curve.at_least(eps)[1]]
        row = [Cell(measure.network), *map(accuracy_cell, values), Cell(str(measure.n))]
        rows.append(row + ([Cell(str(measure.errors))] if unfinished else []))
    sizes = sorted({measure.one_draw.curve.at_least(eps)[0] for measure in found})
    at = wording.grid_eps(eps)
    noise_at = wording.join([wording.grid_eps(size) for size in sizes])
    return {
        "takeaway": sentences.survival(found, eps),
        "table_of": Table(head + (["errors"] if unfinished else []), rows),
        "caption": f"Accuracy on test images at {wording.norm(found[0].norm)} ε = {at}"
        + (f" (noise: ε = {noise_at}, the next of its grid)" if noise_at != at else "")
        + sentences.true_sizes(found, eps)
        + ", with Wilson 95 % interval",
        "kinds": ", ".join(f"{m.network}: {wording.noise_kind(m.one_draw.name)}" for m in found),
    }
