"""Networks against each other on the same images: pairwise tests, and class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import stats

from . import statistics, wording
from .measures import Measure
from .results import Results
from .statistics import Accuracy, Comparison
from .table import Cell, Table, accuracy_cell

LEVEL = 0.05


APART, ALIKE, INCOMPLETE = "apart", "not distinguishable", "incomplete"
UNTESTED = "no spread seen"


@dataclass(frozen=True)
class Right:
    """(N,) bool arrays: images that a network surely gets right, and those that it may.

    They differ in the images whose verdict ended in an error.
    """

    surely: np.ndarray
    perhaps: np.ndarray


@dataclass(frozen=True)
class Pair:
    """Two networks compared; `worst` and `best` are the ends that errors leave for `first`.

    `verdict` is what holds at both ends, and so for everything between them.
    """

    first: str
    second: str
    worst: Comparison
    best: Comparison
    adjusted: float  # the larger of both ends' p values, Holm-adjusted over all pairs
    verdict: str

    @property
    def ends(self) -> tuple[float, float]:
        return self.worst.difference, self.best.difference

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % over the choice of images; with errors, from the worst end's to the best end's."""
        return self.worst.interval[0], self.best.interval[1]


class Compared(Protocol):
    """What is told of two networks: the ends of `first` minus `second`, and if that is chance."""

    @property
    def first(self) -> str: ...
    @property
    def second(self) -> str: ...
    @property
    def ends(self) -> tuple[float, float]: ...
    @property
    def interval(self) -> tuple[float, float] | None: ...
    @property
    def adjusted(self) -> float: ...
    @property
    def verdict(self) -> str: ...


def survives(measure: Measure, eps: float) -> Right:
    """Read rightly, and broken by nothing up to eps."""
    at = eps * (1 + 1e-9)
    return Right(measure.worst_possible > at, measure.worst_smallest > at)


def pairs(right: dict[str, Right]) -> list[Pair]:
    """Exact McNemar for each pair of networks, Holm-adjusted over all of them."""
    names = list(right)
    return tested([(a, b, right[a], right[b]) for i, a in enumerate(names) for b in names[i + 1 :]])


def tested(couples: list[tuple[str, str, Right, Right]]) -> list[Pair]:
    """Exact McNemar for each (name, name, Right, Right), Holm-adjusted over all of them.

    With errors each test is made twice, all of them against the first and all of them against the
    second: the p value of any other outcome lies between.
    """
    worst = [statistics.compare(a.surely, b.perhaps) for _, _, a, b in couples]
    best = [statistics.compare(a.perhaps, b.surely) for _, _, a, b in couples]
    ends = list(zip(worst, best, strict=True))
    # Ends with different signs enclose a tie, whose p is 1.
    largest = statistics.holm([max(w.p, b.p) if _same_sign(w, b) else 1.0 for w, b in ends])
    least = statistics.holm([min(w.p, b.p) for w, b in ends])
    return [
        Pair(*couple[:2], *end, p, APART if p < LEVEL else ALIKE if q >= LEVEL else INCOMPLETE)
        for couple, end, p, q in zip(couples, ends, largest, least, strict=True)
    ]


def _same_sign(worst: Comparison, best: Comparison) -> bool:
    return worst.difference * best.difference > 0


def matrix(names: list[str], compared: Sequence[Compared]) -> Table:
    """Row minus column in percentage points; a difference that may be chance says so."""
    cells: dict[tuple[str, str], Cell] = {}
    for pair in compared:
        p = f"p {wording.p_value(pair.adjusted)}"
        for row, column, sign in ((pair.first, pair.second, 1), (pair.second, pair.first, -1)):
            told = wording.points_range(*_turned(pair.ends, sign))
            if pair.interval is not None:
                low, high = map(wording.points, _turned(pair.interval, sign))
                p_and_interval = f"{low} to {high}, {p}"
            else:
                p_and_interval = p
            cells[row, column] = (
                Cell(told, p_and_interval)
                if pair.verdict == APART
                else Cell(
                    pair.verdict, f"{told}, {p_and_interval}" if pair.verdict == ALIKE else told
                )
            )
    return Table(
        ["survived more than", *names],
        [[Cell(row), *(cells.get((row, column), Cell("–")) for column in names)] for row in names],
    )


