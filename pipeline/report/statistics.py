"""Intervals and tests over per-example outcomes. Pure functions on arrays.

Every interval here covers the choice of images. It says nothing about attacks that were not
tried: accuracy under attack stays an upper bound of what the worst attack would leave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as _mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

CONFIDENCE = 0.95
FEW = 20  # of fewer images no multiple is told: its interval would span the whole grid
DRAWS = 2000  # bootstrap draws; an end of the interval then wanders by about 1 % of its width


@dataclass(frozen=True)
class Accuracy:
    """A share of `n` images, with its Wilson interval.

    `unknown` images ended in an error: they are wrong in `value` and `low`, right in `upper` and
    `high`, so that an error is never counted as a result.
    """

    count: int
    n: int
    low: float
    high: float
    unknown: int = 0

    @property
    def value(self) -> float:
        return self.count / self.n

    @property
    def upper(self) -> float:
        return (self.count + self.unknown) / self.n

    @property
    def complete(self) -> bool:
        return self.unknown == 0


def accuracy(count: int, n: int, unknown: int = 0) -> Accuracy:
    """`count` of `n` (n > 0) with the Wilson 95 % interval; `unknown` widens it upwards."""
    low, _ = wilson(count, n)
    _, high = wilson(count + unknown, n)
    return Accuracy(int(count), int(n), low, high, int(unknown))


def wilson(count: int, n: int) -> tuple[float, float]:
    """Wilson's score interval at 95 %, as fractions."""
    low, high = proportion_confint(count, n, alpha=1 - CONFIDENCE, method="wilson")
    return float(low), float(high)


@dataclass(frozen=True)
class Estimate:
    """A quantity with its 95 % interval; infinite where it lies beyond what was tried.

    `limit` is the largest value that could have been found: an infinite `value` reads "> limit".
    With errors the quantity is a range: `value` is its lower end and `upper` its upper end.
    nan where nothing is known; then `few` says whether too few images are the reason.
    """

    value: float
    low: float
    high: float
    limit: float
    upper: float
    few: bool = False

    @property
    def reached(self) -> bool:
        return bool(np.isfinite(self.value))

    @property
    def known(self) -> bool:
        return not np.isnan(self.value)

    @property
    def complete(self) -> bool:
        return not self.known or self.value == self.upper


def unknown(*, few: bool = False) -> Estimate:
    return Estimate(np.nan, np.nan, np.nan, np.nan, np.nan, few)


def broken_shares(broken: np.ndarray) -> np.ndarray:
    """(E,) share of the examples broken at each eps, never falling. `broken` is (N, E) bool.

    One draw of noise may break fewer images at a larger eps. The largest share up to each eps is
    taken there, so that the eps that is read off it is the smallest at which a share was reached.
    """
    return np.maximum.accumulate(broken.mean(axis=0))


