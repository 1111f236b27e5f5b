"""Claims of the lectures: held, not held or not tested, as the data have it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthetic
from altered import claim_of, made_results, with_cell, with_recipe, with_training
from pipeline.report import (
    claims,
    loading,
    measures,
)
from pipeline.report.results import Cell, Results


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return made_results(tmp_path_factory.mktemp("made"))


def _two(made: Results, first: dict[str, Any], second: dict[str, Any]) -> Results:
    """Both networks with the plain one's recipe, each with changes of its own."""
    recipe = made.training["plain"]["recipe"]
    for network, changes in (("plain", first), ("adversarial", second)):
        made = with_recipe(made, network, **(recipe | changes))
    return made


def test_claims_of_the_made_results(made: Results) -> None:
    assert claim_of(made, "gradients fool networks").verdict == claims.HELD
    assert claim_of(made, "Random perturbations drawn at the same").verdict == claims.HELD
    assert claim_of(made, "helps against attacks").verdict == claims.HELD
    assert claim_of(made, "Networks fit random labels").verdict == claims.HELD
    assert claim_of(made, "Weight decay and dropout").verdict == claims.NOT_TESTED
    assert claim_of(made, "Augmentation helps more").verdict == claims.NOT_TESTED
    assert claim_of(made, "Batch normalization").verdict == claims.NOT_TESTED


def test_noise_as_strong_as_the_attack_refutes_the_claim(tmp_path: Path) -> None:
    networks = {"plain": (0.05, 1.0, 0.98)}
    place = synthetic.write(tmp_path, networks)
    loaded = loading.load(place, synthetic.config(networks))
    assert claim_of(loaded, "Random perturbations drawn at the same").verdict == claims.NOT_HELD
    assert claim_of(loaded, "helps against attacks").verdict == claims.NOT_TESTED


def test_a_difference_that_may_be_chance_does_not_hold_a_claim(made: Results) -> None:
    claim = claim_of(made, "costs clean accuracy")
    assert claim.verdict == claims.NOT_HELD
    assert "not distinguishable" in claim.measured


def test_random_labels_that_were_not_fitted_refute_the_claim(made: Results) -> None:
    decayed = {"recipe": synthetic.PLAIN | {"weight_decay": 0.01}}
    runs = [run | {"train_acc": 0.7} | decayed for run in made.memorize]
    changed = replace(made, memorize=runs)
    assert claim_of(changed, "Networks fit random labels").verdict == claims.NOT_HELD
    assert claim_of(changed, "Weight decay and dropout").verdict == claims.NOT_HELD


def test_small_means_below_a_stated_eps(made: Results, tmp_path: Path) -> None:
    held = claim_of(made, "gradients fool networks")
    assert (held.verdict, "below 0.1 of a pixel's range, 25.5/255" in held.test) == ("HELD", True)
    networks = {"plain": (0.2, 5.0, 0.98)}  # eps50 is on the grid, and not small
    place = synthetic.write(tmp_path, networks)
    loaded = loading.load(place, synthetic.config(networks))
    assert claim_of(loaded, "gradients fool networks").verdict == claims.NOT_HELD
    (l2,) = [
        c
        for c in claims.claims(loaded, [measures.measures(loaded)["plain", "l2"]], 1.0)
        if "gradients fool networks" in c.claim
    ]
    assert "below 0.5 times that of one draw of noise" in l2.test
    assert l2.verdict == claims.HELD


def test_a_pair_that_differs_in_more_than_the_claim_tests_nothing(made: Results) -> None:
    for words in ("helps against attacks", "costs clean accuracy"):
        claim = claim_of(with_recipe(made, "adversarial", epochs=20, lr=0.2), words)
        assert claim.verdict == claims.NOT_TESTED
        assert claim.measured == "no fair pair: adversarial and plain differ in epochs and lr too"
        seeds = with_recipe(made, "adversarial", seeds=[1])  # which run it is makes no other recipe
        assert claim_of(seeds, words).verdict != claims.NOT_TESTED
        default = with_recipe(made, "adversarial", settings={"activation": "relu"})
        assert claim_of(default, words).verdict != claims.NOT_TESTED  # it is the default


def test_augmentation_is_held_against_regularization_where_all_else_is_the_same(
    made: Results,
) -> None:
    light, decayed = {"augmentation": "light"}, {"weight_decay": 0.005, "dropout": 0.3}
    fair = claim_of(_two(made, decayed, light), "Augmentation helps more")
    assert fair.measured.startswith("adversarial − plain: ")
    assert fair.verdict == claims.NOT_HELD  # by no more than chance
    longer = _two(made, decayed, light | {"epochs": 25})
    unfair = claim_of(longer, "Augmentation helps more")
    assert unfair.verdict == claims.NOT_TESTED
    assert unfair.measured == "no fair pair: adversarial and plain differ in epochs too"
    both = claim_of(_two(made, decayed, light | decayed), "Augmentation helps more")
    assert (both.verdict, both.measured) == (
        claims.NOT_TESTED, "nothing that could tell was run"
    )  # fmt: skip


def test_batch_normalization_is_tested_on_networks_that_differ_in_it_alone(made: Results) -> None:
    with_it = {"architecture": "cnn", "settings": {}}  # it has it unless told otherwise
    without = {"architecture": "cnn", "settings": {"batch_norm": False}}
    history = made.training["plain"]["history"]
    slow = [epoch | {"train_acc": epoch["train_acc"] - 0.1} for epoch in history]
    pair = _two(made, with_it, without)
    later = with_training(pair, "adversarial", history=slow)
    claim = claim_of(later, "Batch normalization")
    assert claim.verdict == claims.HELD
    assert claim.measured == "plain: epoch 6, adversarial: epoch 7"
    sooner = with_training(pair, "plain", history=slow)
    assert claim_of(sooner, "Batch normalization").verdict == claims.NOT_HELD
    other = _two(
        made, with_it, {**without, "settings": {"batch_norm": False, "pooling": "average"}}
    )
    assert claim_of(other, "Batch normalization").verdict == claims.NOT_TESTED


def test_shortcuts_are_tested_on_networks_that_differ_in_them_alone(made: Results) -> None:
    with_them = {"architecture": "resnet20", "settings": {}}
    pair = _two(made, with_them, {"architecture": "resnet20", "settings": {"shortcut": "none"}})
    claim = claim_of(pair, "shortcuts hurts")
    assert claim.verdict == claims.NOT_HELD and "not distinguishable" in claim.measured

    def misread(cell: Cell) -> Cell:
        wrong = (cell.attack.label + 1) % 10
        return replace(cell, attack=replace(cell.attack, clean_pred=np.where(
            np.arange(200) < 60, wrong, cell.attack.clean_pred)))  # fmt: skip

    assert claim_of(with_cell(pair, misread, "adversarial"), "shortcuts hurts").verdict == (
        claims.HELD
    )
