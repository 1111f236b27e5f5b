"""The words of the page."""

from __future__ import annotations

from ..section import Findings, Section


def section(findings: Findings) -> Section:
    return Section(name="glossary", short="Glossary", question="Glossary", values={})