def crossing(grid: np.ndarray, shares: np.ndarray, share: float) -> np.ndarray | float:
    """The eps at which the broken share reaches `share`, linear between (0, 0) and grid points.

    `shares` is (..., E), never falling. Infinite where it is not reached on the grid.
    """
    shares = np.asarray(shares, dtype=np.float64)
    knots = np.concatenate([[0.0], grid])
    heights = np.concatenate([np.zeros((*shares.shape[:-1], 1)), shares], axis=-1)
    reached = heights >= share - 1e-12
    after = np.maximum(reached.argmax(axis=-1), 1)
    high = np.take_along_axis(heights, after[..., None], axis=-1)[..., 0]
    low = np.take_along_axis(heights, after[..., None] - 1, axis=-1)[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        eps = knots[after - 1] + (share - low) / (high - low) * (knots[after] - knots[after - 1])
    found = np.where(reached.any(axis=-1), eps, np.inf)
    return found if found.ndim else float(found)


def breaking_eps(
    broken: np.ndarray, grid: np.ndarray, share: float, possible: np.ndarray | None = None
) -> Estimate:
    """The smallest eps that breaks `share` of the examples, and its 95 % interval.

    Args:
        broken: (N, E) bool, is each rightly classified example broken at each eps.
        grid: (E,) the eps that were tried.
        share: 0.5 for eps50, 0.1 for eps10.
        possible: (N, E) the same if every error had broken its image; `broken` if not given.

    The interval inverts the binomial: with `share` true at an eps, the count broken there lies
    between two quantiles of Binomial(N, share), and the curve is read at both (the order-statistic
    interval of a quantile, distribution-free).
    """
    limit = float(grid[-1])
    n = len(broken)
    if n == 0:
        return unknown(few=True)
    shares = broken_shares(broken)
    earliest = shares if possible is None else broken_shares(possible)
    tail = (1 - CONFIDENCE) / 2
    few = stats.binom.ppf(tail, n, share) / n
    many = (stats.binom.ppf(1 - tail, n, share) + 1) / n
    low = float(crossing(grid, earliest, few)) if few > 0 else 0.0
    return Estimate(
        value=float(crossing(grid, earliest, share)),
        low=low,
        high=float(crossing(grid, shares, many)),
        limit=limit,
        upper=float(crossing(grid, shares, share)),
    )


@dataclass(frozen=True)
class Breaks:
    """What one method broke on its own grid, over the same examples as its counterpart.

    `broken` and `possible` are (N, E) bool; `possible` counts errors as broken.
    """

    broken: np.ndarray
    possible: np.ndarray
    grid: np.ndarray


def eps50_ratio(over: Breaks, under: Breaks, seed: int = 0) -> Estimate:
    """eps50 of `over` divided by eps50 of `under` on the same images, paired bootstrap interval.

    Where `over` never reaches half, the value is infinite and `limit` is the bound that was shown;
    where `under` never does, nothing is known. With errors, the value is the range between the
    smallest ratio that they leave possible and the largest.
    """
    if len(over.broken) < FEW:
        return unknown(few=True)
    value, low, _, limit = _ratio(over.possible, over.grid, under.broken, under.grid, seed)
    if np.isnan(value):
        return unknown()
    upper, _, high, _ = _ratio(over.broken, over.grid, under.possible, under.grid, seed)
    return Estimate(value, low, high, limit, upper)


def _ratio(
    over: np.ndarray, over_grid: np.ndarray, under: np.ndarray, under_grid: np.ndarray, seed: int
) -> tuple[float, float, float, float]:
    """Value, 2.5 % and 97.5 % quantile of the bootstrap, and the largest value the grid allows."""
    n = len(over)
    below = float(crossing(under_grid, broken_shares(under), 0.5))
    if not np.isfinite(below):
        return np.nan, np.nan, np.nan, np.nan
    value = float(crossing(over_grid, broken_shares(over), 0.5)) / below
    # Images with the same outcomes are exchangeable, so resampling the images is one multinomial
    # draw over the patterns of outcomes that occur.
    patterns, counts = np.unique(np.concatenate([over, under], axis=1), axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=DRAWS) / n
    shares = np.split(drawn @ patterns, [len(over_grid)], axis=1)
    above, below_drawn = (
        np.asarray(crossing(grid, np.maximum.accumulate(share, axis=1), 0.5))
        for grid, share in zip((over_grid, under_grid), shares, strict=True)
    )
    with np.errstate(invalid="ignore"):
        ratios = np.where(np.isfinite(below_drawn), above / below_drawn, 0.0)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail], method="nearest")
    return value, float(low), float(high), float(over_grid[-1]) / below


@dataclass(frozen=True)
class Comparison:
    """Two networks on the same images: what one alone gets right, and whether that is chance."""

    only_first: int
    only_second: int
    n: int
    difference: float
    p: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference: Wald's for paired shares, half an image in each cell.

        Agresti and Min, Statistics in Medicine 24 (2005): without the halves it would be far too
        short where few images disagree, or all of them one way.
        """
        n = self.n + 2
        middle = (self.only_first - self.only_second) / n
        spread = np.sqrt((self.only_first + self.only_second + 1) / n - middle**2) / np.sqrt(n)
        half = float(stats.norm.ppf((1 + CONFIDENCE) / 2) * spread)
        return max(-1.0, middle - half), min(1.0, middle + half)


def compare(first: np.ndarray, second: np.ndarray) -> Comparison:
    """Exact McNemar test of two (N,) bool arrays, right or wrong on the same images."""
    b, c, n = int((first & ~second).sum()), int((second & ~first).sum()), len(first)
    p = float(_mcnemar([[0, b], [c, 0]], exact=True).pvalue) if b + c else 1.0
    return Comparison(b, c, n, (b - c) / n, p)


def holm(p_values: list[float]) -> list[float]:
    """Holm's adjusted p values: they hold together at the family's level."""
    if not p_values:
        return []
    return [float(p) for p in multipletests(p_values, method="holm")[1]]
