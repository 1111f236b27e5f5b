"""Checks of randomization tests: that labels mean nothing, and that nothing else was spoiled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from attacks.diagnosis.flags import FAIL, PASS, WARN

from . import wording
from .check import Check, Finding
from .memorization import Run, from_chance, tested
from .results import Results
from .sentences import regularizers

FITTED = 0.99
ERRORS = 3.0
"""Standard errors that chance is granted."""


def checks(results: Results) -> list[Check]:
    """Every check of what was memorized; NOT RUN where nothing was."""
    runs = results.memorize
    labels = [run for run in runs if run["kind"] == "labels"]
    drawn = [run for run in labels if run["fraction"] > 0]
    random = [run for run in drawn if run["fraction"] == 1]
    bare = [run for run in random if regularizers(run["recipe"]) == "no regularization"]
    return [
        Check(
            "Does a fully random label teach nothing about test images?",
            f"|test accuracy − chance| ≤ {ERRORS:g} standard errors of test images and of the draw "
            "of labels; WARN beyond",
            _each(random, _chance),
        ),
        Check(
            "Can a network without regularization fit random labels?",
            f"training accuracy; WARN below {100 * FITTED:.0f} %, or if every network has some",
            _each(bare, _fits) or _no_bare(random),
        ),
        Check(
            "Are random labels drawn once, and alike for every network?",
            "hashes of the labels trained on, before and after training, and those of other "
            "networks with the same images and share; FAIL if there are two",
            _each(drawn, lambda run: _once(run, drawn)),
        ),
        Check(
            "Were as many labels changed as the draw says?",
            f"|changed − share × (1 − 1/classes)| ≤ {ERRORS:g} standard errors; FAIL beyond",
            _each(labels, _changed),
        ),
        Check(
            "Are test images judged by their true labels?",
            "hash of the test labels against that of the data set; FAIL if they differ",
            _each(runs, lambda run: _true(run, results.data.test_label_hash)),
        ),
    ]


def _each(runs: Iterable[Run], test: Callable[[Run], tuple[str, str]]) -> list[Finding]:
    return [Finding(f"{run['network']} × {run['name']}", *test(run)) for run in runs]


def _chance(run: Run) -> tuple[str, str]:
    away = from_chance(run)
    told = f"{wording.accuracy(tested(run))}, {wording.signed(away)} standard errors"
    return (PASS if abs(away) <= ERRORS else WARN), told


def _fits(run: Run) -> tuple[str, str]:
    return (PASS if run["train_acc"] >= FITTED else WARN), wording.percent(run["train_acc"])


def _no_bare(random: list[Run]) -> list[Finding]:
    if not random:
        return []
    return [Finding("memorize", WARN, "every network has a regularizer")]


def _once(run: Run, drawn: list[Run]) -> tuple[str, str]:
    alike = [
        other
        for other in drawn
        if (other["fraction"], other["n_train"]) == (run["fraction"], run["n_train"])
    ]
    hashes = {other["label_hash"] for other in alike} | set(run["labels_seen"])
    return (PASS if len(hashes) == 1 else FAIL), wording.count(len(hashes), "set") + " of labels"


def _changed(run: Run) -> tuple[str, str]:
    """A draw may hit the true class. Its labels are no more changed than asked, and no fewer."""
    n, other = run["n_train"], 1 - 1 / run["classes"]
    count = round(run["fraction"] * n)
    told = f"{wording.percent(run['changed_fraction'])} of {wording.thousands(n)}"
    away = abs(run["changed_fraction"] * n - count * other)
    allowed = ERRORS * math.sqrt(count * other * (1 - other))
    return (PASS if away <= allowed + 1e-9 * n else FAIL), told


def _true(run: Run, true: str) -> tuple[str, str]:
    same = run["test_label_hash"] == true
    return (PASS if same else FAIL), "the same" if same else "other labels"
