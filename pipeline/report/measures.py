"""What is said about one network and one suite, derived from its verdicts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import statistics
from .results import BROKEN, ERROR, WORST_OF, Cell, Results, Verdicts
from .statistics import Accuracy, Breaks, Estimate


@dataclass(frozen=True)
class Curve:
    """Accuracy against eps: one point for each eps of the grid; eps 0 is the clean accuracy."""

    name: str
    kind: str  # "attack", "noise" (one draw), "noise_worst" (worst of N draws), "worst_case"
    eps: list[float]
    accuracy: list[Accuracy]
    size: list[float] | None = None  # noise: mean distance that its images really have, per eps

    def at_least(self, eps: float) -> tuple[float, Accuracy]:
        """The first point whose eps is not below `eps`, else the last one."""
        for point in zip(self.eps, self.accuracy, strict=True):
            if point[0] >= eps * (1 - 1e-9):
                return point
        return self.eps[-1], self.accuracy[-1]

    def size_at(self, eps: float) -> float:
        """The mean distance that the images at an eps of the grid really have."""
        return eps if self.size is None else self.size[self.eps.index(eps)]


@dataclass(frozen=True)
class NoiseMeasure:
    """The most harmful kind of noise, for one draw or for the worst of N."""

    name: str
    curve: Curve
    eps50: Estimate
    multiple: Estimate  # eps50 of this noise over eps50 of the attack


@dataclass(frozen=True)
class Measure:
    """One network judged by one suite.

    `worst_smallest` (N,): each image's smallest breaking eps on the suite's grid, by anything
    verified: the suite's attacks, noise of the same norm inside a ball that is not larger, or the
    witness of another network.
    `worst_possible` (N,) is the same if every error had broken its image.
    """

    network: str
    suite: str
    norm: str
    clean: Accuracy
    right: int
    errors: int
    suite_curve: Curve
    worst_curve: Curve
    noise_curves: list[Curve]
    eps10: Estimate
    eps50: Estimate
    suite_eps50: Estimate
    one_draw: NoiseMeasure
    worst_draw: NoiseMeasure | None
    worst_smallest: np.ndarray
    worst_possible: np.ndarray
    # (E,) images that noise, and another network's witness, broke at each eps and the suite did not
    noise_only: np.ndarray
    transfer_only: np.ndarray

    @property
    def n(self) -> int:
        return self.clean.n

    @property
    def complete(self) -> bool:
        return self.errors == 0


def measures(results: Results) -> dict[tuple[str, str], Measure]:
    return {key: measure(cell) for key, cell in results.cells.items()}


def measure(cell: Cell) -> Measure:
    """Accuracy, eps50 and noise multiples of one cell.

    The suite's attacks are a cascade: an image broken at one eps is broken at every larger one.
    Noise is not: each kind is judged at each eps by itself and may break less at a larger one. Its
    curve shows that, and its eps50 is the smallest eps at which the curve reaches half.
    """
    attack, noise = cell.attack, cell.noise
    right = attack.right
    grid = attack.eps
    suite, suite_possible = attack.smallest(BROKEN), attack.smallest(BROKEN, ERROR)
    by_noise = on_grid(noise.smallest(BROKEN), grid)
    others, others_possible = cell.transfer.smallest(BROKEN), cell.transfer.smallest(BROKEN, ERROR)
    worst, possible = worst_case(cell)
    single = [name for name in noise.attacks if WORST_OF not in name]
    drawn = [name for name in noise.attacks if WORST_OF in name]
    suite_breaks = _breaks(suite, grid), _breaks(suite_possible, grid)
    worst_breaks = _breaks(worst, grid), _breaks(possible, grid)

    def breaking(breaks: tuple[np.ndarray, np.ndarray], share: float) -> Estimate:
        broken, possible = breaks
        return statistics.breaking_eps(broken[right], grid, share, possible[right])

    return Measure(
        network=cell.network,
        suite=cell.suite,
        norm=cell.norm,
        clean=statistics.accuracy(int(right.sum()), len(right)),
        right=int(right.sum()),
        errors=int(((suite_possible < suite) | (others_possible < others) | _errors(noise)).sum()),
        suite_curve=_curve("the suite", "attack", grid, right, *suite_breaks),
        worst_curve=_curve("worst case", "worst_case", grid, right, *worst_breaks),
        noise_curves=[
            _of(noise, name, "noise_worst" if WORST_OF in name else "noise")
            for name in noise.attacks
        ],
        eps10=breaking(worst_breaks, 0.1),
        eps50=breaking(worst_breaks, 0.5),
        suite_eps50=breaking(suite_breaks, 0.5),
        one_draw=_most_harmful(cell, single or noise.attacks, "noise"),
        worst_draw=_most_harmful(cell, drawn, "noise_worst") if drawn else None,
        worst_smallest=worst,
        worst_possible=possible,
        noise_only=_beyond(suite, by_noise, grid),
        transfer_only=_beyond(suite, others, grid),
    )


def worst_case(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """`worst_smallest` and `worst_possible` of a cell, (N,) each."""
    worst, possible = (
        np.minimum.reduce(
            [
                cell.attack.smallest(*outcomes),
                on_grid(cell.noise.smallest(*outcomes), cell.attack.eps),
                cell.transfer.smallest(*outcomes),
            ]
        )
        for outcomes in ((BROKEN,), (BROKEN, ERROR))
    )
    return worst, possible


def on_grid(smallest: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Round each eps up to the grid: noise in a small ball is also in the next larger one."""
    padded = np.concatenate([[0.0], grid, [np.inf]])
    return padded[np.searchsorted(padded * (1 + 1e-9), smallest)]


