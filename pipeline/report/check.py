"""A check: a question, its formula with the threshold, and what it found."""

from __future__ import annotations

from dataclasses import dataclass

from attacks.diagnosis.flags import NOT_RUN, ORDER


@dataclass(frozen=True)
class Finding:
    where: str
    status: str
    value: str


@dataclass(frozen=True)
class Check:
    """One question, its formula with the threshold, and what it found, cell by cell."""

    question: str
    formula: str
    findings: list[Finding]

    @property
    def status(self) -> str:
        return min((f.status for f in self.findings), key=ORDER.index, default=NOT_RUN)

    @property
    def told(self) -> str:
        """The value of the worst finding."""
        if not self.findings:
            return ""
        worst = min(self.findings, key=lambda finding: ORDER.index(finding.status))
        same = len({finding.value for finding in self.findings}) == 1
        return worst.value if same else f"{worst.where}: {worst.value}"
