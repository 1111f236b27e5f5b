"""A grid of budgets: what it costs in passes, and that each answer is that of a run by itself."""

from __future__ import annotations

import itertools

import pytest
from torch import Tensor

from attacks.registry import resolve
from attacks.suite import Progress, SuiteResult, run_suite
from attacks.verdict import BROKEN
from networks import digits, trained

GRIDS = {"linf": [0.03, 0.05, 0.07, 0.09, 0.11], "l2": [0.2, 0.3, 0.4, 0.5, 0.6]}
SUITES = {
    # Where a minimum-norm attack comes first, it says near which budget an example falls.
    "ladder": [
        {"attack": "fmn", "steps": 30, "classes": 3},
        {"attack": "pgd", "steps": 20},
        {"attack": "apgd", "steps": 30, "targets": 2},
    ],
    "fast": "fast",
}


def broken_at(result: SuiteResult, eps: float) -> Tensor:
    """(N,) bool: broken by any attack of the suite at this budget."""
    rows = result.rows
    here = rows["eps"] == eps
    attacks = int(rows["attack"].max()) + 1
    return (rows["outcome"][here] == BROKEN).view(attacks, -1).any(dim=0)


def passes(result: SuiteResult) -> int:
    return int((result.rows["forwards"] + result.rows["backwards"]).sum())


def allowed(count: int) -> int:
    """Images by which two runs may differ: 2 in 1,000, and one where there are few."""
    return max(1, round(0.002 * count))


@pytest.mark.parametrize("norm", GRIDS)
@pytest.mark.parametrize("suite", SUITES)
def test_five_budgets_cost_at_most_two_and_answer_as_each_alone(suite: str, norm: str) -> None:
    _, _, x, y = digits()
    grid, attackers = GRIDS[norm], resolve(SUITES[suite], norm)
    whole = run_suite(trained(), x, y, norm, grid, attackers)
    alone = {eps: run_suite(trained(), x, y, norm, [eps], attackers) for eps in grid}
    costliest = max(passes(result) for result in alone.values())
    assert passes(whole) <= 2 * costliest, passes(whole) / costliest
    for eps, result in alone.items():
        ours, theirs = int(broken_at(whole, eps).sum()), int(broken_at(result, eps).sum())
        assert 0.01 < theirs / len(x) < 0.999, "where nothing is undecided nothing is shown"
        assert theirs - ours <= allowed(len(x)), eps
        # An ensemble that stops early finds more in a grid: it begins where a larger ball broke.
        if suite != "fast":
            assert ours - theirs <= allowed(len(x)), eps


# Spread as in benchmarks/grid.py: a quarter to twice the budget at which about half of them fall.
WIDE = {"linf": [0.0225, 0.045, 0.09, 0.135, 0.18], "l2": [0.125, 0.25, 0.5, 0.75, 1.0]}


@pytest.mark.parametrize("norm", WIDE)
def test_the_headline_ensemble_costs_at_most_two_and_answers_as_alone(norm: str) -> None:
    _, _, x, y = digits()
    x, y, attackers = x[:80], y[:80], resolve("standard", norm)
    whole = run_suite(trained(), x, y, norm, WIDE[norm], attackers)
    alone = {eps: run_suite(trained(), x, y, norm, [eps], attackers) for eps in WIDE[norm]}
    costliest = max(passes(result) for result in alone.values())
    assert passes(whole) <= 2 * costliest, passes(whole) / costliest
    for eps, result in alone.items():
        differ = int((broken_at(whole, eps) ^ broken_at(result, eps)).sum())
        assert differ <= allowed(len(x)), eps


def test_an_attack_waits_for_all_whose_turn_it_comes_to_be() -> None:
    """The last one is run again only on what it broke before, and on every budget at once."""
    _, _, x, y = digits()
    events: list[Progress] = []
    attackers = resolve([{"attack": "pgd", "steps": 5}, {"attack": "apgd", "steps": 20}], "linf")
    run_suite(trained(), x, y, "linf", GRIDS["linf"], attackers, on_progress=events.append)
    last = [event for event in events if event.attack == attackers[-1].label]
    assert last[0].low < last[0].high
    assert len(last) <= 1 + sum(event.broken > 0 for event in last)
    done = [event.decided for event in events]
    assert done == sorted(done)
    assert done[0] == int((trained()(x).argmax(1) != y).sum())  # the others have budgets to come
    assert done[-1] == len(x)


def test_a_larger_budget_breaks_whatever_a_smaller_one_does() -> None:
    _, _, x, y = digits()
    for norm, grid in GRIDS.items():
        result = run_suite(trained(), x, y, norm, grid, resolve("fast", norm))
        for small, large in itertools.pairwise(grid):
            assert not (broken_at(result, small) & ~broken_at(result, large)).any()
