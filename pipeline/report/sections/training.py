"""How were the networks trained?"""

from __future__ import annotations

from .. import epochs, provenance
from ..section import Findings, Section


def section(findings: Findings) -> Section:
    chart = epochs.training(findings.results)
    return Section(
        name="training",
        short="Training",
        question="How were the networks trained?",
        values={
            "training": chart,
            "networks": provenance.networks(findings.results),
            "recipes": provenance.recipes(findings.results),
        },
        charts=[chart],
    )
