"""Checks, claims and comparisons of the report: each must change when its data change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import synthetic
from attacks.diagnosis.alone import Alone
from pipeline.base import store
from pipeline.base.errors import UserError
from pipeline.base.store import Place
from pipeline.report import (
    alone,
    checks,
    claims,
    comparisons,
    ladders,
    measures,
    recheck,
    results,
    wording,
)
from pipeline.report.comparisons import ALIKE, APART, INCOMPLETE, Right
from pipeline.report.results import Cell, Results

NETWORKS = {"plain": (0.05, 5.0, 0.98), "adversarial": (0.21, 4.0, 0.97)}
EPS = 0.1
PLAIN_HISTORY = [{"train_acc": min(1.0, 0.3 + 0.1 * epoch)} for epoch in range(1, 11)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Results:
    place = synthetic.write(tmp_path_factory.mktemp("made"), NETWORKS)
    return results.load(place, synthetic.config(NETWORKS))


def _with_cell(made: Results, change: Callable[[Cell], Cell], network: str = "plain") -> Results:
    """The results with one cell, a network by linf, changed."""
    key = (network, "linf")
    return replace(made, cells=made.cells | {key: change(made.cells[key])})


def _with_rows(cell: Cell, **columns: np.ndarray) -> Cell:
    return replace(cell, attack=replace(cell.attack, rows=cell.attack.rows | columns))


def _with_recipe(made: Results, network: str, **changes: Any) -> Results:
    info = made.training[network]
    changed = info | {"recipe": info["recipe"] | changes}
    return replace(made, training=made.training | {network: changed})


def _check(made: Results, words: str) -> checks.Check:
    (found,) = [c for c in checks.checks(made, measures.measures(made)) if words in c.question]
    return found


def _claim(made: Results, words: str) -> claims.Claim:
    found = measures.measures(made)
    headline = [found[network, "linf"] for network in made.networks]
    (claim,) = [c for c in claims.claims(made, headline, EPS) if words in c.claim]
    return claim


def test_healthy_results_raise_no_flag(made: Results) -> None:
    listed = checks.checks(made, measures.measures(made))
    (idle,) = [check for check in listed if check.status != checks.PASS]
    assert (idle.status, "faster copy" in idle.question) == (checks.NOT_RUN, True)
    told = checks.counts(listed)
    assert told.startswith(f"{len(listed) - 1} checks raised no flag, 0 warn, 0 fail; 1 could not")


def test_without_a_diagnosis_what_rests_on_it_is_not_run(tmp_path: Path) -> None:
    place = synthetic.write(tmp_path, NETWORKS)
    off = SimpleNamespace(samples=None, seed=0, slots=64, diagnosis=0)
    for cell in place.attack("x", "y").parent.parent.rglob("diagnosis.npz"):
        cell.unlink()
    loaded = results.load(place, synthetic.config(NETWORKS, evaluation=off))
    listed = checks.checks(loaded, measures.measures(loaded))
    missing = [check for check in listed if check.status == checks.NOT_RUN]
    assert {check.status for check in listed} == {checks.PASS, checks.NOT_RUN}
    assert len(missing) == 16
    assert sum("needs evaluation.diagnosis" in check.formula for check in missing) == 15
    assert "16 could not be run" in checks.counts(listed)


def test_a_diagnosis_that_is_asked_for_and_missing_is_told(tmp_path: Path) -> None:
    place = synthetic.write(tmp_path, NETWORKS)
    (place.attack("plain", "l2") / "diagnosis.npz").unlink()
    with pytest.raises(UserError, match="no result for attack plain x l2"):
        results.load(place, synthetic.config(NETWORKS))


@pytest.mark.parametrize(
    ("sign", "count", "status", "words"),
    [
        ("zero", 1, "WARN", "Are gradients zero"),
        ("zero", 10, "WARN", "Are gradients zero"),
        ("zero", 11, "FAIL", "Are gradients zero"),
        ("constant", 1, "WARN", "ignore tiny changes"),
        ("saturated", 2, "PASS", "probabilities saturate"),
        ("saturated", 3, "WARN", "probabilities saturate"),
        ("random", 1, "WARN", "answer twice alike"),
        ("company", 1, "FAIL", "rest of the batch"),
        ("fragile", 2, "PASS", "close to the edge"),
        ("fragile", 3, "WARN", "close to the edge"),
        ("precision", 2, "PASS", "precision of the arithmetic"),
        ("precision", 3, "WARN", "precision of the arithmetic"),
        ("unbounded", 1, "FAIL", "unbounded attack"),
        ("large", 50, "PASS", "fall to chance"),
        ("large", 51, "FAIL", "fall to chance"),
    ],
)
def test_signs_that_the_attack_stage_counted(
    made: Results, sign: str, count: int, status: str, words: str
) -> None:
    def change(cell: Cell) -> Cell:
        return replace(cell, signs=cell.signs | {"n": 200, "majority": 50, sign: count})

    assert _check(_with_cell(made, change), words).status == status


def test_an_image_that_nothing_can_break_is_no_failure_of_the_attack(made: Results) -> None:
    def change(cell: Cell) -> Cell:
        return replace(cell, signs=cell.signs | {"unbounded": 180, "constant_class": 1})

    assert _check(_with_cell(made, change), "unbounded attack").status == "WARN"


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

    return _with_cell(made, change, "adversarial")


@pytest.mark.parametrize(
    ("attack", "words", "worst"),
    [
        ("fgsm", "at least as strong as a single step", "FAIL"),
        ("square", "attack without gradients no better", "WARN"),
        ("pgd, 80 steps", "more steps change", "WARN"),
        ("pgd, 2 restarts", "more restarts change", "WARN"),
    ],
)
def test_what_another_attack_finds_alone_is_flagged_above_two_images(
    made: Results, attack: str, words: str, worst: str
) -> None:
    for count, status in ((0, "PASS"), (2, "PASS"), (3, worst)):
        broken = _alone(made, attack).broken.copy()
        broken[0, np.flatnonzero(~_alone(made, "pgd").broken[0])[:count]] = True
        assert _check(_with_alone(made, attack, broken=broken), words).status == status, count


def test_an_attack_that_breaks_less_at_a_larger_eps_is_flagged(made: Results) -> None:
    for count, status in ((2, "PASS"), (3, "WARN")):
        broken = _alone(made, "pgd").broken.copy()
        broken[1, np.flatnonzero(broken[0])[:count]] = False
        changed = _with_alone(made, "pgd", broken=broken)
        assert _check(changed, "larger ε always").status == status


def test_a_loss_that_still_rises_is_flagged(made: Results) -> None:
    margin = _alone(made, "pgd, 80 steps").margin
    for left, status in ((0.96, "PASS"), (0.9, "WARN")):
        changed = _with_alone(made, "pgd, 80 steps", margin=left * margin)
        assert _check(changed, "loss settled").status == status


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
    assert [row[1].text for row in steps.table.rows][:5] == [
        "10 steps", "20 steps", "40 steps", "80 steps", "2 restarts",
    ]  # fmt: skip


@pytest.mark.parametrize(("missed", "status"), [(0, "PASS"), (1, "WARN"), (2, "WARN"), (3, "FAIL")])
def test_noise_that_finds_what_attacks_missed(made: Results, missed: int, status: str) -> None:
    def change(cell: Cell) -> Cell:
        outcome = np.zeros_like(cell.attack.outcome)
        lucky = np.zeros_like(cell.noise.outcome)
        lucky[0, 0, np.flatnonzero(cell.attack.right)[:missed]] = results.BROKEN
        return replace(
            cell,
            attack=replace(cell.attack, outcome=outcome),
            noise=replace(cell.noise, outcome=lucky),
        )

    check = _check(_with_cell(made, change), "noise find what the attacks missed")
    assert check.status == status
    found = {finding.where: finding.value for finding in check.findings}
    assert found["plain × linf"] == f"{missed} of 200 images"


@pytest.mark.parametrize(("missed", "status"), [(0, "PASS"), (1, "WARN"), (2, "WARN"), (3, "FAIL")])
def test_witnesses_of_others_that_find_what_attacks_missed(
    made: Results, missed: int, status: str
) -> None:
    """They count in the worst case, at their own eps and at no smaller one."""
    before = measures.measures(made)["adversarial", "linf"]
    standing = np.flatnonzero(before.worst_smallest > 0.15)[:missed]

    def change(cell: Cell) -> Cell:
        eps, outcome = cell.transfer.eps.copy(), cell.transfer.outcome.copy()
        eps[0, standing], outcome[0, standing] = 0.1, results.BROKEN
        return replace(cell, transfer=replace(cell.transfer, eps=eps, outcome=outcome))

    changed = _with_cell(made, change, "adversarial")
    assert _check(changed, "witnesses of other networks find").status == status
    after = measures.measures(changed)["adversarial", "linf"]
    for eps, gone in ((0.05, 0), (0.1, missed), (0.15, missed)):
        survived = [m.worst_curve.at_least(eps)[1].count for m in (before, after)]
        assert survived[0] - survived[1] == gone
    assert after.suite_curve == before.suite_curve


def test_an_undefended_network_is_judged_at_the_eps_of_its_data_set(made: Results) -> None:
    """MNIST's own ε in L2 is beyond what 8-bit photographs need; elsewhere the largest is taken."""
    for data, at in (("mnist", "0.3"), ("cifar10", "0.05"), ("folder", "0.3")):
        changed = replace(made, data=replace(made.data, name=data))
        (of_plain,) = [
            finding
            for finding in _check(changed, "undefended network fall").findings
            if finding.where == "plain × linf"
        ]
        assert of_plain.value.endswith(f"at ε = {at}"), data


