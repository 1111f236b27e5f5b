"""Signs that a number is not to be trusted: what is counted, and how much of it is too much.

A network that hides its gradients makes an attack look weak and itself strong (Athalye, Carlini
and Wagner 2018; Carlini et al. 2019). These are the symptoms. None of them found proves nothing:
the wording is "no flag raised". Pure functions of counts, without torch, so that a library user's
result and the report are judged alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

PASS, WARN, FAIL, NOT_RUN = "PASS", "WARN", "FAIL", "NOT RUN"
ORDER = (FAIL, WARN, PASS, NOT_RUN)

# An unbroken image's margin may still rise by this share when steps or restarts double.
STILL_RISING = 0.05

Counts = dict[str, int | None]


class Flag(NamedTuple):
    """One question, its formula with the threshold, what was found, and what that is called."""

    question: str
    formula: str
    status: str
    value: str

    def __str__(self) -> str:
        return f"{self.status}: {self.question} {self.value} ({self.formula})"


@dataclass(frozen=True)
class Sign:
    """A symptom that is counted in images.

    Attributes:
        question: what a reader asks.
        counted: which images are counted.
        warn, fail: the share of the examined images above which it is told; 0: from one image on;
            None: never.
        least: so many images never tell anything, whatever their share.
    """

    question: str
    counted: str
    warn: float | None = None
    fail: float | None = None
    least: int = 2

    @property
    def formula(self) -> str:
        limits = [
            f"{name} {'from 1' if share == 0 else f'above max({100 * share:g} %, {self._few})'}"
            for name, share in ((WARN, self.warn), (FAIL, self.fail))
            if share is not None
        ]
        return f"images {self.counted}; {', '.join(limits)}"

    @property
    def _few(self) -> str:
        return f"{self.least} image{'s' if self.least > 1 else ''}"

    def judge(self, count: int | None, n: int) -> Flag:
        """The flag for `count` of `n` images; NOT RUN where nothing was counted."""
        if count is None or n == 0:
            return Flag(self.question, self.formula, NOT_RUN, "")
        status = PASS
        for name, share in ((WARN, self.warn), (FAIL, self.fail)):
            if share is not None and count > allowed(n, share, self.least):
                status = name
        return Flag(self.question, self.formula, status, f"{count} of {n} images")


def allowed(n: int, share: float, least: int = 2) -> int:
    """How many of n images a share allows: at least `least`, for so few are no rate; 0 for none."""
    return max(least, int(share * n)) if share else 0


SIGNS = {
    "zero": Sign(
        "Are gradients zero, or not finite?",
        "where the margin's gradient is exactly zero, cut off, or not finite at some pixel: at the "
        "image, or at a random one in its ball",
        warn=0,
        fail=0.05,
    ),
    "saturated": Sign(
        "Are the logits so large that probabilities saturate?",
        "where the cross-entropy's gradient is exactly zero and the margin's is not",
        warn=0.01,
    ),
    "squashed": Sign(
        "Are the outputs logits, before any sigmoid?",
        "whose outputs all lie in [0, 1], or whose largest is within 0.5 % of the whole range of "
        "the largest of all: so do a sigmoid's, through which gradients vanish",
        warn=0.5,
    ),
    "constant": Sign(
        "Does the answer ignore tiny changes?",
        "whose logits stay the same, bit for bit, when every pixel moves by 2^-13",
        warn=0,
        fail=0.05,
    ),
    "random": Sign(
        "Does the network answer twice alike?", "with other logits when asked again", warn=0
    ),
    "company": Sign(
        "Does an answer depend on the rest of the batch?",
        "whose logits other company moves by more than 1/1000 of the largest",
        fail=0,
    ),
    "single_step": Sign(
        "Is an iterative attack at least as strong as a single step?",
        "that a single step breaks and no iterative attack does",
        fail=0.01,
    ),
    "black_box": Sign(
        "Is an attack without gradients no better?",
        "that Square breaks and no attack with gradients does",
        warn=0.002,
        least=1,  # a second such image is rare on networks that hide nothing
    ),
    "noise_only": Sign(
        "Does noise find what the attacks missed?",
        "that noise drawn at the same or a smaller ε breaks and no attack does",
        warn=0,
        fail=0.01,
    ),
    "not_monotone": Sign(
        "Does a larger ε always break more?",
        "that an attack breaks, alone, at one ε and not at the next larger one; the worst attack",
        warn=0.01,
    ),
    "precision": Sign(
        "Do verdicts depend on the precision of the arithmetic?",
        "that broke in float32 and are read rightly in float64",
        warn=0.01,
    ),
    "fragile": Sign(
        "Are verdicts close to the edge?",
        "whose wrong logit leads the label's by less than 1e-5 of the larger, at the full budget "
        "too "
        "(a verdict asks for 1e-6)",
        warn=0.01,
    ),
}


def counted(counts: Counts, names: Sequence[str] = tuple(SIGNS)) -> list[Flag]:
    """The flags of the signs `names`, from their counts and `n`, the images that were examined;
    `n_<name>` where for one sign these were others."""
    n = counts.get("n") or 0
    return [SIGNS[name].judge(counts.get(name), counts.get(f"n_{name}") or n) for name in names]


def doubled(what: str, new: int | None, n: int) -> Flag:
    """Do twice as many `what` (steps or restarts) break `new` images that the suite did not?"""
    sign = Sign(
        f"Do more {what} change the result?",
        f"that twice the {what} of an attack break and no attack of the suite does, each alone",
        warn=0.005,
    )
    return sign.judge(new, n)


def settled(before: tuple[int, float] | None, after: tuple[int, float] | None, n: int) -> Flag:
    """Had the loss settled when the attack ended, or would it have risen on?

    Args:
        before, after: with the attack's steps and with twice as many: broken images, and the mean
            over all n of min(margin, 0), what is missing to break the others; NaN where an attack
            failed.
    """
    question = "Had the loss settled when the attack ended?"
    formula = (
        "share by which the mean of min(margin, 0) shrinks with twice the steps; WARN above "
        f"{100 * STILL_RISING:g} %, where more than max(5 %, 2 images) stand"
    )
    if before is None or after is None or n == 0 or math.isnan(before[1] + after[1]):
        return Flag(question, formula, NOT_RUN, "")
    shrunk = 1 - after[1] / before[1] if before[1] < 0 else 0.0
    few = n - before[0] <= allowed(n, 0.05)
    status = WARN if shrunk > STILL_RISING and not few else PASS
    return Flag(question, formula, status, f"{100 * shrunk:+.1f} %, {n - before[0]} stand")


def raised(flags: Sequence[Flag]) -> list[Flag]:
    """Those that warn or fail, the worst first."""
    return sorted((f for f in flags if f.status in (WARN, FAIL)), key=lambda f: f.status)
