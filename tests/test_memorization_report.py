"""What the report makes of memorized labels, of ablation grids and of training-set sizes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import synthetic
from pipeline.base.config import load as load_config
from pipeline.report import (
    factors,
    loading,
    memorization,
    memorization_charts,
    memorization_checks,
    published,
    sentences,
)
from pipeline.report.check import Check
from pipeline.report.measures import measures
from pipeline.report.results import Results
from pipeline.report.section import Findings
from pipeline.report.sections import ablation, training_size

NONE: dict[str, Any] = {"augmentation": "none", "weight_decay": 0.0, "dropout": 0.0}


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    place = synthetic.write(tmp_path_factory.mktemp("memorized"))
    config = synthetic.config()
    loaded = loading.load(place, config)
    return Findings(place, config, loaded, measures(loaded))


def with_recipes(findings: Findings, **recipes: dict[str, Any]) -> Findings:
    """The same results of networks that were trained with these recipes."""
    training = {
        name: info | {"recipe": synthetic.PLAIN | recipes[name]}
        for name, info in findings.results.training.items()
    }
    return replace(findings, results=replace(findings.results, training=training))


def random(network: str, fraction: float, **changes: Any) -> dict[str, Any]:
    name = "random labels" if fraction else "true labels"
    run = synthetic.memorized(name, "labels", fraction)
    return {"network": network, "recipe": synthetic.PLAIN, **run, **changes}


def test_a_full_grid_is_found_and_drawn(findings: Findings) -> None:
    both = {"augmentation": "light", "weight_decay": 0.01}
    made = with_recipes(
        findings,
        plain={},
        augmented={"augmentation": "light"},
        regularized={"weight_decay": 0.01},
        adversarial=both,
    )
    section = ablation.section(made)
    assert section is not None
    clean, robust, gap = section.charts
    assert robust.takeaway.startswith("Robust accuracy at ε = 0.1, in points: against augmentation")
    assert clean.table.head == ["augmentation", "none", "weight decay 0.01"]
    assert [row[0].text for row in clean.table.rows] == ["none", "light"]
    measured = {m.network: m for m in made.head}
    assert clean.table.rows[1][2].text == f"{100 * measured['adversarial'].clean.value:.1f} %"
    survived = measured["regularized"].worst_curve.at_least(made.eps)[1]
    assert robust.table.rows[0][2].text == f"{100 * survived.value:.1f} %"
    assert gap.table.rows[0][1].text == f"{100 * (1 - measured['plain'].clean.value):+.1f}"
    assert gap.inline.count("var(--s0)") >= 4  # coloured by the page, in the light and the dark


def test_a_grid_with_a_hole_is_none(findings: Findings) -> None:
    recipes = {"a": NONE, "b": NONE | {"dropout": 0.3}, "c": NONE | {"augmentation": "light"}}
    assert factors.grid(recipes) is None
    recipes["d"] = NONE | {"augmentation": "light", "dropout": 0.3, "lr": 1.0}
    assert factors.grid(recipes) is None, "differs in something else too"
    recipes["d"].pop("lr")
    found = factors.grid(recipes)
    assert found is not None and found.networks["light", "dropout 0.3"] == "d"
    # A range that is switched off makes another scheme of it.
    still = {name: NONE | {"augmentation": {"scheme": "light", "shift": 0.0}} for name in "e"}
    still["f"] = still["e"] | {"dropout": 0.3}
    wider = factors.grid(recipes | still)
    assert wider is not None and wider.rows == ["none", "light", "light, shift 0"]
    assert ablation.section(findings) is None


def test_training_sets_of_three_sizes_are_drawn(findings: Findings) -> None:
    sizes = {"plain": 50, "augmented": 100, "regularized": None, "adversarial": 100}
    recipes = {name: {"samples": size} for name, size in sizes.items()}
    recipes["adversarial"]["lr"] = 1.0
    made = with_recipes(findings, **recipes)
    for name, size in sizes.items():
        made.results.training[name]["n_train"] = size or 200
    section = training_size.section(made)
    assert section is not None
    clean, robust = section.charts
    assert [row[0].text for row in clean.table.rows] == ["50", "100", "200"]
    assert "ε = 0.1" in robust.title
    assert training_size.section(findings) is None


def test_shares_of_random_labels_are_told_in_times_of_true_ones(findings: Findings) -> None:
    charts = {chart.name: chart for chart in memorization_charts.charts(findings.results, 0.1)}
    assert {"memorize-plain", "loss-plain", "memorize-error", "memorize-time"} == set(charts)
    assert "from 1.9 % at 0 % random labels to 90.0 % at 100 %" in charts["memorize-error"].takeaway
    assert "2.90 times as many epochs" in charts["memorize-time"].takeaway


def widths(findings: Findings, errors: list[float]) -> Results:
    runs = [
        random(
            f"w{number}",
            1.0,
            test_acc=1 - error,
            parameters=10**number,
            recipe=synthetic.PLAIN | {"settings": {"width": number}},
        )
        for number, error in enumerate(errors, 1)
    ]
    return replace(findings.results, memorize=runs)


def test_axes_of_widths_end_where_the_errors_do_and_labels_have_room(findings: Findings) -> None:
    made = widths(findings, [0.24, 0.05, 0.2, 0.1])
    (chart,) = (c for c in memorization_charts.charts(made, 0.1) if c.name == "width-test")
    labels = re.findall(r"<text[^>]*>([^<]+)</text>", chart.file.decode())
    assert "20 %" in labels and "100 %" not in labels
    assert {"10", "100", "1\u2009000", "10\u2009000"} <= set(labels)
    assert not {"20", "50", "200", "500"} & set(labels)
    noisy = [run | {"fraction": 0.2} for run in made.memorize]
    told = memorization.takeaway(replace(made, memorize=noisy))
    assert re.fullmatch(r"Fitted to the last image: .+ by \d of 4 networks\.", told)


def test_a_double_descent_is_told_where_it_is_more_than_sampling(findings: Findings) -> None:
    for errors, told in (
        ([0.5, 0.2, 0.5, 0.1], "rises to 50.0 % at 1\u2009000 parameters and falls again"),
        ([0.5, 0.20, 0.21, 0.1], "no rise and second fall"),
        ([0.5, 0.2, 0.5, 0.5], "no rise and second fall"),
    ):
        charts = memorization_charts.charts(widths(findings, errors), 0.1)
        (chart,) = (chart for chart in charts if chart.name == "width-test")
        assert told in chart.takeaway, errors


def test_widths_that_fit_are_told_as_from_one_on_only_if_no_larger_one_does_not(
    findings: Findings,
) -> None:
    for epochs, told in (
        ([None, None, 9, 7], "fitted to the last image from 1\u2009000 parameters on."),
        ([None, 9, None, 7], "by 2 of 4 widths, the least of 100 parameters."),
        ([None] * 4, "fitted at no width."),
    ):
        results = widths(findings, [0.5, 0.2, 0.5, 0.1])
        runs = [
            run | {"fitted_epoch": epoch}
            for run, epoch in zip(results.memorize, epochs, strict=True)
        ]
        charts = memorization_charts.charts(replace(results, memorize=runs), 0.1)
        (chart,) = (chart for chart in charts if chart.name == "width-train")
        assert told in chart.takeaway, epochs


def test_what_was_fitted_is_arranged_by_network_and_regularizer(findings: Findings) -> None:
    def both(network: str, fitted: float, right: float, **changes: Any) -> list[dict[str, Any]]:
        recipe = synthetic.PLAIN | changes
        return [
            random(network, 0.0, test_acc=right, recipe=recipe),
            random(network, 1.0, train_acc=fitted, recipe=recipe),
        ]

    bare, deep = both("bare", 1.0, 0.9), {"architecture": "cnn", "settings": {"batch_norm": False}}
    runs = [
        *bare,
        *both("decayed", 0.95, 0.8, weight_decay=0.001),
        *both("slower", 0.75, 0.7, weight_decay=0.001, lr=0.001),
        *both("deep", 0.5, 0.6, **deep),
        random("half", 0.5, recipe=synthetic.PLAIN | {"dropout": 0.5}),
    ]
    table = memorization.by_regularizer(replace(findings.results, memorize=runs))
    assert table is not None
    assert table.head == ["network", "no regularization", "weight decay 0.001"]
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["small_cnn", "100 % / 90.0 %", "95.0 % / 80.0 %; 75.0 % / 70.0 %"],
        ["cnn, batch_norm false", "50.0 % / 60.0 %", "–"],
    ]
    assert memorization.by_regularizer(replace(findings.results, memorize=bare)) is None


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ({"l1_penalty": 0.001}, "l1 penalty 0.001"),
        ({"augmentation": {"scheme": "none"}, "flip": True}, "mirroring augmentation"),
        ({"augmentation": {"scheme": "none"}, "flip": False}, "no regularization"),
        ({"augmentation": "light", "flip": True}, "light, mirroring augmentation"),
        ({"augmentation": "light", "flip": False}, "light augmentation"),
        ({}, "no regularization"),
    ],
)
def test_whatever_holds_against_learning_by_heart_is_told(
    recipe: dict[str, Any], told: str
) -> None:
    assert sentences.regularizers(synthetic.PLAIN | recipe) == told


PAPER = {
    "architecture": "inception_small",
    "settings": {"images": "zhang", "batch_norm": True},
    "flip": False,
    "l1_penalty": 0.0,
}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "100 / 9.78 % (Table 1)"),
        ({"settings": {"images": "zhang", "batch_norm": False}}, "100 / 10.12 % (Table 1)"),
        ({"weight_decay": 0.0005}, "100 % (Table 4)"),
        ({"augmentation": {"scheme": "none", "crop": 2, "shift": 0.0}}, "99.93 % (Table 4)"),
        ({"architecture": "alexnet_small", "weight_decay": 0.1}, "Table 4: failed to converge"),
        # Another network, or what the paper did not try.
        ({"settings": {"images": "whole", "batch_norm": True}}, ""),
        ({"settings": {"images": "zhang", "batch_norm": True, "activation": "elu"}}, ""),
        ({"augmentation": "light"}, ""),
        ({"augmentation": {"scheme": "none", "crop": 2}, "flip": True}, ""),
        ({"augmentation": {"scheme": "none"}, "flip": True}, ""),
        ({"loss": "hinge"}, ""),
        ({"dropout": 0.5}, ""),
    ],
)
def test_the_papers_figures_stand_beside_its_own_set_up_alone(
    changes: dict[str, Any], told: str
) -> None:
    run = random("net", 1.0, n_train=49_900, recipe=synthetic.PLAIN | PAPER | changes)
    assert published.beside(run, "cifar10") == told
    assert published.beside(run, "digits") == ""
    assert published.beside(run | {"n_train": 40_000}, "cifar10") == ""
    assert published.beside(run | {"fraction": 0.5}, "cifar10") == ""


def test_each_of_the_papers_figures_stands_beside_a_network_of_the_experiment() -> None:
    root = Path(__file__).parent.parent
    described = load_config(root / "experiments" / "memorize_cifar10" / "params.yaml")
    paper = yaml.safe_load(Path(published.__file__).with_name("zhang2017.yaml").read_text())
    told = []
    for name in described.memorize.networks:
        recipe = described.memorizing(name).model_dump(mode="json")
        for fraction in (0.0, 1.0):
            run = random(name, fraction, n_train=50_000, recipe=recipe)
            told.append(published.beside(run, "cifar10"))
    assert sum(map(bool, told)) == len(paper["rows"])


def checked(findings: Findings, question: str, *runs: dict[str, Any]) -> Check:
    true = findings.results.data.test_label_hash
    loaded = replace(findings.results, memorize=[{"test_label_hash": true} | run for run in runs])
    (found,) = (c for c in memorization_checks.checks(loaded) if question in c.question)
    return found


def test_checks_of_a_randomization_test(findings: Findings) -> None:
    good = [random("a", 1.0), random("b", 1.0, recipe=synthetic.PLAIN | {"dropout": 0.5})]
    for check in memorization_checks.checks(findings.results):
        assert check.status == "PASS", check.question
    poor = random("a", 1.0, train_acc=0.98)
    assert checked(findings, "without regularization", poor).status == "WARN"
    assert checked(findings, "without regularization", good[1]).told == (
        "every network has a regularizer"
    )
    assert checked(findings, "drawn once", *good).status == "PASS"
    again = good[1] | {"label_hash": "another"}
    assert checked(findings, "drawn once", good[0], again).status == "FAIL"
    moving = good[0] | {"labels_seen": ["first", "second"]}
    assert checked(findings, "drawn once", moving).status == "FAIL"
    assert checked(findings, "as many labels", random("a", 1.0, changed_fraction=1.0)).status == (
        "FAIL"
    )
    assert checked(findings, "true labels", good[0] | {"test_label_hash": "x"}).status == "FAIL"
    assert checked(findings, "drawn once", random("a", 0.0)).status == "NOT RUN"
