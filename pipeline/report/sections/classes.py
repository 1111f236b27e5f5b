"""Which classes break first, and what are they taken for?"""

from __future__ import annotations

from .. import comparisons, confusion, wording
from ..section import Findings, Section


def section(findings: Findings) -> Section:
    takeaway, shares = comparisons.by_class(findings.results, findings.head, findings.eps)
    classes = findings.results.data.classes
    cells = [findings.results.cells[m.network, m.suite] for m in findings.head]
    maps = [
        drawn
        for number, cell in enumerate(cells)
        if (drawn := confusion.chart(cell, findings.eps, classes, number))
    ]
    return Section(
        name="classes",
        short="Classes",
        question="Which classes break first, and what are they taken for?",
        values={
            "takeaway": takeaway,
            "shares": shares,
            "maps": maps,
            "eps": wording.grid_eps(findings.eps),
        },
        charts=maps,
    )
