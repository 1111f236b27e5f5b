"""Do images that fool one network fool another?"""

from __future__ import annotations

import numpy as np

from .. import heatmaps, wording
from ..chart import Chart
from ..measures import Measure
from ..results import BROKEN, Results
from ..section import Findings, Section
from ..statistics import Accuracy, accuracy
from ..table import Cell, Table, accuracy_cell


def section(findings: Findings) -> Section | None:
    """None with a single network."""
    if len(findings.results.networks) < 2:
        return None
    drawn = [_matrix(findings.results, findings.of(suite)) for suite in findings.suites]
    return Section(
        name="transfer",
        short="Transfer",
        question="Does what fools one network fool another?",
        values={"charts": drawn},
        charts=drawn,
    )


def _matrix(results: Results, found: list[Measure]) -> Chart:
    suite, networks = found[0].suite, [measure.network for measure in found]
    title = wording.suite(suite, found[0].norm)
    shares = {
        (source, target): share(results, suite, source, target)
        for source in networks
        for target in networks
        if source != target
    }
    return heatmaps.shares(
        f"transfer-{suite}",
        f"Witnesses of one network tried on another, {title}",
        _takeaway(shares, found),
        f"Witnesses of one network tried on another, {title}: the share of them that the other "
        "misreads too, of the images that it reads rightly without a change. Each witness has the "
        "smallest ε that broke the network it was made for.",
        networks,
        networks,
        [[_value(shares.get((source, target))) for target in networks] for source in networks],
        Table(
            ["made for", *(f"tried on {network}" for network in networks)],
            [
                [Cell(source), *(_cell(shares.get((source, target))) for target in networks)]
                for source in networks
            ],
        ),
        ("made for", "tried on"),
    )


def share(results: Results, suite: str, source: str, target: str) -> Accuracy | None:
    """The share of the source's witnesses that break the target; None where none could."""
    cell = results.cells[target, suite]
    row = cell.transfer.sources.index(source)
    tried = np.isfinite(cell.transfer.eps[row]) & cell.attack.right
    broke = (cell.transfer.outcome[row] == BROKEN) & tried
    return accuracy(int(broke.sum()), int(tried.sum())) if tried.any() else None


def _value(share: Accuracy | None) -> float | None:
    return None if share is None else share.value


def _cell(share: Accuracy | None) -> Cell:
    return Cell("–") if share is None else accuracy_cell(share)


def _takeaway(shares: dict[tuple[str, str], Accuracy | None], found: list[Measure]) -> str:
    """The most and the least contagious pair, and what transfer added to the worst case."""
    known = {pair: share for pair, share in shares.items() if share is not None}
    beyond = {m.network: int(m.transfer_only.max(initial=0)) for m in found}
    told = [f"{count} of {network}" for network, count in beyond.items() if count]
    added = (
        f"The witnesses of others broke what a network's own attacks had not: {wording.join(told)}."
        if told
        else "They broke no image that a network's own attacks had not broken at the same ε."
    )
    if not known:
        return "No witness of one network was of an image that another one reads rightly."
    most = max(known, key=lambda pair: known[pair].value)
    least = min(known, key=lambda pair: known[pair].value)
    return (
        f"From {wording.percent(known[least].value)} (made for {least[0]}, tried on {least[1]}) to "
        f"{wording.percent(known[most].value)} (made for {most[0]}, tried on {most[1]}) of the "
        f"witnesses fool the other network too. {added}"
    )
