"""Can the networks learn by heart? Fits of random labels and spoiled images."""

from __future__ import annotations

from .. import memorization, memorization_charts, wording
from ..section import Findings, Section


def section(findings: Findings) -> Section | None:
    """None where nothing was memorized."""
    results = findings.results
    if not results.memorize:
        return None
    charts = memorization_charts.charts(results, findings.chance)
    return Section(
        name="memorization",
        short="Memorization",
        question="Can the networks learn by heart?",
        values={
            "takeaway": memorization.takeaway(results),
            "fits": memorization.table(results),
            "by_regularizer": memorization.by_regularizer(results),
            "charts": charts,
            "chance": wording.percent(findings.chance),
        },
        charts=charts,
    )
