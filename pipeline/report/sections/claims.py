"""Do the claims of the lectures hold?"""

from __future__ import annotations

from ..claims import claims
from ..section import Findings, Section


def section(findings: Findings) -> Section:
    return Section(
        name="claims",
        short="Claims",
        question="Do the claims of the lectures hold?",
        values={"claims": claims(findings.results, findings.head, findings.eps)},
    )
