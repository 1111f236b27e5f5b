"""Which images always break, and which never? Across networks, and across attacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attacks.diagnosis.alone import Diagnosis

from .. import wording
from ..alone import diagnosed
from ..comparisons import survives
from ..images import data_uri
from ..section import Findings, Section
from ..statistics import accuracy
from ..table import Cell, Table, accuracy_cell

SHOWN = 12  # images of each kind


@dataclass(frozen=True)
class Shown:
    """One test image: what it is, and which networks keep reading it rightly."""

    uri: str
    alt: str
    label: str
    kept: str


def section(findings: Findings) -> Section:
    at = wording.grid_eps(findings.eps)
    right = {m.network: survives(m, findings.eps) for m in findings.head}
    # A network whose verdict ended in an error has neither kept nor lost the image.
    surely = np.array([each.surely for each in right.values()])
    perhaps = np.array([each.perhaps for each in right.values()])
    always = np.logical_and.reduce(~perhaps)
    never = np.logical_and.reduce(surely)
    disputed = np.logical_or.reduce(surely) & np.logical_or.reduce(~perhaps)
    kinds = {"always broken": always, "never broken": never, "disputed": disputed}
    if len(right) < 2:
        del kinds["disputed"]
    n = len(always)
    return Section(
        name="agreement",
        short="Agreement",
        question="Which images always break, and which never?",
        values={
            "takeaway": f"At ε = {at}, {_told(kinds, list(right))}.",
            "counts": Table(
                ["images", "share", "number"],
                [
                    [
                        Cell(name),
                        accuracy_cell(accuracy(int(chosen.sum()), n)),
                        Cell(str(int(chosen.sum()))),
                    ]
                    for name, chosen in kinds.items()
                ],
            ),
            "eps": at,
            "pictures": _pictures(findings, kinds, surely),
            "attacks": [
                (wording.suite(suite, findings.of(suite)[0].norm), _by_attacks(found))
                for suite in findings.suites
                if (found := diagnosed(findings.results, suite))
            ],
        },
    )


def _told(kinds: dict[str, np.ndarray], networks: list[str]) -> str:
    always, never, *disputed = (int(chosen.sum()) for chosen in kinds.values())
    images = wording.count(len(next(iter(kinds.values()))), "test image")
    if not disputed:
        return f"{networks[0]} loses {always} of {images} and keeps {never}"
    return (
        f"every network loses {always} of {images}, every network keeps {never}, and "
        f"{disputed[0]} break in some networks alone"
    )


def _pictures(
    findings: Findings, kinds: dict[str, np.ndarray], surely: np.ndarray
) -> dict[str, list[Shown]]:
    """The first images of each kind, as they are without a change."""
    cell = findings.results.cells[findings.head[0].network, findings.head[0].suite].attack
    classes, networks = findings.results.data.classes, [m.network for m in findings.head]
    with np.load(findings.place.data) as archive:
        row = {int(index): n for n, index in enumerate(archive["index_test"])}
        x, levels = archive["x_test"], int(archive["levels"])
    shown: dict[str, list[Shown]] = {}
    for kind, chosen in kinds.items():
        shown[kind] = []
        for i in np.flatnonzero(chosen)[:SHOWN]:
            label = classes[int(cell.label[i])]
            kept = [name for name, right in zip(networks, surely[:, i], strict=True) if right]
            told = f"kept by {wording.join(kept)}" if kind == "disputed" else ""
            alt = ", ".join(filter(None, [f"test image {cell.index[i]}, class {label}", told]))
            uri = data_uri(x[row[int(cell.index[i])]] / levels)
            shown[kind].append(Shown(uri, alt, label, told))
    return shown


def _by_attacks(found: dict[str, Diagnosis]) -> Table:
    """Of the rightly read images, those that every attack alone broke, some, or none."""
    rows = []
    for network, diagnosis in found.items():
        broken = np.array([one.at(diagnosis.eps) for one in diagnosis.compared])
        every, some = broken.all(axis=0), broken.any(axis=0)
        counts = [int(each.sum()) for each in (every, some & ~every, ~some)]
        rows.append(
            [
                Cell(network),
                *(accuracy_cell(accuracy(count, diagnosis.n)) for count in counts),
                Cell(str(len(broken))),
                Cell(str(diagnosis.n)),
            ]
        )
    head = ["network", "broken by every attack", "by some", "by none", "attacks", "n"]
    return Table(head, rows)