def _beyond(suite: np.ndarray, other: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """(E,) images that `other` broke up to each eps and the suite did not."""
    return (_breaks(other, grid) & ~_breaks(suite, grid)).sum(axis=0)


def _breaks(smallest: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """(N, E) bool: an image inside a small ball is inside every larger one."""
    return smallest[:, None] <= grid[None, :] * (1 + 1e-9)


def _errors(table: Verdicts) -> np.ndarray:
    """(N,) bool: a verdict on a rightly classified image is missing, at any eps."""
    return (table.outcome == ERROR).any(axis=(0, 1)) & table.right


def _curve(
    name: str,
    kind: str,
    grid: np.ndarray,
    right: np.ndarray,
    broken: np.ndarray,
    possible: np.ndarray,
    size: list[float] | None = None,
) -> Curve:
    n, clean = len(right), statistics.accuracy(int(right.sum()), len(right))
    surely, perhaps = (~possible).sum(axis=0), (~broken).sum(axis=0)
    points = [
        statistics.accuracy(int(low), n, unknown=int(high - low))
        for low, high in zip(surely, perhaps, strict=True)
    ]
    return Curve(name, kind, [0.0, *grid.tolist()], [clean, *points], size)


def _noise_breaks(table: Verdicts, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Broken, and broken or error, at each eps by itself, (N, E).

    The worst of many draws holds the single draw of the same eps too.
    """
    kind = name.partition(WORST_OF)[0]
    together = [kind, name] if kind != name and kind in table.attacks else [name]
    return (
        table.at_each(BROKEN, attacks=together),
        table.at_each(BROKEN, ERROR, attacks=together),
    )


def _of(table: Verdicts, name: str, kind: str) -> Curve:
    size = [0.0, *table.mean_distance(name).tolist()]
    return _curve(name, kind, table.eps, table.right, *_noise_breaks(table, name), size)


def _most_harmful(cell: Cell, names: list[str], kind: str) -> NoiseMeasure:
    """The kind that breaks half at the smallest eps; if none does, the one that breaks most.

    Errors count as broken in this choice: noise is then never made out weaker than it may be.
    """
    noise, attack = cell.noise, cell.attack
    right = attack.right
    found = []
    for name in names:
        broken, possible = (each[right] for each in _noise_breaks(noise, name))
        eps50 = statistics.breaking_eps(broken, noise.eps, 0.5, possible)
        order = (eps50.value if eps50.known else np.inf, int((~possible).all(axis=1).sum()), name)
        found.append((order, eps50, Breaks(broken, possible, noise.eps)))
    (_, _, name), eps50, breaks = min(found, key=lambda item: item[0])
    against = Breaks(
        _breaks(attack.smallest(BROKEN)[right], attack.eps),
        _breaks(attack.smallest(BROKEN, ERROR)[right], attack.eps),
        attack.eps,
    )
    multiple = statistics.eps50_ratio(breaks, against)
    return NoiseMeasure(name, _of(noise, name, kind), eps50, multiple)
