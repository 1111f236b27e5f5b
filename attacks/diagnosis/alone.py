"""What each attack breaks alone, without a cascade: who found what nobody else did, and does more
of the same find more.

Pure functions of verdicts. Arrays are torch's or numpy's alike, and nothing is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .flags import Flag, counted, doubled, settled

SUITE, PROBE, LADDER = "suite", "probe", "ladder"
LADDERS = ("steps", "restarts")


def middle(grid: Sequence[float]) -> float:
    """The budget of a grid at which attacks are compared."""
    return grid[len(grid) // 2]


@dataclass(frozen=True)
class Alone:
    """One attack, run alone on N images at each of E budgets.

    Attributes:
        label: its name in the diagnosis.
        role: "suite"; "probe", added for comparison; or "ladder", a suite's attack with other
            steps or restarts.
        gradients, single_step: what kind of attack it is.
        eps: budgets, increasing.
        broken: (E, N) bool; an error counts as not broken.
        margin: (E, N), of the image that the attack returned; NaN where the verdict was implied.
    """

    label: str
    role: str
    gradients: bool
    single_step: bool
    eps: Sequence[float]
    broken: Any
    margin: Any

    def at(self, eps: float) -> Any:
        """(N,) bool: broken at one of its budgets."""
        return self.broken[list(self.eps).index(eps)]


class Found(NamedTuple):
    """What an attack broke alone, and what of it no other attack broke."""

    label: str
    role: str
    broke: int
    only: int


class Rung(NamedTuple):
    """An attack with `number` steps or restarts: broken images, mean of min(margin, 0)."""

    number: int
    broke: int
    missing: float


@dataclass(frozen=True)
class Diagnosis:
    """Attacks run alone on the same rightly classified images.

    Attributes:
        eps: the budget at which attacks are compared.
        n: images.
        ball: is it a norm's ball? Of a transformation, a search without gradients may well win.
        alone: the attacks.
        ladders: "steps" and "restarts": numbers of them, increasing, with the labels of the
            attacks that took them. The last is twice the last but one, which the suite runs.
    """

    eps: float
    n: int
    ball: bool
    alone: Sequence[Alone]
    ladders: dict[str, list[tuple[int, str]]]

    @property
    def compared(self) -> list[Alone]:
        return [one for one in self.alone if one.role != LADDER and self.eps in one.eps]

    def found(self) -> list[Found]:
        """What each attack broke at `eps`, and what only it did."""
        compared = self.compared
        return [
            Found(
                one.label,
                one.role,
                int(one.at(self.eps).sum()),
                _only([one], [other for other in compared if other is not one], self.eps) or 0,
            )
            for one in compared
        ]

    def rungs(self, ladder: str) -> list[Rung]:
        """Success and what is missing to it, by steps or by restarts."""
        named = {one.label: one for one in self.alone}
        rungs = []
        for number, label in self.ladders[ladder]:
            one = named[label]
            row = list(one.eps).index(self.eps)
            missing = float(one.margin[row].clip(max=0).mean()) if self.n else 0.0
            rungs.append(Rung(number, int(one.broken[row].sum()), missing))
        return rungs

    def more(self, ladder: str) -> int | None:
        """Images that twice the steps or restarts break and no attack of the suite does."""
        suite = [one for one in self.compared if one.role == SUITE]
        last = [label for _, label in self.ladders.get(ladder, [])[-1:]]
        return _only([one for one in self.alone if one.label in last], suite, self.eps)

    def flags(self) -> list[Flag]:
        """Whatever compares attacks, judged."""
        climbing = [a for a in self.compared if a.gradients and not a.single_step]
        steps = [a for a in self.compared if a.single_step]
        gradients = [a for a in self.compared if a.gradients]
        free = [a for a in self.compared if not a.gradients]
        counts = {
            "n": self.n,
            "single_step": _only(steps, climbing, self.eps),
            "black_box": _only(free, gradients, self.eps) if self.ball else None,
            "not_monotone": max(map(_lost, self._repeated()), default=None),
        }
        flags = counted(counts, ["single_step", "black_box", "not_monotone"])
        flags += [doubled(ladder, self.more(ladder), self.n) for ladder in LADDERS]
        rungs = self.rungs("steps") if self.ladders else []
        before, after = [rung[1:] for rung in rungs[-2:]] if len(rungs) > 1 else (None, None)
        return [*flags, settled(before, after, self.n)]

    def _repeated(self) -> list[Alone]:
        return [one for one in self.alone if one.role == SUITE and len(one.eps) > 1]


def _only(those: Sequence[Alone], others: Sequence[Alone], eps: float) -> int | None:
    """Images that any of `those` breaks and none of `others`; None where either is missing."""
    if not those or not others:
        return None
    left = those[0].at(eps)
    for one in those[1:]:
        left = left | one.at(eps)
    for other in others:
        left = left & ~other.at(eps)
    return int(left.sum())


def _lost(one: Alone) -> int:
    """The most images that were broken at one budget and not at the next larger one."""
    return max(int((one.broken[k] & ~one.broken[k + 1]).sum()) for k in range(len(one.eps) - 1))
