"""How were the networks trained?"""

from __future__ import annotations

from .. import epochs, own, provenance
from ..section import Findings, Section


def section(findings: Findings) -> Section:
    results = findings.results
    charts = [chart for chart in (epochs.training(results), epochs.robustness(results)) if chart]
    return Section(
        name="training",
        short="Training" if results.trained else "Model",
        question="How were the networks trained?" if results.trained else "Which model was judged?",
        values={
            "charts": charts,
            "trained": bool(results.trained),
            "networks": provenance.networks(results),
            "recipes": provenance.recipes(results),
            "own": own.models(results),
        },
        charts=charts,
    )