def test_a_network_that_stands_below_the_eps_at_which_it_must_fall_is_not_judged(
    made: Results,
) -> None:
    """On a short grid a network without defence may stand, and so it may whatever the rotation;
    where no ε is known it may only warn."""
    standing = _with_recipe(made, "adversarial", adversarial=None)
    unknown = replace(standing, data=replace(standing.data, name="folder"))
    assert _check(unknown, "undefended network fall").status == checks.WARN

    def short(cell: Cell) -> Cell:
        attack, keep = cell.attack, cell.attack.eps < 0.25
        return replace(
            cell, attack=replace(attack, eps=attack.eps[keep], outcome=attack.outcome[:, keep])
        )

    cells = {
        (network, suite): short(cell) if suite == "linf" else cell
        for (network, suite), cell in standing.cells.items()
    }
    findings = _check(replace(standing, cells=cells), "undefended network fall").findings
    assert {finding.where.split()[-1] for finding in findings} == {"l2"}
    turned = {key: replace(cell, norm="rotation") for key, cell in standing.cells.items()}
    of_rotations = _check(replace(standing, cells=turned), "undefended network fall")
    assert of_rotations.status == checks.NOT_RUN


@pytest.mark.parametrize(("leaked", "status"), [(0, "PASS"), (1, "WARN"), (3, "FAIL")])
def test_a_test_image_that_was_trained_on_is_told(
    made: Results, tmp_path: Path, leaked: int, status: str
) -> None:
    place = synthetic.write(tmp_path, {"plain": NETWORKS["plain"]}, n=40)
    stored = store.read_npz(place.data)
    x_train = stored["x_train"].copy()
    x_train[:leaked] = stored["x_test"][5 : 5 + leaked]
    store.write_npz(place.data, **(stored | {"x_train": x_train}))
    loaded = results.load(place, synthetic.config({"plain": NETWORKS["plain"]}))
    assert _check(loaded, "test images among the training").status == status


