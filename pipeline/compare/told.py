"""What a comparison says in words and tables: the verdicts, and what else differs between runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..report import comparisons, wording
from ..report.comparisons import APART, INCOMPLETE, Pair, Right
from ..report.statistics import Accuracy, Estimate, accuracy
from ..report.table import Cell, Table
from ..tracking.records import flattened
from .changes import ALIKE, CLEAN, OPEN, ORDER, SURVIVAL, NetworkChange, SuiteChange
from .runs import Run

MARKS = dict(zip(ORDER, ("fail", "warn", "pass", "not-run", "warn"), strict=True))
SETTINGS = 30  # changed settings listed one by one; more are counted


def summary(found: list[NetworkChange]) -> list[str]:
    """The verdicts, those that must be looked at first; then what changed most."""
    groups = [(v, [c.network for c in found if c.verdict == v]) for v in ORDER]
    told = "; ".join(f"{verdict}: {wording.join(names)}" for verdict, names in groups if names)
    sentences = [f"{told[0].upper()}{told[1:]}."]
    if all(_unmoved(test) for change in found for test in change.tests.values()):
        return [*sentences, "No image changed its verdict."]
    return sentences + [_most(change) for change in found if change.verdict not in (ALIKE, OPEN)]


def _most(change: NetworkChange) -> str:
    """The test that speaks loudest, in images."""
    apart = [(t.adjusted, name, t) for name, t in change.tests.items() if t.verdict == APART]
    parts = []
    for _, name, test in sorted(apart, key=lambda item: item[0]):
        up, down = test.worst.only_first, test.worst.only_second
        if name == CLEAN:
            parts.append(f"{up} images are now read rightly that were not, {down} no longer")
        elif name == SURVIVAL:
            parts.append(f"{up} survive that did not, {down} no longer")
        else:
            norm = wording.suite(name, change.suites[name].norm)
            parts.append(f"{up} hold out to a larger ε than before ({norm}), {down} break sooner")
    return f"{change.network}: of {test.worst.n} images {'; '.join(parts)}."


def table(found: list[NetworkChange], headline: tuple[str, float] | None) -> Table:
    """One row for each network: the verdict, and before → after of every quantity tested."""
    suites = list(dict.fromkeys(suite for change in found for suite in change.suites))
    norms = {name: change.norm for each in found for name, change in each.suites.items()}
    head = ["network", "verdict", "clean accuracy"]
    if headline:
        norm = wording.suite(headline[0], norms[headline[0]])
        head.append(f"survived {norm} ε = {wording.grid_eps(headline[1])}")
    head += [f"eps50, {wording.suite(name, norms[name])}" for name in suites]
    rows = []
    for change in found:
        first = next(iter(change.suites.values()))
        row = [Cell(change.network), Cell(change.verdict, mark=MARKS[change.verdict])]
        row.append(
            _accuracies(
                _as_right(first.base.right), _as_right(first.new.right), change.tests[CLEAN]
            )
        )
        if headline:
            row.append(_survival(change, headline))
        row += [_eps50(change, name) for name in suites]
        rows.append(row)
    return Table(head, rows)


def _unmoved(test: Pair) -> bool:
    return test.worst == test.best and not test.worst.only_first + test.worst.only_second


def _as_right(right: np.ndarray) -> Right:
    return Right(right, right)


def _survival(change: NetworkChange, headline: tuple[str, float]) -> Cell:
    suite = change.suites.get(headline[0])
    if suite is None:
        return Cell("not in both")
    before, after = (side.survives(headline[1]) for side in (suite.base, suite.new))
    return _accuracies(before, after, change.tests[SURVIVAL])


def _accuracies(before: Right, after: Right, test: Pair) -> Cell:
    shares = [wording.accuracy(_share(right)) for right in (before, after)]
    if _unmoved(test):
        return Cell(shares[1], "the same images")
    low, high = test.worst.interval[0], test.best.interval[1]
    told = wording.points_range(test.worst.difference, test.best.difference)
    span = f"{wording.points(low)} to {wording.points(high)}"
    return Cell(" → ".join(shares), f"{told} points, {span}; {_p(test)}")


def _share(right: Right) -> Accuracy:
    surely = int(right.surely.sum())
    return accuracy(surely, len(right.surely), int(right.perhaps.sum()) - surely)


def _p(test: Pair) -> str:
    return (
        "left open by errors"
        if test.verdict == INCOMPLETE
        else f"p {wording.p_value(test.adjusted)}"
    )


def _eps50(change: NetworkChange, name: str) -> Cell:
    if name not in change.suites:
        return Cell("not in both")
    suite, test = change.suites[name], change.tests[name]
    if _unmoved(test):
        return Cell(wording.estimate(suite.new_eps50), "no image changed")
    ends = [wording.estimate(each) for each in (suite.base_eps50, suite.new_eps50)]
    images = f"{test.worst.only_first} images later, {test.worst.only_second} sooner"
    return Cell(" → ".join(ends), f"{_ratio(suite.ratio)}{images}; {_p(test)}")


def _ratio(ratio: Estimate) -> str:
    """`×0.93 (0.90–0.97); `, or nothing where eps50 was not reached."""
    if not (ratio.known and ratio.reached and ratio.complete and math.isfinite(ratio.high)):
        return ""
    return f"×{ratio.value:.2f} ({ratio.low:.2f}–{ratio.high:.2f}); "


def moved(found: list[NetworkChange], headline: tuple[str, float] | None) -> Table | None:
    """What became of each image at the headline's ε."""
    if headline is None:
        return None
    rows = []
    for change in found:
        if headline[0] in change.suites:
            suite = change.suites[headline[0]]
            before, after = (side.survives(headline[1]).surely for side in (suite.base, suite.new))
            kept = [before & after, before & ~after, ~before & after, ~before & ~after]
            rows.append([Cell(change.network), *(Cell(str(int(each.sum()))) for each in kept)])
    head = ["network", "survived both times", "survived, now broken", "broken, now survives"]
    return Table([*head, "broken both times"], rows) if rows else None


