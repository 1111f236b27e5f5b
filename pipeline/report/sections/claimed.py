"""Does it keep what was claimed? Published or required robust accuracy beside the measured one."""

from __future__ import annotations

from ..own import claims
from ..section import Findings, Section


def section(findings: Findings) -> Section | None:
    """None where nothing is claimed."""
    values = claims(findings.found, findings.config.networks)
    if values is None:
        return None
    return Section(
        name="claimed",
        short="Claimed",
        question="Does it keep what was claimed?",
        values=values,
    )
