"""Did more steps or restarts help? Success and loss against steps."""

from __future__ import annotations

from .. import alone, ladders, wording
from ..chart import Chart
from ..section import Findings, Section


def section(findings: Findings) -> Section | None:
    """None where no attack was given more steps."""
    parts: list[tuple[str, list[Chart]]] = []
    for suite in findings.suites:
        climbed = {
            network: found
            for network, found in alone.diagnosed(findings.results, suite).items()
            if found.ladders
        }
        if climbed:
            title = wording.suite(suite, findings.of(suite)[0].norm)
            drawn = [draw(suite, title, climbed) for draw in (ladders.broken, ladders.missing)]
            parts.append((title, drawn))
    if not parts:
        return None
    return Section(
        name="longer",
        short="",
        question="Did more steps or restarts help?",
        values={"parts": parts},
        charts=[chart for _, drawn in parts for chart in drawn],
    )
