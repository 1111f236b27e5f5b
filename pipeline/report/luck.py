"""Networks that were trained with several seeds: the numbers of each run, and what they spread."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import statistics
from .comparisons import ALIKE, APART, LEVEL, UNTESTED
from .measures import Measure, measure
from .results import Results
from .spread import Difference, Spread, spread, welch
from .statistics import Accuracy, Estimate

Measures = dict[tuple[str, str], Measure]


@dataclass(frozen=True)
class Luck:
    """One network judged by one suite, once for each of its seeds, the first seed first.

    `eps` is the headline's in the headline's suite: at it a run has a robust accuracy.
    """

    network: str
    suite: str
    norm: str
    runs: dict[int, Measure]
    eps: float | None

    def numbers(self) -> dict[str, list[float]]:
        """What each run measured; not finite where it was not reached or verdicts are missing."""
        found = {"clean_acc": [_share(run.clean) for run in self.runs.values()]}
        if self.eps is not None:
            at = [run.worst_curve.at_least(self.eps)[1] for run in self.runs.values()]
            found["robust_acc"] = [_share(value) for value in at]
        found["eps50"] = [_reached(run.eps50) for run in self.runs.values()]
        return found

    def spreads(self) -> dict[str, Spread]:
        """Of every number that all runs have."""
        largest = {"clean_acc": 1.0, "robust_acc": 1.0}
        found = {
            name: spread(values, largest.get(name, math.inf))
            for name, values in self.numbers().items()
        }
        return {name: value for name, value in found.items() if value is not None}


def _share(value: Accuracy) -> float:
    return value.value if value.complete else math.nan


def _reached(value: Estimate) -> float:
    return value.value if value.complete else math.nan


def luck(results: Results, found: Measures, suite: str, eps: float) -> list[Luck]:
    """One entry for each network of several seeds and each suite; `suite` is the headline's."""
    told = []
    for (network, name), first in found.items():
        seeds = results.seeds[network]
        if len(seeds) > 1:
            further = {seed: measure(results.further[network, name, seed]) for seed in seeds[1:]}
            runs = {seeds[0]: first} | further
            told.append(Luck(network, name, first.norm, runs, eps if name == suite else None))
    return told


@dataclass(frozen=True)
class Pair:
    """Two recipes compared over their runs; `difference` is None where no run differs."""

    first: str
    second: str
    value: float
    difference: Difference | None
    adjusted: float
    verdict: str

    @property
    def ends(self) -> tuple[float, float]:
        return self.value, self.value

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % over training runs; None where no run differs from its others."""
        return (self.difference.low, self.difference.high) if self.difference else None


def pairs(spreads: dict[str, Spread]) -> list[Pair]:
    """Welch's test for each pair of networks, Holm-adjusted over all that can be tested."""
    names = list(spreads)
    couples = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    found = [welch(spreads[a], spreads[b]) for a, b in couples]
    adjusted = iter(statistics.holm([each.p for each in found if each]))
    told = []
    for (a, b), difference in zip(couples, found, strict=True):
        p = next(adjusted) if difference else math.nan
        verdict = UNTESTED if difference is None else APART if p < LEVEL else ALIKE
        told.append(Pair(a, b, spreads[a].mean - spreads[b].mean, difference, p, verdict))
    return told


def tables(lucks: Sequence[Luck]) -> dict[str, list[dict[str, Any]]]:
    """{name: rows} of the tables of seeds; none where every network was trained once."""
    found = {
        "seeds": run_rows,
        "seeds_spread": spread_rows,
        "seeds_curves": curve_rows,
        "seeds_pairs": pair_rows,
    }
    made = {name: list(rows(lucks)) for name, rows in found.items()}
    return {name: rows for name, rows in made.items() if rows}


def run_rows(lucks: Sequence[Luck]) -> Iterator[dict[str, Any]]:
    """For a table: one row for each network, suite and seed."""
    for each in lucks:
        columns = each.numbers()
        for place, seed in enumerate(each.runs):
            numbers = {name: _finite(values[place]) for name, values in columns.items()}
            yield {
                "network": each.network,
                "suite": each.suite,
                "norm": each.norm,
                "seed": seed,
                "robust_acc": None,
                **numbers,
            }


def spread_rows(lucks: Sequence[Luck]) -> Iterator[dict[str, Any]]:
    """For a table: one row for each network, suite and number."""
    for each in lucks:
        for name, found in each.spreads().items():
            named = {"network": each.network, "suite": each.suite, "number": name}
            yield named | {"seeds": len(found.values), **_told(found), "sd": found.deviation}


def curve_rows(lucks: Sequence[Luck]) -> Iterator[dict[str, Any]]:
    """For a table: one row for each network, suite and ε, of accuracy in the worst case.

    An ε at which verdicts of a run are missing has no row.
    """
    for each in lucks:
        curves = [run.worst_curve for run in each.runs.values()]
        for place, eps in enumerate(curves[0].eps):
            found = spread([_share(curve.accuracy[place]) for curve in curves], 1.0)
            if found is not None:
                named = {"network": each.network, "suite": each.suite, "eps": eps}
                yield named | {"seeds": len(found.values), **_told(found)}


def pair_rows(lucks: Sequence[Luck]) -> Iterator[dict[str, Any]]:
    """For a table: one row for each number and pair of networks, of the headline's suite."""
    spreads = {each.network: each.spreads() for each in lucks if each.eps is not None}
    for name in ("clean_acc", "robust_acc", "eps50"):
        for pair in pairs({key: found[name] for key, found in spreads.items() if name in found}):
            tested = pair.difference
            yield {
                "number": name,
                "first": pair.first,
                "second": pair.second,
                "difference": pair.value,
                "low": tested.low if tested else None,
                "high": tested.high if tested else None,
                "p": tested.p if tested else None,
                "p_holm": _finite(pair.adjusted),
                "verdict": pair.verdict,
            }


def metrics(lucks: Sequence[Luck]) -> dict[str, Any]:
    """{network: {"n": seeds, metric: {mean, low, high}}}, of the headline's suite."""
    return {
        each.network: {"n": len(each.runs)}
        | {name: _told(found, 6) for name, found in each.spreads().items()}
        for each in lucks
        if each.eps is not None
    }


def _told(found: Spread, digits: int = 12) -> dict[str, float]:
    ends = {"mean": found.mean, "low": found.low, "high": found.high}
    return {name: round(value, digits) for name, value in ends.items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
