"""How were the networks trained?"""

from __future__ import annotations

from .. import epochs, own, provenance
from ..section import Findings, Section


def section(findings: Findings) -> Section:
    results = findings.results
    chart = epochs.training(results)
    return Section(
        name="training",
        short="Training" if results.trained else "Model",
        question=(
            "How were the networks trained?" if results.trained else "Which model was judged?"
        ),
        values={
            "training": chart,
            "trained": bool(results.trained),
            "networks": provenance.networks(results),
            "recipes": provenance.recipes(results),
            "own": own.models(results),
        },
        charts=[chart] if chart else [],
    )
