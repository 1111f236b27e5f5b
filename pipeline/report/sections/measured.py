"""How was it measured? Settings, cost, machines, hashes, and the program that checks again."""

from __future__ import annotations

from .. import provenance
from ..recheck import recheck
from ..section import Findings, Section


def section(findings: Findings) -> Section:
    place, results, first = findings.place, findings.results, findings.head[0]
    return Section(
        name="measured",
        short="How it was measured",
        question="How was it measured?",
        values={
            "data": results.data,
            "suites": provenance.measured(results, findings.config),
            "files": provenance.files(place, results),
            "commit": provenance.commit(place),
            "locked": provenance.locked(place),
            "seeds": provenance.seeds(results, findings.config),
            "machine": provenance.machine(results),
            "drawn": results.cells[first.network, first.suite].run.get("draws"),
            "recheck": recheck(
                place,
                first.network,
                first.suite,
                first.norm,
                results.own.get(first.network, {}).get("own", {}).get("model"),
            ),
        },
    )
