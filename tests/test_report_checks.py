"""Checks of verdicts, networks and training: each must change when its data change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthetic
from altered import (
    NETWORKS,
    check_of,
    made_results,
    with_cell,
    with_recipe,
    with_rows,
    with_training,
)
from networks import digits
from pipeline.base import store
from pipeline.report import (
    checks,
    epochs,
    loading,
    measures,
    results,
)
from pipeline.report.memorization import from_chance
from pipeline.report.results import Cell, Results
from pipeline.training.overfitting import robustness


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return made_results(tmp_path_factory.mktemp("made"))


def test_healthy_results_raise_no_flag(made: Results) -> None:
    listed = checks.checks(made, measures.measures(made))
    (idle,) = [check for check in listed if check.status != checks.PASS]
    assert (idle.status, "faster copy" in idle.question) == (checks.NOT_RUN, True)
    told = checks.counts(listed)
    assert told.startswith(f"{len(listed) - 1} checks raised no flag, 0 warn, 0 fail; 1 could not")


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

    check = check_of(with_cell(made, change), "noise find what the attacks missed")
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

    changed = with_cell(made, change, "adversarial")
    assert check_of(changed, "witnesses of other networks find").status == status
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
            for finding in check_of(changed, "undefended network fall").findings
            if finding.where == "plain × linf"
        ]
        assert of_plain.value.endswith(f"at ε = {at}"), data


def test_a_network_that_stands_below_the_eps_at_which_it_must_fall_is_not_judged(
    made: Results,
) -> None:
    """On a short grid a network without defence may stand, and so it may whatever the rotation;
    where no ε is known it may only warn."""
    standing = with_recipe(made, "adversarial", adversarial=None)
    unknown = replace(standing, data=replace(standing.data, name="folder"))
    assert check_of(unknown, "undefended network fall").status == checks.WARN

    def short(cell: Cell) -> Cell:
        attack, keep = cell.attack, cell.attack.eps < 0.25
        return replace(
            cell, attack=replace(attack, eps=attack.eps[keep], outcome=attack.outcome[:, keep])
        )

    cells = {
        (network, suite): short(cell) if suite == "linf" else cell
        for (network, suite), cell in standing.cells.items()
    }
    findings = check_of(replace(standing, cells=cells), "undefended network fall").findings
    assert {finding.where.split()[-1] for finding in findings} == {"l2"}
    turned = {key: replace(cell, norm="rotation") for key, cell in standing.cells.items()}
    of_rotations = check_of(replace(standing, cells=turned), "undefended network fall")
    assert of_rotations.status == checks.NOT_RUN


def test_an_undefended_network_that_stands_fails(made: Results) -> None:
    defended_no_more = with_recipe(made, "adversarial", adversarial=None)
    check = check_of(defended_no_more, "undefended network fall")
    assert check.status == checks.FAIL
    assert check.told.startswith("adversarial × ")
    assert "digits: L∞ 0.3 and L2 1.5" in check.formula
    assert check_of(made, "undefended network fall").status == checks.PASS


@pytest.mark.parametrize(("leaked", "status"), [(0, "PASS"), (1, "WARN"), (3, "FAIL")])
def test_a_test_image_that_was_trained_on_is_told(
    made: Results, tmp_path: Path, leaked: int, status: str
) -> None:
    place = synthetic.write(tmp_path, {"plain": NETWORKS["plain"]}, n=40)
    stored = store.read_npz(place.data)
    x_train = stored["x_train"].copy()
    x_train[:leaked] = stored["x_test"][5 : 5 + leaked]
    store.write_npz(place.data, **(stored | {"x_train": x_train}))
    loaded = loading.load(place, synthetic.config({"plain": NETWORKS["plain"]}))
    assert check_of(loaded, "test images among the training").status == status


def test_an_epoch_that_the_recipe_did_not_ask_for_fails(made: Results) -> None:
    def status(epoch: int, select: str) -> str:
        chosen = with_training(made, "plain", selected_epoch=epoch)
        return check_of(with_recipe(chosen, "plain", select=select), "epoch chosen").status

    assert [status(10, "last"), status(9, "last")] == ["PASS", "FAIL"]
    assert [status(10, "best"), status(3, "best")] == ["PASS", "FAIL"]


def test_adversarial_training_that_collapsed_or_overfitted_is_told(made: Results) -> None:
    found = made.training["adversarial"]["robust_acc_validation"]

    def changed(kept: int, **changes: Any) -> Results:
        info = {"robust_acc_validation": found | changes, "selected_epoch": kept}
        return with_training(made, "adversarial", **info)

    collapse = {"epoch": 8, "best_epoch": 6, "best": 0.4, "robust_acc": 0.1, "one_step_acc": 0.6}
    for kept, status in ((7, "WARN"), (8, "FAIL"), (10, "FAIL")):
        check = check_of(changed(kept, collapse=collapse), "mislead its own attack")
        assert check.status == status


@pytest.mark.parametrize(("select", "kept"), [("best", 2), ("last", 3)])
def test_robust_overfitting_is_told_whichever_epoch_is_kept(
    made: Results, select: str, kept: int
) -> None:
    def overfitted(last: float) -> Results:
        history = [
            row | {"validation_robust_acc": accuracy}
            for row, accuracy in zip(
                made.training["adversarial"]["history"], (0.3, 0.55, last), strict=False
            )
        ]
        return with_training(
            with_recipe(made, "adversarial", select=select),
            "adversarial",
            history=history,
            selected_epoch=kept,
            robust_acc_validation=robustness(history, 200),
        )

    check = check_of(overfitted(0.4), "robustness fall again")
    ends = "best 55.0 % (epoch 2), last 40.0 % (epoch 3)"
    assert (check.status, check.told) == ("WARN", f"{ends}, kept epoch {kept}; 200 images")
    chart = epochs.robustness(overfitted(0.4))
    assert chart is not None and f"{ends} for adversarial" in chart.takeaway
    assert chart.tips["series:line0:line"][2] == "adversarial, epoch 3: 40.0 %"
    every = epochs.training(made)
    assert every is not None
    numbers = {key.label: key.number for key in every.keys}
    assert chart.keys[0].number == numbers["adversarial"] > 0, "one colour on all of the page"
    # 2 standard errors of 55 % of 200 images are 7.04 points.
    for last, status in ((0.475, "WARN"), (0.48, "PASS")):
        assert check_of(overfitted(last), "robustness fall again").status == status


def test_a_network_that_was_not_trained_to_resist_has_no_curve_under_attack(made: Results) -> None:
    alone = replace(made, training={"plain": made.training["plain"]})
    assert epochs.robustness(alone) is None


def test_a_copy_that_breaks_where_the_network_stands_warns(made: Results) -> None:
    for disputed, status in ((2, "PASS"), (3, "WARN")):
        run = {"precision": "bf16", "disputed": disputed}

        def change(cell: Cell, run: dict[str, Any] = run) -> Cell:
            return replace(cell, run=cell.run | run)

        assert check_of(with_cell(made, change), "faster copy").status == status


def test_an_image_outside_its_ball_fails(made: Results) -> None:
    def change(cell: Cell) -> Cell:
        return with_rows(cell, distance=cell.attack.rows["distance"] + np.float32(1e-4))

    assert check_of(made, "lie in its ball").status == checks.PASS
    assert check_of(with_cell(made, change), "lie in its ball").status == checks.FAIL


def test_a_network_that_learned_nothing_warns(made: Results) -> None:
    def change(cell: Cell) -> Cell:
        constant = np.zeros_like(cell.attack.clean_pred)
        return replace(
            cell,
            attack=replace(cell.attack, clean_pred=constant),
            noise=replace(cell.noise, clean_pred=constant),
        )

    assert check_of(with_cell(made, change), "learn its task").status == checks.WARN


def test_the_training_attack_alone_warns(made: Results) -> None:
    def change(cell: Cell) -> Cell:
        # FGSM, and PGD with the steps of training: a second name is no second attack.
        steps = np.minimum(cell.attack.rows["backwards"], 7)
        return with_rows(cell, backwards=steps)

    key = ("adversarial", "linf")
    changed = replace(made, cells=made.cells | {key: change(made.cells[key])})
    assert check_of(made, "stronger than the training attack").told == "pgd"
    assert check_of(changed, "stronger than the training attack").status == checks.WARN
    undefended = with_recipe(made, "adversarial", adversarial=None)
    assert check_of(undefended, "stronger than the training attack").status == checks.NOT_RUN


def test_a_loss_that_another_stood_in_for_warns(made: Results) -> None:
    told = {"apgd_dlr": "the DLR needs 3 classes and there are 2: the margin stands in"}

    def change(cell: Cell) -> Cell:
        return replace(cell, run=cell.run | {"stand_ins": told})

    assert check_of(made, "loss that it names").status == checks.PASS
    check = check_of(with_cell(made, change), "loss that it names")
    assert check.status == checks.WARN
    assert "apgd_dlr: the DLR needs 3 classes and there are 2" in check.told


def test_the_luck_of_labels_drawn_at_random_is_no_warning() -> None:
    """Images of digits, each taken for its nearest training image, whose label is drawn."""
    x, y, x_test, y_test = (np.asarray(part) for part in digits())
    x, y = x[:360], y[:360]
    far = ((x_test.reshape(-1, 1, 64) - x.reshape(1, -1, 64)) ** 2).sum(axis=2)
    nearest = far.argmin(axis=1)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 10, (4000, len(x)))
    accuracy = (drawn[:, nearest] == y_test).mean(axis=1)
    run = {"classes": 10, "n_test": 360, "n_train": 360}
    warned = [abs(from_chance(run | {"test_acc": acc})) > 3 for acc in accuracy]
    assert np.mean(warned) < 0.02
    as_independent_guesses = np.abs(accuracy - 0.1) > 3 * np.sqrt(0.09 / 360)
    assert np.mean(as_independent_guesses) > 0.04


def test_random_labels_that_teach_something_warn(made: Results) -> None:
    runs = [run | {"test_acc": 0.3} if run["fraction"] == 1 else run for run in made.memorize]
    check = check_of(replace(made, memorize=runs), "random label teach nothing")
    assert check.status == checks.WARN
