"""Checks of the data and of training: what came before any attack."""

from __future__ import annotations

import math
from typing import Any

from attacks.diagnosis.flags import FAIL, PASS, WARN, Sign

from ..base.history import chosen_by
from . import sentences
from .check import Check, Finding
from .results import Results

LEAKED = Sign(
    "Are test images among the training images?",
    "of the test that are a training or validation image too, byte for byte",
    warn=0,
    fail=0.01,
)


def checks(results: Results) -> list[Check]:
    """Of every network that was trained here."""
    leaked = LEAKED.judge(results.data.leaked, results.data.sizes["test"])
    robust = results.trained_to_resist
    return [
        Check(
            LEAKED.question,
            LEAKED.formula,
            [Finding(results.data.name, leaked.status, leaked.value)] if results.trained else [],
        ),
        Check(
            "Was the epoch chosen without the test images?",
            "the epoch kept is the last, or the best on validation images, as the recipe says; "
            "FAIL otherwise",
            [Finding(name, *_selected(info)) for name, info in results.trained.items()],
        ),
        Check(
            "Did adversarial training learn to mislead its own attack?",
            "an epoch in which PGD leaves less than half of the best accuracy so far and one step "
            "leaves more than that by as much, on validation images (Wong et al. 2020); "
            "FAIL if it or a later one was kept, else WARN",
            [Finding(name, *_collapsed(info)) for name, info in robust.items()],
        ),
        Check(
            "Did robustness fall again before training ended?",
            "best accuracy under attack of all epochs minus that of the last, on validation "
            "images: robust overfitting (Rice et al. 2020); WARN above max(1 point, 2 images, "
            "2 standard errors), whichever epoch was kept",
            [Finding(name, *_overfitted(info)) for name, info in robust.items()],
        ),
    ]


def _selected(info: dict[str, Any]) -> tuple[str, str]:
    """Does the epoch that was kept follow from the recipe and the validation images?"""
    history, kept = info["history"], info["selected_epoch"]
    select = info["recipe"].get("select", "last")
    told = f"epoch {kept} of {len(history)}, select: {select}"
    values = [chosen_by(row) for row in history]
    known = [value for value in values if value is not None]
    best = bool(known) and values[kept - 1] == max(known)
    # Adversarial training that collapsed may keep its best epoch where the last was asked for.
    may_be_best = select == "best" or _collapse(info) is not None
    may_be_last = select == "last" or not known
    right = (best and may_be_best) or (kept == len(history) and may_be_last)
    return (PASS if right else FAIL), told


def _collapse(info: dict[str, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] | None = (info.get("robust_acc_validation") or {}).get("collapse")
    return found


def _collapsed(info: dict[str, Any]) -> tuple[str, str]:
    found = _collapse(info)
    if found is None:
        return PASS, "no epoch"
    status = FAIL if info["selected_epoch"] >= found["epoch"] else WARN
    return status, f"epoch {found['epoch']}, kept {info['selected_epoch']}"


def _overfitted(info: dict[str, Any]) -> tuple[str, str]:
    found = info["robust_acc_validation"]
    best, n = found["best"], found["images"]
    limit = max(0.01, 2 / n, 2 * math.sqrt(best * (1 - best) / n))
    told = f"{sentences.under_attack(info)}, kept epoch {info['selected_epoch']}; {n} images"
    return (WARN if best - found["last"] > limit else PASS), told