def notes(
    base: Run, new: Run, found: list[NetworkChange], common: dict[str, np.ndarray]
) -> list[str]:
    """What else differs, so that nobody compares what cannot be compared."""
    told = _came_and_went("network", base.networks, new.networks)
    told += _came_and_went("suite", base.suites, new.suites)
    for suite in [name for name in new.suites if name in base.suites]:
        told += _suite_notes(suite, base, new, common)
    same = [change.network for change in found if change.same_weights]
    if same:
        told.append(
            f"The weights of {wording.join(same)} are the same in both runs: whatever differs "
            "there comes from the attacks and the noise, not from training."
        )
    return told + _settings(base, new)


def _came_and_went(what: str, before: list[str], after: list[str]) -> list[str]:
    added = [name for name in after if name not in before]
    gone = [name for name in before if name not in after]
    return [
        f"{wording.count(len(names), what)} {how}, not compared: {wording.join(names)}."
        for names, how in ((added, "new in this run"), (gone, "only in the base"))
        if names
    ]


def _suite_notes(suite: str, base: Run, new: Run, common: dict[str, np.ndarray]) -> list[str]:
    before, after = (
        next(cell for (_, name), cell in run.cells.items() if name == suite) for run in (base, new)
    )
    if before.norm != after.norm:
        return [
            f"Suite {suite} had another norm ({wording.norm(before.norm)}, now "
            f"{wording.norm(after.norm)}): not compared."
        ]
    told = []
    if suite not in common:
        told.append(
            f"Suite {suite}: no ε in common ({_eps(before.attack.eps)}; now "
            f"{_eps(after.attack.eps)}): not compared."
        )
    elif _eps(before.attack.eps) != _eps(after.attack.eps):
        told.append(
            f"The grid of suite {suite} has changed ({_eps(before.attack.eps)}; now "
            f"{_eps(after.attack.eps)}): compared at {_eps(common[suite])}."
        )
    for what, ours, theirs in (
        ("attacks", after.attack.attacks, before.attack.attacks),
        ("kinds of noise", after.noise.attacks, before.noise.attacks),
    ):
        if ours != theirs:
            told.append(
                f"The {what} of suite {suite} have changed ({', '.join(theirs)}; now "
                f"{', '.join(ours)}): a difference may come from them."
            )
    return told


def _eps(grid: np.ndarray) -> str:
    return ", ".join(wording.grid_eps(float(eps)) for eps in grid)


def _settings(base: Run, new: Run) -> list[str]:
    """The keys of params.yaml that differ, as far as both are known."""
    if not base.params or not new.params:
        return []
    before, after = flattened(base.params, "."), flattened(new.params, ".")
    keys = [
        key for key in dict.fromkeys([*before, *after])
        if before.get(key, ...) != after.get(key, ...)
    ]  # fmt: skip
    told = [f"`{key}`: {_value(before, key)} → {_value(after, key)}" for key in keys[:SETTINGS]]
    if len(keys) > SETTINGS:
        told.append(f"{len(keys) - SETTINGS} more settings of params.yaml differ.")
    return told


def _value(values: dict[str, Any], key: str) -> str:
    return str(values[key]) if key in values else "not there"


def method(found: list[NetworkChange]) -> str:
    tests = [not _unmoved(test) for change in found for test in change.tests.values()]
    return (
        f"Exact McNemar tests on the same images, Holm over the {sum(tests)} of {len(tests)} tests "
        f"in which an image changed sides (p is adjusted), level {100 * comparisons.LEVEL:g} %; "
        "differences with 95 % intervals. Worse: a test shows a loss at that level. Tests cover "
        "the choice of images, not another training run of the same recipe, nor attacks that "
        "were not tried. Witnesses of other networks are left out, and of several training runs of "
        "a recipe the first is compared."
    )


def changed(suite: SuiteChange) -> np.ndarray:
    """Positions of the images whose smallest breaking ε has changed, the largest losses first."""
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.nan_to_num(suite.new.smallest / suite.base.smallest, nan=1.0, posinf=np.inf)
    moved = np.flatnonzero(suite.new.smallest != suite.base.smallest)
    return moved[np.argsort(factor[moved], kind="stable")]
