"""How large is the change that breaks an image?"""

from __future__ import annotations

from .. import charts, wording
from ..section import Findings, Section


def section(findings: Findings) -> Section:
    levels = findings.results.data.levels
    drawn = [charts.distances(findings.of(name), levels) for name in findings.suites]
    titles = [wording.suite(name, findings.of(name)[0].norm) for name in findings.suites]
    return Section(
        name="distance",
        short="Distance",
        question="How large is the change that breaks an image?",
        values={"suites": list(zip(titles, drawn, strict=True))},
        charts=drawn,
    )