def _turned(ends: tuple[float, float], sign: int) -> tuple[float, float]:
    """The ends of a difference, or of the one the other way round."""
    return ends if sign > 0 else (-ends[1], -ends[0])


def verdict(compared: Sequence[Compared]) -> str:
    """How many pairs differ by more than chance, of images or of runs, explains."""

    def named(verdict: str) -> list[str]:
        return [f"{pair.first} and {pair.second}" for pair in compared if pair.verdict == verdict]

    apart, alike = named(APART), named(ALIKE)
    text = f"{len(apart)} of {wording.count(len(compared), 'pair')} can be told apart"
    # Of many networks, those pairs are named that are fewer.
    if len(alike) <= max(wording.MANY, len(apart)):
        text += f"; {ALIKE}: {', '.join(alike)}" if alike else ""
    elif apart:
        text += f": {', '.join(apart)}"
    for other, told in (
        (INCOMPLETE, "left open by verdicts that are missing"),
        (UNTESTED, "not tested, as no run of either differs from its others"),
    ):
        if found := named(other):
            text += f"; {told}: {', '.join(found)}"
    return text + "."


def smallest_difference(compared: list[Pair], power: float = 0.8) -> str:
    """The difference that this many images show four times in five.

    At the level of Holm's first and strictest step, the family's level over the number of pairs.
    """
    n = compared[0].worst.n
    disagree = [(p.worst.only_first + p.worst.only_second) / n for p in compared]
    apart = float(np.median(disagree))
    z = float(stats.norm.ppf(1 - LEVEL / len(compared) / 2) + stats.norm.ppf(power))
    least = z * np.sqrt(max(apart, 1 / n) / n)
    return (
        f"On {n} images, two networks that disagree on {wording.percent(apart)} of them must "
        f"differ by about {100 * least:.1f} points to be told apart four times in five"
        + (f", tested with {len(compared) - 1} other pairs." if len(compared) > 1 else ".")
    )


def by_class(results: Results, found: list[Measure], eps: float) -> tuple[str, Table]:
    """Share of each class that survives, per network, and the weakest classes in words."""
    first = results.cells[found[0].network, found[0].suite].attack
    classes = [
        (name, first.label == number)
        for number, name in enumerate(results.data.classes)
        if (first.label == number).any()
    ]
    shares = {m.network: _shares(survives(m, eps), classes) for m in found}
    rows = [
        [
            Cell(name),
            Cell(str(int(chosen.sum()))),
            *(accuracy_cell(shares[m.network][name]) for m in found),
        ]
        for name, chosen in classes
    ]
    told = [_weakest(m.network, shares[m.network]) for m in found]
    takeaway = (
        f"At ε = {wording.grid_eps(eps)} the class that survives least is {wording.join(told)}."
    )
    return takeaway, Table(["class", "n", *(m.network for m in found)], rows)


def _shares(right: Right, classes: list[tuple[str, np.ndarray]]) -> dict[str, Accuracy]:
    shares = {}
    for name, chosen in classes:
        surely = int(right.surely[chosen].sum())
        unknown = int(right.perhaps[chosen].sum()) - surely
        shares[name] = statistics.accuracy(surely, int(chosen.sum()), unknown)
    return shares


def _weakest(network: str, shares: dict[str, Accuracy]) -> str:
    name = min(shares, key=lambda each: shares[each].upper)
    if any(own.value < shares[name].upper for other, own in shares.items() if other != name):
        return f"unknown for {network} (verdicts are missing)"
    return f"{name} for {network} ({wording.accuracy(shares[name])})"
