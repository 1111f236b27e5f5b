"""What happens as ε grows? Accuracy against ε, attack and noise on one axis."""

from __future__ import annotations

from .. import charts
from ..section import Findings, Section


def section(findings: Findings) -> Section:
    head = findings.config.headline.suite
    drawn = [
        charts.accuracy_curves(
            findings.of(suite),
            chance=findings.chance,
            headline=findings.eps if suite == head else None,
        )
        for suite in findings.suites
    ]
    return Section(
        name="curves",
        short="Curves",
        question="What happens as ε grows?",
        values={"charts": drawn},
        charts=drawn,
    )
