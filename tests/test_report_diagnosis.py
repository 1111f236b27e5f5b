"""What the report says of a diagnosis: attacks alone, and signs of hidden gradients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import synthetic
from altered import NETWORKS, check_of, made_results, with_cell
from attacks.diagnosis.alone import Alone
from pipeline.base.errors import UserError
from pipeline.report import (
    alone,
    checks,
    ladders,
    loading,
    measures,
)
from pipeline.report.results import Cell, Results


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return made_results(tmp_path_factory.mktemp("made"))


def test_without_a_diagnosis_what_rests_on_it_is_not_run(tmp_path: Path) -> None:
    place = synthetic.write(tmp_path, NETWORKS)
    off = SimpleNamespace(samples=None, seed=0, slots=64, diagnosis=0)
    for cell in place.attack("x", "y").parent.parent.rglob("diagnosis.npz"):
        cell.unlink()
    loaded = loading.load(place, synthetic.config(NETWORKS, evaluation=off))
    listed = checks.checks(loaded, measures.measures(loaded))
    missing = [check for check in listed if check.status == checks.NOT_RUN]
    assert {check.status for check in listed} == {checks.PASS, checks.NOT_RUN}
    assert len(missing) == 19
    assert sum("needs evaluation.diagnosis" in check.formula for check in missing) == 18
    assert "19 could not be run" in checks.counts(listed)


def test_a_diagnosis_that_is_asked_for_and_missing_is_told(tmp_path: Path) -> None:
    place = synthetic.write(tmp_path, NETWORKS)
    (place.attack("plain", "l2") / "diagnosis.npz").unlink()
    with pytest.raises(UserError, match="no result for attack plain x l2"):
        loading.load(place, synthetic.config(NETWORKS))


@pytest.mark.parametrize(
    ("sign", "count", "status", "words"),
    [
        ("zero", 1, "WARN", "Are gradients zero"),
        ("zero", 10, "WARN", "Are gradients zero"),
        ("zero", 11, "FAIL", "Are gradients zero"),
        ("constant", 1, "WARN", "ignore tiny changes"),
        ("saturated", 2, "PASS", "probabilities saturate"),
        ("saturated", 3, "WARN", "probabilities saturate"),
        ("squashed", 100, "PASS", "before any sigmoid"),
        ("squashed", 101, "WARN", "before any sigmoid"),
        ("random", 1, "WARN", "answer twice alike"),
        ("company", 1, "FAIL", "rest of the batch"),
        ("fragile", 2, "PASS", "close to the edge"),
        ("fragile", 3, "WARN", "close to the edge"),
        ("precision", 2, "PASS", "precision of the arithmetic"),
        ("precision", 3, "WARN", "precision of the arithmetic"),
        ("unbounded", 1, "FAIL", "unbounded attack"),
        ("large", 50, "PASS", "fall to chance"),
        ("large", 51, "FAIL", "fall to chance"),
        ("optimizes", 1, "WARN", "optimize while it answers"),
        ("unstable_permille", 100, "PASS", "loss jump"),
        ("unstable_permille", 101, "WARN", "loss jump"),
    ],
)
def test_signs_that_the_attack_stage_counted(
    made: Results, sign: str, count: int, status: str, words: str
) -> None:
    def change(cell: Cell) -> Cell:
        return replace(cell, signs=cell.signs | {"n": 200, "majority": 50, sign: count})

    assert check_of(with_cell(made, change), words).status == status


def test_an_image_that_nothing_can_break_is_no_failure_of_the_attack(made: Results) -> None:
    def change(cell: Cell) -> Cell:
        return replace(cell, signs=cell.signs | {"unbounded": 180, "constant_class": 1})

    assert check_of(with_cell(made, change), "unbounded attack").status == "WARN"


def _alone(made: Results, attack: str) -> Alone:
    """An attack's part in a diagnosis; of a network of which many images survive."""
    every = made.cells["adversarial", "linf"].diagnosis.alone
    (one,) = [one for one in every if one.label == attack]
    return one


def _with_alone(made: Results, attack: str, **changes: np.ndarray) -> Results:
    """The results with one attack of a diagnosis changed."""

    def change(cell: Cell) -> Cell:
        every = [
            replace(one, **changes) if one.label == attack else one for one in cell.diagnosis.alone
        ]
        return replace(cell, diagnosis=replace(cell.diagnosis, alone=every))

    return with_cell(made, change, "adversarial")


@pytest.mark.parametrize(
    ("attack", "words", "few", "worst"),
    [
        ("fgsm", "at least as strong as a single step", 2, "FAIL"),
        ("square", "attack without gradients no better", 1, "WARN"),
        ("pgd, 80 steps", "more steps change", 2, "WARN"),
        ("pgd, 2 restarts", "more restarts change", 2, "WARN"),
    ],
)
def test_what_another_attack_finds_alone_is_flagged_above_a_few_images(
    made: Results, attack: str, words: str, few: int, worst: str
) -> None:
    for count, status in ((0, "PASS"), (few, "PASS"), (few + 1, worst)):
        broken = _alone(made, attack).broken.copy()
        broken[0, np.flatnonzero(~_alone(made, "pgd").broken[0])[:count]] = True
        assert check_of(_with_alone(made, attack, broken=broken), words).status == status, count


def test_an_attack_that_breaks_less_at_a_larger_eps_is_flagged(made: Results) -> None:
    for count, status in ((2, "PASS"), (3, "WARN")):
        broken = _alone(made, "pgd").broken.copy()
        broken[1, np.flatnonzero(broken[0])[:count]] = False
        changed = _with_alone(made, "pgd", broken=broken)
        assert check_of(changed, "larger ε always").status == status


def test_a_loss_that_still_rises_is_flagged(made: Results) -> None:
    margin = _alone(made, "pgd, 80 steps").margin
    for left, status in ((0.96, "PASS"), (0.9, "WARN")):
        changed = _with_alone(made, "pgd, 80 steps", margin=left * margin)
        assert check_of(changed, "loss settled").status == status


def test_what_only_one_attack_broke_is_told(made: Results) -> None:
    found = {one.label: one for one in made.cells["plain", "linf"].diagnosis.found()}
    assert list(found) == ["fgsm", "pgd", "square"]
    assert found["pgd"].only > 0 == found["fgsm"].only == found["square"].only
    part = alone.part(made, "linf")
    assert part is not None
    told = sum(made.cells[n, "linf"].diagnosis.found()[1].only for n in made.networks)
    assert part["takeaway"].endswith(f"over all networks: {told} by pgd.")
    shown = {(row[0].text, row[1].text): row[4].text for row in part["found"].rows}
    assert shown["plain", "pgd"] == str(found["pgd"].only)
    steps = ladders.broken("linf", "", alone.diagnosed(made, "linf"))
    assert steps.takeaway.startswith("Twice the steps of pgd break no image more. Twice the rest")
    assert [row[1].text for row in steps.table.rows][:5] == [
        "10 steps", "20 steps", "40 steps", "80 steps", "2 restarts",
    ]  # fmt: skip
