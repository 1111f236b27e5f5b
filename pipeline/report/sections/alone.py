"""What did each attack break, and what only it?"""

from __future__ import annotations

from .. import alone
from ..section import Findings, Section


def section(findings: Findings) -> Section | None:
    """None where nothing was diagnosed."""
    results = findings.results
    parts = [part for name in findings.suites if (part := alone.part(results, name))]
    if not parts:
        return None
    return Section(
        name="alone",
        short="Attacks",
        question="What did each attack break, and what only it?",
        values={"parts": parts},
    )