def _with_training(made: Results, network: str, **changes: Any) -> Results:
    info = made.training[network] | changes
    return replace(made, training=made.training | {network: info})


def test_an_epoch_that_the_recipe_did_not_ask_for_fails(made: Results) -> None:
    def status(epoch: int, select: str) -> str:
        chosen = _with_training(made, "plain", selected_epoch=epoch)
        return _check(_with_recipe(chosen, "plain", select=select), "epoch chosen").status

    assert [status(10, "last"), status(9, "last")] == ["PASS", "FAIL"]
    assert [status(10, "best"), status(3, "best")] == ["PASS", "FAIL"]


def test_adversarial_training_that_collapsed_or_overfitted_is_told(made: Results) -> None:
    found = made.training["adversarial"]["robust_acc_validation"]

    def changed(kept: int, **changes: Any) -> Results:
        info = {"robust_acc_validation": found | changes, "selected_epoch": kept}
        return _with_training(made, "adversarial", **info)

    collapse = {"epoch": 8, "best_epoch": 6, "best": 0.4, "robust_acc": 0.1, "one_step_acc": 0.6}
    for kept, status in ((7, "WARN"), (8, "FAIL"), (10, "FAIL")):
        check = _check(changed(kept, collapse=collapse), "mislead its own attack")
        assert check.status == status
    # 2 standard errors of 50 % of 200 images are 7.1 points; each epoch gains 5
    for kept, status in ((10, "PASS"), (9, "PASS"), (8, "WARN")):
        assert _check(changed(kept), "better epoch").status == status


