"""Are the networks really different? Pairwise tests of who survives more."""

from __future__ import annotations

from .. import comparisons, wording
from ..section import Findings, Section


def section(findings: Findings) -> Section | None:
    """None with a single network."""
    found, eps = findings.head, findings.eps
    if len(found) < 2:
        return None
    compared = comparisons.pairs({m.network: comparisons.survives(m, eps) for m in found})
    return Section(
        name="comparison",
        short="Comparison",
        question="Are the networks really different?",
        values={
            "takeaway": comparisons.verdict(compared),
            "matrix": comparisons.matrix([m.network for m in found], compared),
            "power": comparisons.smallest_difference(compared),
            "eps": wording.grid_eps(eps),
        },
    )
