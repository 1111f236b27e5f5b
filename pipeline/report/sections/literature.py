"""What has been published for the same question? A reading aid, never a verdict."""

from __future__ import annotations

import json
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from .. import wording
from ..measures import Measure
from ..results import Results
from ..section import Findings, Section
from ..table import Cell, Table, accuracy_cell

FILE = Path(__file__).parent.parent / "literature.json"
ALIKE = 0.02  # relative: RobustBench has both 8/255 and 0.031 for one question


def section(findings: Findings) -> Section | None:
    """None where nothing that was run is the question of a published figure."""
    parts = [
        (wording.suite(suite, findings.of(suite)[0].norm), rows)
        for suite in findings.suites
        if (rows := _rows(findings.results, findings.of(suite)))
    ]
    if not parts:
        return None
    head = ["network", "training", "ε", "clean", "robust", "by", "source"]
    return Section(
        name="literature",
        short="Literature",
        question="What has been published for the same question?",
        values={"parts": [(title, Table(head, rows)) for title, rows in parts]},
    )


@cache
def published() -> list[dict[str, Any]]:
    """Published figures: data set, norm, ε, kind of training, accuracies in percent, source."""
    found: list[dict[str, Any]] = json.loads(FILE.read_text())
    return found


def kind(recipe: dict[str, Any]) -> str:
    """`none`, or the method of adversarial training."""
    against = recipe.get("adversarial")
    return str(against.get("method", "pgd")) if against else "none"


def _for(recipe: dict[str, Any], norm: str, eps: float) -> bool:
    """Was a network trained for this very threat, or for none? The published ones were."""
    against = recipe.get("adversarial")
    return not against or (against["norm"] == norm and abs(against["eps"] / eps - 1) < ALIKE)


def _rows(results: Results, found: list[Measure]) -> list[list[Cell]]:
    """Each network that was trained here, followed by what is published for its question."""
    rows = []
    for measure in found:
        recipe = results.trained.get(measure.network, {}).get("recipe")
        if recipe is None:
            continue
        for eps in measure.worst_curve.eps[1:]:
            alike = [
                entry
                for entry in published()
                if (entry["data"], entry["norm"]) == (results.data.name, measure.norm)
                and entry["training"] == kind(recipe)
                and _for(recipe, measure.norm, eps)
                and abs(float(Fraction(entry["eps"])) / eps - 1) < ALIKE
            ]
            if alike:
                rows.append(_measured(measure, recipe, eps))
                rows += [_of(entry) for entry in alike]
    return rows


def _measured(measure: Measure, recipe: dict[str, Any], eps: float) -> list[Cell]:
    return [
        Cell(measure.network, str(recipe.get("architecture", ""))),
        Cell(kind(recipe)),
        Cell(wording.grid_eps(eps)),
        accuracy_cell(measure.clean),
        accuracy_cell(measure.worst_curve.at_least(eps)[1]),
        Cell("everything verified here"),
        Cell(f"this run, {measure.n} images"),
    ]


def _of(entry: dict[str, Any]) -> list[Cell]:
    return [
        Cell(entry["network"], "published"),
        Cell(entry["training"]),
        Cell(entry["eps"]),
        Cell(wording.percent(entry["clean"] / 100), share=entry["clean"] / 100),
        Cell(wording.percent(entry["robust"] / 100), share=entry["robust"] / 100),
        Cell(entry["attack"]),
        Cell(entry["source"]),
    ]
