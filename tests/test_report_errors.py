"""Verdicts that ended in an error: numbers become ranges, comparisons and claims stay open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from altered import EPS, check_of, claim_of, made_results, with_cell
from pipeline.report import (
    checks,
    claims,
    comparisons,
    measures,
    results,
    wording,
)
from pipeline.report.comparisons import APART, INCOMPLETE
from pipeline.report.results import Cell, Results


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return made_results(tmp_path_factory.mktemp("made"))


def _failing(made: Results, network: str, images: np.ndarray, *, noise: bool = False) -> Results:
    """The results with an error at every eps for the rightly classified of `images` (N,) bool."""
    key = (network, "linf")
    cell = made.cells[key]
    table = cell.noise if noise else cell.attack
    outcome = table.outcome.copy()
    outcome[:, :, images & table.right] = results.ERROR
    changed = replace(table, outcome=outcome)
    cell = replace(cell, noise=changed) if noise else replace(cell, attack=changed)
    return replace(made, cells=made.cells | {key: cell})


def _compared(made: Results) -> comparisons.Pair:
    found = measures.measures(made)
    right = {n: comparisons.survives(found[n, "linf"], EPS) for n in made.networks}
    (pair,) = comparisons.pairs(right)
    return pair


def test_an_error_fails(made: Results) -> None:
    def change(cell: Cell) -> Cell:
        outcome = cell.attack.outcome.copy()
        survivor = np.flatnonzero((outcome[:, 0] == results.SURVIVED).all(axis=0))[0]
        outcome[:, 0, survivor] = results.ERROR
        return replace(cell, attack=replace(cell.attack, outcome=outcome))

    check = check_of(with_cell(made, change), "Is every verdict a verdict")
    assert check.status == checks.FAIL
    assert check.told == "plain × linf: 1 image"


def test_an_error_does_not_pass_for_a_fall(made: Results) -> None:
    some = np.arange(200) < 60
    failing = _failing(_failing(made, "plain", some), "plain", some, noise=True)
    assert check_of(failing, "undefended network fall").status == checks.FAIL


def test_errors_are_no_survivors_and_leave_a_comparison_open(made: Results) -> None:
    assert _compared(made).verdict == APART
    all_failed = _failing(made, "plain", np.ones(200, bool))
    pair = _compared(all_failed)
    assert pair.verdict == INCOMPLETE
    assert pair.worst.difference < pair.best.difference
    table = comparisons.matrix(["plain", "adversarial"], [pair])
    assert table.rows[0][2].text == table.rows[1][1].text == "incomplete"
    assert "left open by verdicts that are missing: plain" in comparisons.verdict([pair])
    assert claim_of(all_failed, "helps against attacks").verdict == claims.OPEN


def test_few_errors_leave_a_clear_difference_standing(made: Results) -> None:
    pair = _compared(_failing(made, "plain", np.arange(200) < 3))
    assert pair.verdict == APART
    assert pair.worst.difference < pair.best.difference
    table = comparisons.matrix(["plain", "adversarial"], [pair])
    assert " to " in table.rows[0][2].text


def test_errors_of_noise_are_open_in_the_worst_case_too(made: Results) -> None:
    assert _compared(_failing(made, "adversarial", np.ones(200, bool), noise=True)).verdict == (
        INCOMPLETE
    )


def test_no_class_is_called_weakest_while_verdicts_are_missing(made: Results) -> None:
    failing = _failing(made, "plain", np.ones(200, bool))
    found = measures.measures(failing)
    headline = [found[network, "linf"] for network in made.networks]
    takeaway, table = comparisons.by_class(failing, headline, EPS)
    assert "unknown for plain (verdicts are missing)" in takeaway
    assert all(row[2].text.startswith("0 % to ") for row in table.rows)


def test_errors_make_eps50_and_the_noise_multiple_ranges(made: Results) -> None:
    def changed(noise: bool) -> measures.Measure:
        failing = _failing(made, "plain", np.arange(200) < 60, noise=noise)
        return measures.measures(failing)["plain", "linf"]

    sure = measures.measures(made)["plain", "linf"]
    by_noise, by_attack = changed(noise=True), changed(noise=False)
    assert sure.one_draw.multiple.complete
    assert by_noise.errors == int(made.cells["plain", "linf"].attack.right[:60].sum())
    assert by_noise.one_draw.multiple.value < sure.one_draw.multiple.value
    assert by_noise.one_draw.eps50.value < by_noise.one_draw.eps50.upper
    assert by_attack.suite_eps50.value < sure.suite_eps50.value < by_attack.suite_eps50.upper
    assert by_attack.one_draw.multiple.value < sure.one_draw.multiple.value
    assert " to " in wording.multiple(by_attack.one_draw.multiple)


def test_errors_neither_hold_nor_refute_a_claim_about_eps50(made: Results) -> None:
    failing = _failing(made, "plain", np.ones(200, bool))
    assert claim_of(failing, "gradients fool networks").verdict == claims.OPEN
    few = _failing(made, "plain", np.arange(200) < 3)
    assert claim_of(few, "gradients fool networks").verdict == claims.HELD
