"""What would a sceptic check?"""

from __future__ import annotations

from .. import checks
from ..section import Findings, Section


def section(findings: Findings) -> Section:
    made = checks.checks(findings.results, findings.found)
    return Section(
        name="checks",
        short="Checks",
        question="What would a sceptic check?",
        values={"checks": made, "counts": checks.counts(made)},
    )
