"""Claims of the lectures, held against what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import wording
from .comparisons import APART, INCOMPLETE, Right, pairs, survives
from .factors import Couples, Recipe, couples
from .measures import Measure
from .opening import DIRECTION
from .results import Results

HELD, NOT_HELD, NOT_TESTED, OPEN = "HELD", "NOT HELD", "NOT TESTED", "INCOMPLETE"
FITTED = 0.99
SMALL = 0.1  # of a pixel's range, in L-infinity: what most people overlook, about 25/255
SMALL_PART = 0.5  # in another norm: of the eps at which noise does the same harm


@dataclass(frozen=True)
class Claim:
    claim: str
    test: str
    measured: str
    verdict: str


def claims(results: Results, found: list[Measure], eps: float) -> list[Claim]:
    """Each claim with its test; `found` are the measures of the headline suite."""
    read = [m for m in found if m.right]  # one that reads nothing rightly cannot be fooled
    read = [m for m in read if m.network in results.trained]
    recipes = {name: info["recipe"] for name, info in results.trained.items()}
    plain = [m for m in read if not _attacked(recipes[m.network])]
    judged = {m.network: recipes[m.network] for m in read}
    defended = couples(judged, _attacked, lambda r: not _attacked(r), ("adversarial",))
    random = [r for r in results.memorize if r["kind"] == "labels" and r["fraction"] == 1]
    regularized = [r for r in random if _regularized(r["recipe"])]
    images = [r for r in results.memorize if r["kind"] != "labels"]
    survive = {m.network: survives(m, eps) for m in found}
    clean = {
        m.network: Right(right, right)
        for m in found
        for right in [results.cells[m.network, m.suite].attack.right]
    }
    speed = couples(
        recipes,
        lambda r: r.get("settings.batch_norm") is True,
        lambda r: r.get("settings.batch_norm") is False,
        ("settings.batch_norm",),
    )
    at = wording.grid_eps(eps)
    known = [m for m in found if m.one_draw.multiple.known]
    return [
        _all(
            "Small perturbations found by gradients fool networks",
            "eps50 of the suite for each network trained without attacks, upper end, is below "
            + (
                f"{SMALL:g} of a pixel's range, {255 * SMALL:.1f}/255"
                if found[0].norm == "linf"
                else f"{SMALL_PART:g} times that of one draw of noise"
            ),
            plain,
            lambda m: f"{m.network} {wording.estimate(m.suite_eps50)}",
            _small,
            lambda m: m.complete,
        ),
        _all(
            "Random perturbations drawn at the same ε do not",
            f"eps50 of one draw over eps50 of the attack, lower end, is above {DIRECTION:g}",
            known,
            lambda m: f"{m.network} {wording.multiple(m.one_draw.multiple)}",
            lambda m: m.one_draw.multiple.low > DIRECTION,
            lambda m: m.complete,
        ),
        _all(
            "Nor does the worst of many random ones",
            f"the same with the worst of all draws, lower end above {DIRECTION:g}",
            [m for m in known if m.worst_draw and m.worst_draw.multiple.known],
            lambda m: f"{m.network} {wording.multiple(_worst(m).multiple)}",
            lambda m: _worst(m).multiple.low > DIRECTION,
            lambda m: m.complete,
        ),
        _compared(
            "Training on attacked images helps against attacks",
            f"survivors at ε = {at}, with it minus without, pairs that differ in it alone; "
            "McNemar, Holm",
            survive,
            defended,
        ),
        _compared(
            "Training on attacked images costs clean accuracy",
            "clean accuracy, without it minus with it, pairs that differ in it alone; "
            "McNemar, Holm",
            clean,
            defended._replace(pairs=[pair[::-1] for pair in defended.pairs]),
        ),
        _compared(
            "Augmentation helps more than explicit regularization",
            "clean accuracy, augmented minus regularized, pairs that differ in augmentation, "
            "weight decay and dropout alone; McNemar, Holm",
            clean,
            couples(
                judged,
                lambda r: _augmented(r) and not _regularized(r) and not _attacked(r),
                lambda r: _regularized(r) and not _augmented(r),
                ("augmentation", "weight_decay", "dropout"),
            ),
        ),
        _all(
            "Networks fit random labels",
            f"training accuracy with every label drawn at random is at least {100 * FITTED:.0f} %",
            random,
            lambda r: f"{r['network']} {wording.percent(r['train_acc'])}",
            lambda r: r["train_acc"] >= FITTED,
        ),
        _all(
            "Weight decay and dropout do not stop that",
            "the same for networks that are trained with them",
            regularized,
            lambda r: f"{r['network']} {wording.percent(r['train_acc'])}",
            lambda r: r["train_acc"] >= FITTED,
        ),
        _all(
            "Networks fit images without structure",
            f"training accuracy on spoiled pixels is at least {100 * FITTED:.0f} %",
            images,
            lambda r: f"{r['name']} {wording.percent(r['train_acc'])}",
            lambda r: r["train_acc"] >= FITTED,
        ),
        _all(
            "Batch normalization speeds training",
            "epochs until a network first fits the share of training images that both of a pair "
            "reach, fewer with it; pairs that differ in batch_norm alone",
            speed.pairs,
            lambda pair: _both_epochs(results, *pair),
            lambda pair: _epochs(results, *pair) < _epochs(results, *pair[::-1]),
            missing=speed.reason,
        ),
        _compared(
            "Depth without shortcuts hurts",
            "clean accuracy, with shortcuts minus without, pairs that differ in shortcut alone; "
            "McNemar, Holm",
            clean,
            couples(
                judged,
                lambda r: r.get("settings.shortcut") in ("padding", "projection"),
                lambda r: r.get("settings.shortcut") == "none",
                ("settings.shortcut",),
            ),
        ),
    ]


def _regularized(recipe: Recipe) -> bool:
    return bool(recipe.get("weight_decay") or recipe.get("dropout"))


def _small(measure: Measure) -> bool:
    if measure.norm == "linf":
        return measure.suite_eps50.high < SMALL
    return measure.one_draw.multiple.low > 1 / SMALL_PART


def _augmented(recipe: Recipe) -> bool:
    return recipe.get("augmentation", "none") != "none"


def _attacked(recipe: Recipe) -> bool:
    return bool(recipe.get("adversarial"))


def _worst(measure: Measure) -> Any:
    return measure.worst_draw


def _both_epochs(results: Results, first: str, second: str) -> str:
    own, other = _epochs(results, first, second), _epochs(results, second, first)
    return f"{first}: epoch {own}, {second}: epoch {other}"


def _epochs(results: Results, network: str, other: str) -> int:
    """The epoch at which `network` first fits what both it and `other` reach."""
    fits, others = (
        [epoch["train_acc"] for epoch in results.training[name]["history"]]
        for name in (network, other)
    )
    level = min(max(fits), max(others))
    return next(epoch for epoch, value in enumerate(fits, 1) if value >= level)


def _all(
    claim: str,
    test: str,
    cases: list[Any],
    told: Callable[[Any], str],
    holds: Callable[[Any], bool],
    complete: Callable[[Any], bool] = lambda _: True,
    *,
    missing: str = "nothing that could tell was run",
) -> Claim:
    """Held if it holds in every case, errors counted against it; all cases are told.

    A case that does not hold refutes the claim if it is complete, and leaves it open otherwise.
    """
    if not cases:
        return Claim(claim, test, missing, NOT_TESTED)
    against = [case for case in cases if not holds(case)]
    refuted = any(complete(case) for case in against)
    verdict = NOT_HELD if refuted else OPEN if against else HELD
    return Claim(claim, test, ", ".join(told(case) for case in cases), verdict)


def _compared(claim: str, test: str, right: dict[str, Right], asked: Couples) -> Claim:
    """Held if the first network of every couple is better by more than chance explains.

    Verdicts that ended in an error leave it open, unless a couple without them refutes it.
    """
    if not asked.pairs:
        return Claim(claim, test, asked.reason, NOT_TESTED)
    family = {frozenset((p.first, p.second)): p for p in pairs(right)}
    told, verdicts = [], []
    for first, second in asked.pairs:
        pair = family[frozenset((first, second))]
        ends = (pair.worst.difference, pair.best.difference)
        if pair.first != first:
            ends = (-ends[1], -ends[0])
        held = pair.verdict == APART and ends[0] > 0
        verdicts.append(OPEN if pair.verdict == INCOMPLETE else HELD if held else NOT_HELD)
        mark = "" if pair.verdict == APART else f", {pair.verdict}"
        told.append(f"{first} − {second}: {wording.points_range(*ends)} points{mark}")
    worst = next(v for v in (NOT_HELD, OPEN, HELD) if v in verdicts)
    return Claim(claim, test, "; ".join(told), worst)
