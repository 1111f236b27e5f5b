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
            "runs": _runs([m.network for m in found], {each.network for each in findings.lucks}),
        },
    )


def _runs(networks: list[str], several: set[str]) -> str:
    """Whether another training run is covered by anything."""
    if not several:
        return (
            "They do not cover another training run of the same recipe, which needs several seeds."
        )
    told = (
        "They compare the first run of each recipe; other runs are compared under How much is luck"
    )
    alone = [network for network in networks if network not in several]
    return told + (f", but not of {wording.join(alone)}, trained once." if alone else ".")
