"""What a diagnosis runs: each attack alone, without cascade, so that attacks can be compared.

A cascade spares every attack what another one broke, so its verdicts cannot say whether an
iterative attack is at least as strong as a single step, or what only Square finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .. import registry
from ..registry import ATTACKS, Attacker
from .alone import LADDER, LADDERS, PROBE, SUITE, middle

# Random search is compared with few queries: it need not win, only find what gradients cannot.
QUERIES = 50


class Solo(NamedTuple):
    """One attack to be run alone, at each of its budgets."""

    attacker: Attacker
    grid: tuple[float, ...]
    role: str

    @property
    def runs(self) -> list[tuple[float, ...]]:
        """The grids to run it on, in turn; a minimum-norm attack answers a whole grid at once."""
        return [self.grid] if self.attacker.entry.kind == "minimum" else [(e,) for e in self.grid]


class Plan(NamedTuple):
    """What a diagnosis runs; `ladders` as in `alone.Diagnosis`."""

    eps: float
    solos: list[Solo]
    ladders: dict[str, list[tuple[int, str]]]


def plan(attackers: Sequence[Attacker], norm: str, grid: Sequence[float]) -> Plan:
    """The suite's attacks at the middle and the largest budget; at the middle, the rest.

    The rest is what a comparison needs and the suite lacks (FGSM, Square), and one of the suite's
    attacks with a quarter, half and twice its steps and with twice its restarts: of those of the
    fewest targets and restarts the one of most steps.
    """
    eps, both = middle(grid), tuple(sorted({middle(grid), grid[-1]}))
    solos = [Solo(attacker, both, SUITE) for attacker in attackers]
    named = {attacker.attack for attacker in attackers}
    labels = {attacker.label for attacker in attackers}
    for name, settings in (("fgsm", {}), ("square", {"queries": QUERIES})):
        if name not in named and norm in ATTACKS[name].norms:
            label = f"{name} probe" if name in labels else name
            solos.append(Solo(Attacker(label, name, ATTACKS[name], settings), (eps,), PROBE))
    ladders: dict[str, list[tuple[int, str]]] = {}
    climbers = [attacker for attacker in attackers if _climbs(attacker)]
    if climbers:
        climber = max(climbers, key=_preference)
        usual = {name: _setting(climber, name) for name in LADDERS}
        shares = {"steps": (0.25, 0.5, 1, 2), "restarts": (1, 2)}
        for ladder in LADDERS:
            ladders[ladder] = []
            for number in sorted({max(1, int(usual[ladder] * s)) for s in shares[ladder]}):
                label = climber.label
                if number != usual[ladder]:
                    label = f"{climber.label}, {number} {ladder}"
                    settings = climber.settings | {ladder: number}
                    longer = Attacker(label, climber.attack, climber.entry, settings)
                    solos.append(Solo(longer, (eps,), LADDER))
                ladders[ladder].append((number, label))
    return Plan(eps, solos, ladders)


def _climbs(attacker: Attacker) -> bool:
    entry = attacker.entry
    climbs = entry.kind == "fixed" and entry.gradients
    return climbs and all(_has(attacker, name) for name in LADDERS)


def _preference(attacker: Attacker) -> tuple[bool, int, int, int]:
    """Of two attacks that climb, the one of higher preference is given more steps and restarts.

    One `within` a part of the margin gives up far images early, whatever its steps. Targets and
    restarts cost as many runs.
    """
    targets = _setting(attacker, "targets") if _has(attacker, "targets") else 0
    steps, restarts = (_setting(attacker, name) for name in LADDERS)
    return "within" not in attacker.settings, -targets, -restarts, steps


def _has(attacker: Attacker, name: str) -> bool:
    return name in registry.settings(attacker.entry)


def _setting(attacker: Attacker, name: str) -> int:
    value = attacker.settings.get(name, registry.settings(attacker.entry)[name].default)
    return int(value)


def is_single_step(attacker: Attacker) -> bool:
    """Does it take the gradient once?"""
    return attacker.attack == "fgsm"