def test_a_copy_that_breaks_where_the_network_stands_warns(made: Results) -> None:
    for disputed, status in ((2, "PASS"), (3, "WARN")):
        run = {"precision": "bf16", "disputed": disputed}

        def change(cell: Cell, run: dict[str, Any] = run) -> Cell:
            return replace(cell, run=cell.run | run)

        assert _check(_with_cell(made, change), "faster copy").status == status


def _two(made: Results, first: dict[str, Any], second: dict[str, Any]) -> Results:
    """Both networks with the plain one's recipe and settings of their own."""
    recipe = made.training["plain"]["recipe"]
    for network, settings in (("plain", first), ("adversarial", second)):
        recipe = recipe | {"architecture": "cnn", "settings": settings}
        made = _with_recipe(made, network, **recipe)
    return made


def test_batch_normalization_is_tested_on_networks_that_differ_in_it_alone(made: Results) -> None:
    with_it, without = {}, {"batch_norm": False}  # cnn has it unless told otherwise
    slow = [epoch | {"train_acc": epoch["train_acc"] - 0.1} for epoch in PLAIN_HISTORY]
    pair = _two(made, with_it, without)
    later = _with_training(pair, "adversarial", history=slow)
    claim = _claim(later, "Batch normalization")
    assert claim.verdict == claims.HELD
    assert claim.measured == "plain: epoch 6, adversarial: epoch 7"
    sooner = _with_training(pair, "plain", history=slow)
    assert _claim(sooner, "Batch normalization").verdict == claims.NOT_HELD
    other = _two(made, with_it, without | {"pooling": "average"})
    assert _claim(other, "Batch normalization").verdict == claims.NOT_TESTED


def test_shortcuts_are_tested_on_networks_that_differ_in_them_alone(made: Results) -> None:
    pair = made
    for network, settings in (("plain", {}), ("adversarial", {"shortcut": "none"})):
        recipe = made.training["plain"]["recipe"] | {"architecture": "resnet20"}
        pair = _with_recipe(pair, network, **(recipe | {"settings": settings}))
    claim = _claim(pair, "shortcuts hurts")
    assert claim.verdict == claims.NOT_HELD and "not distinguishable" in claim.measured

    def misread(cell: Cell) -> Cell:
        wrong = (cell.attack.label + 1) % 10
        return replace(cell, attack=replace(cell.attack, clean_pred=np.where(
            np.arange(200) < 60, wrong, cell.attack.clean_pred)))  # fmt: skip

    assert _claim(_with_cell(pair, misread, "adversarial"), "shortcuts hurts").verdict == (
        claims.HELD
    )


def test_an_image_outside_its_ball_fails(made: Results) -> None:
    def change(cell: Cell) -> Cell:
        return _with_rows(cell, distance=cell.attack.rows["distance"] + np.float32(1e-4))

    assert _check(made, "lie in its ball").status == checks.PASS
    assert _check(_with_cell(made, change), "lie in its ball").status == checks.FAIL


def test_an_error_fails(made: Results) -> None:
    def change(cell: Cell) -> Cell:
        outcome = cell.attack.outcome.copy()
        survivor = np.flatnonzero((outcome[:, 0] == results.SURVIVED).all(axis=0))[0]
        outcome[:, 0, survivor] = results.ERROR
        return replace(cell, attack=replace(cell.attack, outcome=outcome))

    check = _check(_with_cell(made, change), "Is every verdict a verdict")
    assert check.status == checks.FAIL
    assert check.told == "plain × linf: 1 image"


def test_a_network_that_learned_nothing_warns(made: Results) -> None:
    def change(cell: Cell) -> Cell:
        constant = np.zeros_like(cell.attack.clean_pred)
        return replace(
            cell,
            attack=replace(cell.attack, clean_pred=constant),
            noise=replace(cell.noise, clean_pred=constant),
        )

    assert _check(_with_cell(made, change), "learn its task").status == checks.WARN


def test_an_undefended_network_that_stands_fails(made: Results) -> None:
    defended_no_more = _with_recipe(made, "adversarial", adversarial=None)
    check = _check(defended_no_more, "undefended network fall")
    assert check.status == checks.FAIL
    assert check.told.startswith("adversarial × ")
    assert "digits: L∞ 0.3 and L2 1.5" in check.formula
    assert _check(made, "undefended network fall").status == checks.PASS


