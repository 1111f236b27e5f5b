"""What several training runs of one recipe give: seeds are the unit. Pure functions on numbers.

Each run is judged on the same images, so these intervals cover another training run of the recipe,
not another choice of images. Runs of two networks are taken as independent, also where they share
a seed: weights that begin alike end apart (Colas et al., 2018, arXiv 1806.08295, on Welch's test).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from scipy import stats
from statsmodels.stats.weightstats import CompareMeans

from .statistics import CONFIDENCE


@dataclass(frozen=True)
class Spread:
    """One number of every run, and Student's 95 % interval of their mean."""

    values: list[float]
    low: float
    high: float

    @property
    def mean(self) -> float:
        return mean(self.values)

    @property
    def deviation(self) -> float:
        """The standard deviation over runs; exactly 0 where they are equal."""
        return stdev(self.values)


def spread(values: Sequence[float], largest: float = math.inf) -> Spread | None:
    """Mean and interval of at least two runs; None if a run has no number.

    The interval is cut off at 0 and at the `largest` value that there can be.
    """
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    times = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    middle, half = mean(values), times * stdev(values) / math.sqrt(len(values))
    return Spread(list(values), max(0.0, middle - half), min(largest, middle + half))


@dataclass(frozen=True)
class Difference:
    """The first mean minus the second, with Welch's 95 % interval and p value."""

    value: float
    low: float
    high: float
    p: float


def welch(first: Spread, second: Spread) -> Difference | None:
    """Welch's t test of two recipes; None where no run of either differs from the others.

    Equal runs hold no measure of chance, and the test would call any difference certain.
    """
    if first.deviation == 0 and second.deviation == 0:
        return None
    both = CompareMeans.from_data(first.values, second.values)
    low, high = both.tconfint_diff(alpha=1 - CONFIDENCE, usevar="unequal")
    p = both.ttest_ind(usevar="unequal")[1]
    return Difference(first.mean - second.mean, float(low), float(high), float(p))
