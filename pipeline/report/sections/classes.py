"""Which classes break first?"""

from __future__ import annotations

from .. import comparisons, wording
from ..section import Findings, Section


def section(findings: Findings) -> Section:
    takeaway, shares = comparisons.by_class(findings.results, findings.head, findings.eps)
    return Section(
        name="classes",
        short="Classes",
        question="Which classes break first?",
        values={
            "takeaway": takeaway,
            "shares": shares,
            "eps": wording.grid_eps(findings.eps),
        },
    )