def test_the_training_attack_alone_warns(made: Results) -> None:
    def change(cell: Cell) -> Cell:
        # FGSM, and PGD with the steps of training: a second name is no second attack.
        steps = np.minimum(cell.attack.rows["backwards"], 7)
        return _with_rows(cell, backwards=steps)

    key = ("adversarial", "linf")
    changed = replace(made, cells=made.cells | {key: change(made.cells[key])})
    assert _check(made, "stronger than the training attack").told == "pgd"
    assert _check(changed, "stronger than the training attack").status == checks.WARN
    undefended = _with_recipe(made, "adversarial", adversarial=None)
    assert _check(undefended, "stronger than the training attack").status == checks.NOT_RUN


def test_random_labels_that_teach_something_warn(made: Results) -> None:
    runs = [run | {"test_acc": 0.3} if run["fraction"] == 1 else run for run in made.memorize]
    check = _check(replace(made, memorize=runs), "random label teach nothing")
    assert check.status == checks.WARN


def test_claims_of_the_made_results(made: Results) -> None:
    assert _claim(made, "gradients fool networks").verdict == claims.HELD
    assert _claim(made, "Random perturbations drawn at the same").verdict == claims.HELD
    assert _claim(made, "helps against attacks").verdict == claims.HELD
    assert _claim(made, "Networks fit random labels").verdict == claims.HELD
    assert _claim(made, "Weight decay and dropout").verdict == claims.NOT_TESTED
    assert _claim(made, "Augmentation helps more").verdict == claims.NOT_TESTED
    assert _claim(made, "Batch normalization").verdict == claims.NOT_TESTED


def test_noise_as_strong_as_the_attack_refutes_the_claim(tmp_path: Path) -> None:
    networks = {"plain": (0.05, 1.0, 0.98)}
    place = synthetic.write(tmp_path, networks)
    loaded = results.load(place, synthetic.config(networks))
    assert _claim(loaded, "Random perturbations drawn at the same").verdict == claims.NOT_HELD
    assert _claim(loaded, "helps against attacks").verdict == claims.NOT_TESTED


def test_a_difference_that_may_be_chance_does_not_hold_a_claim(made: Results) -> None:
    claim = _claim(made, "costs clean accuracy")
    assert claim.verdict == claims.NOT_HELD
    assert "not distinguishable" in claim.measured


def test_random_labels_that_were_not_fitted_refute_the_claim(made: Results) -> None:
    decayed = {"recipe": synthetic.PLAIN | {"weight_decay": 0.01}}
    runs = [run | {"train_acc": 0.7} | decayed for run in made.memorize]
    changed = replace(made, memorize=runs)
    assert _claim(changed, "Networks fit random labels").verdict == claims.NOT_HELD
    assert _claim(changed, "Weight decay and dropout").verdict == claims.NOT_HELD


def test_the_matrix_marks_what_cannot_be_told_apart() -> None:
    base = np.arange(200) < 100
    close = base.copy()
    close[99:101] = [False, True]  # one image lost, another one won
    few = np.arange(200) < 20
    compared = comparisons.pairs(
        {"a": Right(base, base), "b": Right(close, close), "c": Right(few, few)}
    )
    assert [pair.verdict for pair in compared] == [ALIKE, APART, APART]
    table = comparisons.matrix(["a", "b", "c"], compared)
    shown = {
        (row[0].text, name): cell.text
        for row in table.rows
        for name, cell in zip(table.head[1:], row[1:], strict=True)
    }
    assert shown["a", "a"] == "–"
    assert shown["a", "b"] == shown["b", "a"] == "not distinguishable"
    assert (shown["a", "c"], shown["c", "a"]) == ("+40.0", "−40.0")
    told = comparisons.verdict(compared)
    assert told == "2 of 3 pairs can be told apart; not distinguishable: a and b."


def test_the_smallest_difference_shrinks_with_more_images() -> None:
    def points(n: int, family: int = 1) -> float:
        first, second = np.arange(n) % 10 != 0, np.arange(n) % 10 != 1
        (pair,) = comparisons.pairs({"a": Right(first, first), "b": Right(second, second)})
        told = comparisons.smallest_difference([pair] * family)
        return float(told.split("by about ")[1].split()[0])

    # 20 % disagree: 2.80 * sqrt(0.2 / n)
    assert points(400) == pytest.approx(6.3, abs=0.05)
    assert points(10000) == pytest.approx(1.3, abs=0.05)
    # among ten pairs the strictest step of Holm tests at 0.5 %: 3.65 * sqrt(0.2 / n)
    assert points(400, family=10) == pytest.approx(8.2, abs=0.05)


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


