"""What each attack broke alone, and what only it."""

from __future__ import annotations

from typing import Any

from attacks.diagnosis.alone import SUITE, Diagnosis

from . import wording
from .results import Results
from .statistics import accuracy
from .table import Cell, Table


def part(results: Results, suite: str) -> dict[str, Any] | None:
    """What the page shows of one suite; None where nothing was diagnosed."""
    found = diagnosed(results, suite)
    if not found:
        return None
    norm = results.cells[next(iter(found)), suite].norm
    return {
        "title": wording.suite(suite, norm),
        "takeaway": takeaway(found),
        "eps": wording.grid_eps(next(iter(found.values())).eps),
        "found": table(found),
    }


def diagnosed(results: Results, suite: str) -> dict[str, Diagnosis]:
    """The networks of which a diagnosis was made."""
    return {
        network: results.cells[network, suite].diagnosis
        for network in results.networks
        if results.cells[network, suite].diagnosis.n
    }


def takeaway(found: dict[str, Diagnosis]) -> str:
    """Which attack broke, in all networks together, what no other did."""
    only: dict[str, int] = {}
    for diagnosis in found.values():
        for one in diagnosis.found():
            only[one.label] = only.get(one.label, 0) + one.only
    told = [f"{count} by {label}" for label, count in only.items() if count]
    if not told:
        return "No image was broken by one attack alone: whatever broke, two attacks broke."
    return (
        f"Images that one attack broke and no other did, over all networks: {wording.join(told)}."
    )


def table(found: dict[str, Diagnosis]) -> Table:
    rows = []
    for network, diagnosis in found.items():
        for one in diagnosis.found():
            share = accuracy(one.broke, diagnosis.n)
            added = "" if one.role == SUITE else "added for comparison"
            rows.append(
                [
                    Cell(network),
                    Cell(one.label, added),
                    Cell(
                        wording.percent(share.value), wording.accuracy_interval(share), share.value
                    ),
                    Cell(str(one.broke)),
                    Cell(str(one.only)),
                    Cell(str(diagnosis.n)),
                ]
            )
    return Table(["network", "attack", "broke alone", "images", "only it", "n"], rows)


def rows(results: Results) -> list[dict[str, Any]]:
    """For a file: one row for each network, suite and attack that was run alone."""
    listed = []
    for (network, suite), cell in results.cells.items():
        diagnosis = cell.diagnosis
        about = {"network": network, "suite": suite, "eps": diagnosis.eps, "n": diagnosis.n}
        for one in diagnosis.found():
            listed.append(about | one._asdict())
    return listed
