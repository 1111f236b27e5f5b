"""The page and the Markdown: an opening, then one section for each question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import images, opening, own, templates, wording
from .images import Example
from .section import Findings, Section
from .sections import (
    ablation,
    agreement,
    alone,
    checks,
    claimed,
    claims,
    classes,
    comparison,
    curves,
    distance,
    gallery,
    glossary,
    literature,
    longer,
    luck,
    measured,
    memorization,
    survival,
    training,
    training_size,
    transfer,
)

HERE = Path(__file__).parent
ORDER = [
    distance, survival, claimed, comparison, luck, curves, literature, alone, agreement, classes,
    longer, transfer, gallery, ablation, training_size, memorization, training, claims,
    checks, measured, glossary,
]  # fmt: skip


def sections(findings: Findings) -> list[Section]:
    """Those that have something to show, in order."""
    made = [module.section(findings) for module in ORDER]
    return [section for section in made if section is not None]


def render(template: str, findings: Findings, made: list[Section]) -> str:
    """`index.html.j2` or `report.md.j2`, filled in."""
    ending = template.partition(".")[2]
    named = {section.name: f"sections/{section.name}.{ending}" for section in made}
    bodies = {
        section.name: templates.render(named[section.name], section.values)
        for section in made
        if (HERE / named[section.name]).is_file()
    }
    return templates.render(template, _opening(findings) | {"sections": made, "bodies": bodies})


def _opening(findings: Findings) -> dict[str, Any]:
    claimed = own.claims(findings.found, findings.config.networks)
    return {
        "data": findings.results.data,
        "summary": [
            *opening.summary(findings.results, findings.head, findings.eps),
            *([claimed["takeaway"]] if claimed else []),
        ],
        "norm": wording.norm(findings.head[0].norm),
        "distances": opening.distances(findings.head, findings.results.data.levels),
        "hero": _hero(findings),
    }


def _hero(findings: Findings) -> tuple[str, Example] | None:
    """The first network's first broken image, for the top of the page."""
    for measure in findings.head:
        cell = findings.results.cells[measure.network, measure.suite]
        shown = images.examples(cell, findings.results.data.classes, shown=1)
        if shown:
            return measure.network, shown[0]
    return None
