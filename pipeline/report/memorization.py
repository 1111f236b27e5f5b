"""What networks fit of labels and images that mean nothing: every run, and what was fitted."""

from __future__ import annotations

import math
from typing import Any

from . import published, sentences, statistics, wording
from .results import Results
from .statistics import Accuracy
from .table import Cell, Table, accuracy_cell, plain

Run = dict[str, Any]
HEAD = [
    "network", "architecture", "regularized by", "data", "labels changed", "fitted at epoch",
    "train accuracy", "test accuracy, true labels", "n",
]  # fmt: skip


def table(results: Results) -> Table:
    """Every run; beside those of the paper's set-up, the paper's figures."""
    rows, papers = [], []
    for run in results.memorize:
        papers.append(published.beside(run, results.data.name))
        rows.append(
            [
                Cell(run["network"]),
                Cell(architecture(run)),
                Cell(sentences.regularizers(run["recipe"])),
                Cell(run["name"]),
                Cell(wording.percent(run["changed_fraction"])),
                Cell(str(run["fitted_epoch"] or "not fitted")),
                Cell(wording.percent(run["train_acc"]), share=run["train_acc"]),
                accuracy_cell(tested(run)),
                Cell(str(run["n_test"])),
            ]
        )
    if not any(papers):
        return Table(HEAD, rows)
    rows = [[*row, Cell(paper)] for row, paper in zip(rows, papers, strict=True)]
    return Table([*HEAD, "Zhang et al. (2017), train / test"], rows)


def by_regularizer(results: Results) -> Table | None:
    """Networks by what they are regularized with; None where that is one thing.

    A cell is the training accuracy with labels drawn at random, and the test accuracy with true
    ones. Networks that differ in something else stand in one cell, one after the other.
    """
    runs: dict[str, dict[float, Run]] = {}
    for run in results.memorize:
        if run["kind"] == "labels":
            runs.setdefault(run["network"], {})[run["fraction"]] = run
    cells: dict[tuple[str, str], list[str]] = {}
    for found in runs.values():
        if 0 in found and 1 in found:
            place = architecture(found[0]), sentences.regularizers(found[0]["recipe"])
            told = (
                f"{wording.percent(found[1]['train_acc'])} / {wording.accuracy(tested(found[0]))}"
            )
            cells.setdefault(place, []).append(told)
    rows = list(dict.fromkeys(row for row, _ in cells))
    columns = list(dict.fromkeys(column for _, column in cells))
    if len(columns) < 2:
        return None
    body = [
        [row, *("; ".join(cells.get((row, column), "–")) for column in columns)] for row in rows
    ]
    return plain(["network", *columns], body)


def architecture(run: Run) -> str:
    """`cnn, batch_norm false`; settings as far as they were given."""
    recipe = run["recipe"]
    given = [f"{key} {str(value).lower()}" for key, value in recipe.get("settings", {}).items()]
    return ", ".join([recipe["architecture"], *given])


def tested(run: Run) -> Accuracy:
    """Test images, of which the labels are the true ones, that a run reads rightly."""
    return statistics.accuracy(round(run["test_acc"] * run["n_test"]), run["n_test"])


def from_chance(run: Run) -> float:
    """By how many standard errors a run that fits labels drawn at random differs from chance.

    Test images that lie nearest to the same training image share its label, and with it their luck:
    if each takes the label of its nearest one of n_train, which are alike often the nearest, the
    variance is that of n_test guesses and that of n_train labels drawn.
    """
    chance = 1 / run["classes"]
    variance = chance * (1 - chance) * (1 / run["n_test"] + 1 / run["n_train"])
    return float((run["test_acc"] - chance) / math.sqrt(variance))


def takeaway(results: Results) -> str:
    """What was fitted of labels drawn at random, by which networks; what was not."""
    random = [run for run in results.memorize if run["kind"] == "labels" and run["fraction"] == 1]
    if not random:
        return _by_data(results.memorize)
    fitted = [run["network"] for run in random if run["fitted_epoch"]]
    others = [
        f"{run['network']} ({wording.percent(run['train_acc'])})"
        for run in random
        if not run["fitted_epoch"]
    ]
    text = f"Labels drawn at random are fitted to the last image by {len(fitted)} of "
    text += wording.count(len(random), "network")
    text += f": {wording.join(fitted)}" if fitted and others else ""
    return text + (f". Not within the epochs given: {wording.join(others)}." if others else ".")


def _by_data(runs: list[Run]) -> str:
    """How many networks fitted each of the data; of one network, when it did."""
    if len({run["network"] for run in runs}) == 1:
        return sentences.memorization(runs)
    told = []
    for name in dict.fromkeys(run["name"] for run in runs):
        alike = [run for run in runs if run["name"] == name]
        fitted = sum(bool(run["fitted_epoch"]) for run in alike)
        told.append(f"{name} by {fitted} of {wording.count(len(alike), 'network')}")
    return f"Fitted to the last image: {'; '.join(told)}."
