"""Two runs held against each other, image by image: what is common, the tests, the verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from ..report import comparisons, statistics
from ..report.comparisons import APART, INCOMPLETE, Pair, Right
from ..report.measures import on_grid, worst_case
from ..report.results import Cell
from ..report.statistics import Accuracy, Breaks, Estimate
from .images import Images
from .runs import Run

BETTER, WORSE, MIXED, ALIKE, OPEN = (
    "better", "worse", "better and worse", comparisons.ALIKE, "incomplete"
)  # fmt: skip
ORDER = (WORSE, MIXED, BETTER, ALIKE, OPEN)  # those first that must be looked at
CLEAN, SURVIVAL = "clean accuracy", "survival"


@dataclass(frozen=True)
class Side:
    """(N,) arrays of one network and suite in one run, over the images that both runs judged.

    `smallest` and `possible` are the smallest breaking ε on the common grid, by anything verified,
    and the same if every error had broken its image.
    """

    right: np.ndarray
    smallest: np.ndarray
    possible: np.ndarray
    grid: np.ndarray

    def survives(self, eps: float) -> Right:
        at = eps * (1 + 1e-9)
        return Right(self.possible > at, self.smallest > at)

    def curve(self) -> list[Accuracy]:
        """Accuracy at 0 and at each ε of the common grid."""
        told = [self.survives(eps) for eps in (0.0, *self.grid)]
        return [
            statistics.accuracy(
                int(r.surely.sum()), len(self.right), int((r.perhaps & ~r.surely).sum())
            )
            for r in told
        ]

    def breaks(self, images: np.ndarray) -> Breaks:
        upto = self.grid[None, :] * (1 + 1e-9)
        return Breaks(
            self.smallest[images, None] <= upto, self.possible[images, None] <= upto, self.grid
        )


@dataclass(frozen=True)
class SuiteChange:
    """One network under one suite: at which ε images break in both runs, and eps50 of both.

    The eps50 and their ratio (this run over the base) are of the images that both runs read
    rightly. In `sooner` an image counts for the first side if it holds out longer in this run.
    """

    suite: str
    norm: str
    base: Side
    new: Side
    base_eps50: Estimate
    new_eps50: Estimate
    ratio: Estimate


@dataclass(frozen=True)
class NetworkChange:
    """What became of one network; `tests` by CLEAN, SURVIVAL and the names of the suites."""

    network: str
    tests: dict[str, Pair]
    suites: dict[str, SuiteChange]
    same_weights: bool | None  # None: not known of both

    @property
    def verdict(self) -> str:
        apart = [test.worst.difference for test in self.tests.values() if test.verdict == APART]
        better, worse = any(d > 0 for d in apart), any(d < 0 for d in apart)
        if better or worse:
            return MIXED if better and worse else BETTER if better else WORSE
        left = any(test.verdict == INCOMPLETE for test in self.tests.values())
        return OPEN if left else ALIKE

    @property
    def is_worse(self) -> bool:
        return self.verdict in (WORSE, MIXED)


def grids(base: Run, new: Run) -> dict[str, np.ndarray]:
    """The ε that both runs tried, for each suite of the same norm that both have."""
    common = {}
    for suite in new.suites:
        cells = [cell for run in (base, new) for (_, s), cell in run.cells.items() if s == suite]
        if suite in base.suites and len({cell.norm for cell in cells}) == 1:
            common[suite] = reduce(_both, [cell.attack.eps for cell in cells])
    return {suite: grid for suite, grid in common.items() if len(grid)}


def _both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first[[bool(np.isclose(second, eps, rtol=1e-9, atol=0).any()) for eps in first]]


def headline(suite: str, eps: float, common: dict[str, np.ndarray]) -> tuple[str, float] | None:
    """The suite and ε at which survival is compared: this run's headline, if both have it.

    Else the next smaller ε that both tried, else the smallest. None without the suite.
    """
    if suite not in common:
        return None
    below = common[suite][common[suite] <= eps * (1 + 1e-9)]
    return suite, float(below[-1] if len(below) else common[suite][0])


def changes(
    base: Run,
    new: Run,
    images: Images,
    common: dict[str, np.ndarray],
    headline: tuple[str, float] | None,
) -> list[NetworkChange]:
    """Every network that both runs have, in the order of this run; Holm over all tests together.

    Three kinds of test, each an exact McNemar test on the same images: read rightly without any
    change; survived the headline's suite and ε; and for each suite, broken at a larger ε than
    before against broken at a smaller one (which is the sign test).
    """
    found: dict[str, dict[str, SuiteChange]] = {}
    for (network, suite), cell in new.cells.items():
        if (network, suite) in base.cells and suite in common:
            before = _side(base.cells[network, suite], images.base, common[suite])
            after = _side(cell, images.new, common[suite])
            found.setdefault(network, {})[suite] = _suite_change(suite, cell.norm, before, after)
    couples = [
        (network, name, *sides)
        for network, suites in found.items()
        for name, sides in _tests(suites, headline).items()
    ]
    # A test in which no image changed sides can only answer p = 1: it takes no share of the level
    # from the others (Tarone 1990).
    tested = comparisons.tested([couple for couple in couples if _can_tell(*couple[2:])])
    tested += [_undecided(*couple) for couple in couples if not _can_tell(*couple[2:])]
    return [
        NetworkChange(
            network=network,
            tests={
                name: next(p for p in tested if (p.first, p.second) == (network, name))
                for of, name, *_ in couples
                if of == network
            },
            suites=suites,
            same_weights=(
                new.weights[network] == base.weights[network]
                if network in new.weights and network in base.weights
                else None
            ),
        )
        for network, suites in found.items()
    ]


def _side(cell: Cell, index: np.ndarray, grid: np.ndarray) -> Side:
    at = np.searchsorted(cell.attack.index, index)
    worst, possible = worst_case(cell)
    return Side(
        right=cell.attack.right[at],
        smallest=on_grid(worst[at], grid),
        possible=on_grid(possible[at], grid),
        grid=grid,
    )


def _suite_change(suite: str, norm: str, base: Side, new: Side) -> SuiteChange:
    both = base.right & new.right
    before, after = base.breaks(both), new.breaks(both)
    return SuiteChange(
        suite=suite,
        norm=norm,
        base=base,
        new=new,
        base_eps50=statistics.breaking_eps(before.broken, base.grid, 0.5, before.possible),
        new_eps50=statistics.breaking_eps(after.broken, new.grid, 0.5, after.possible),
        ratio=statistics.eps50_ratio(after, before),
    )


def _tests(
    suites: dict[str, SuiteChange], headline: tuple[str, float] | None
) -> dict[str, tuple[Right, Right]]:
    """(this run, base) for each test of one network."""
    first = next(iter(suites.values()))
    tests = {CLEAN: (_surely(first.new.right), _surely(first.base.right))}
    if headline and headline[0] in suites:
        change = suites[headline[0]]
        tests[SURVIVAL] = (change.new.survives(headline[1]), change.base.survives(headline[1]))
    for name, change in suites.items():
        longer = Right(
            change.new.possible > change.base.smallest, change.new.smallest > change.base.possible
        )
        sooner = Right(
            change.new.smallest < change.base.possible, change.new.possible < change.base.smallest
        )
        tests[name] = (longer, sooner)
    return tests


def _can_tell(now: Right, base: Right) -> bool:
    """Did any image change sides, or may it have?"""
    return bool((now.perhaps & ~base.surely).any() or (base.perhaps & ~now.surely).any())


def _undecided(network: str, name: str, now: Right, base: Right) -> Pair:
    same = statistics.compare(now.surely, base.perhaps)
    return Pair(network, name, same, same, 1.0, ALIKE)


def _surely(right: np.ndarray) -> Right:
    return Right(right, right)