def test_errors_are_no_survivors_and_leave_a_comparison_open(made: Results) -> None:
    assert _compared(made).verdict == APART
    all_failed = _failing(made, "plain", np.ones(200, bool))
    pair = _compared(all_failed)
    assert pair.verdict == INCOMPLETE
    assert pair.worst.difference < pair.best.difference
    table = comparisons.matrix(["plain", "adversarial"], [pair])
    assert table.rows[0][2].text == table.rows[1][1].text == "incomplete"
    assert "left open by verdicts that are missing: plain" in comparisons.verdict([pair])
    assert _claim(all_failed, "helps against attacks").verdict == claims.OPEN


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
    assert _claim(failing, "gradients fool networks").verdict == claims.OPEN
    few = _failing(made, "plain", np.arange(200) < 3)
    assert _claim(few, "gradients fool networks").verdict == claims.HELD


def test_an_error_does_not_pass_for_a_fall(made: Results) -> None:
    some = np.arange(200) < 60
    failing = _failing(_failing(made, "plain", some), "plain", some, noise=True)
    assert _check(failing, "undefended network fall").status == checks.FAIL


def test_small_means_below_a_stated_eps(made: Results, tmp_path: Path) -> None:
    held = _claim(made, "gradients fool networks")
    assert (held.verdict, "below 0.1 of a pixel's range, 25.5/255" in held.test) == ("HELD", True)
    networks = {"plain": (0.2, 5.0, 0.98)}  # eps50 is on the grid, and not small
    place = synthetic.write(tmp_path, networks)
    loaded = results.load(place, synthetic.config(networks))
    assert _claim(loaded, "gradients fool networks").verdict == claims.NOT_HELD
    (l2,) = [
        c
        for c in claims.claims(loaded, [measures.measures(loaded)["plain", "l2"]], 1.0)
        if "gradients fool networks" in c.claim
    ]
    assert "below 0.5 times that of one draw of noise" in l2.test
    assert l2.verdict == claims.HELD


def test_classes_add_up_to_the_whole(made: Results) -> None:
    found = measures.measures(made)
    headline = [found[network, "linf"] for network in made.networks]
    takeaway, table = comparisons.by_class(made, headline, EPS)
    n = [int(row[1].text) for row in table.rows]
    survived = sum(count * (row[2].share or 0) for count, row in zip(n, table.rows, strict=True))
    assert sum(n) == 200
    assert survived == pytest.approx(headline[0].worst_curve.at_least(EPS)[1].count)
    least = min(table.rows, key=lambda row: row[2].share or 0)
    assert f"{least[0].text} for plain" in takeaway


@pytest.mark.parametrize("folder", [".", "experiments/mnist"])
def test_the_printed_recheck_runs_and_catches_a_wrong_witness(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import io

    import torch

    import models

    place = synthetic.write(tmp_path / folder, {"plain": NETWORKS["plain"]}, n=8)
    torch.manual_seed(0)
    model = models.build("small_cnn", shape=(1, 8, 8), classes=10).eval()
    buffer = io.BytesIO()
    saved = {
        "architecture": "small_cnn", "settings": {}, "shape": [1, 8, 8], "classes": 10,
        "state": model.state_dict(),
    }  # fmt: skip
    torch.save(saved, buffer)
    store.write_bytes(place.network("plain") / "network.pt", buffer.getvalue())
    x = store.read_npz(place.data)["x_test"][2:6] / np.float32(16)
    x_adv = np.clip(x + np.float32(0.05), 0, 1)
    pred = model(torch.tensor(x_adv)).argmax(dim=1).numpy()
    path = place.attack("plain", "linf") / "witnesses.npz"
    stored = {"index": np.arange(2, 6) * 3, "x_adv": x_adv, "eps": np.full(4, 0.05)}
    # An experiment's own folder, from the repository's root, however params.yaml was named.
    monkeypatch.chdir(tmp_path)
    code = recheck.recheck(place, "plain", "linf", "linf")
    assert code == recheck.recheck(Place(Path(folder)), "plain", "linf", "linf")
    assert f'artifacts = "{Path(folder, "artifacts").as_posix()}"' in code
    assert str(tmp_path) not in code

    store.write_npz(path, **stored, label=(pred + 1) % 10)
    exec(code, {})
    assert capsys.readouterr().out == "4 witnesses hold\n"
    store.write_npz(path, **stored, label=pred)
    with pytest.raises(AssertionError):
        exec(code, {})
    store.write_npz(path, **(stored | {"eps": np.full(4, 0.04)}), label=(pred + 1) % 10)
    with pytest.raises(AssertionError):
        exec(code, {})
