"""Judge a model in five lines: `evaluate(model, x, y, ThreatModel("linf", 8 / 255))`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .errors import ThreatError
from .flags import NOT_RUN, Flag, raised
from .geometry import Threat
from .oracle import SLOTS, Oracle
from .registry import ATTACKS, Attacker, resolve
from .signs import signs as look_for_signs
from .suite import SuiteResult, Witnesses, run_suite
from .verdict import BROKEN, ERROR


@dataclass(frozen=True)
class Result:
    """What `evaluate` found, example by example; every percentage is derived from the verdicts.

    Attributes:
        threat: the threat model.
        attackers: the attacks that were run, in order.
        suite: verdict rows, witnesses and errors.
        signs: what was looked for that would make the result doubtful, and what was found.
    """

    threat: Threat
    attackers: list[Attacker]
    suite: SuiteResult
    signs: list[Flag] = field(default_factory=list)

    @property
    def flags(self) -> list[Flag]:
        """The signs that warn or fail. None raised is no proof of anything."""
        return raised(self.signs)

    @property
    def broken(self) -> Tensor:
        """(N,) bool: wrong when clean, or broken by any attack (worst case per example)."""
        return self._by_example(BROKEN).any(dim=0)

    @property
    def errors(self) -> Tensor:
        """(N,) bool: undecided, because an attack failed and no other broke it."""
        return self._by_example(ERROR).any(dim=0) & ~self.broken

    @property
    def clean_acc(self) -> float:
        rows = self.suite.rows
        return float((rows["clean_pred"] == rows["label"]).double().mean())

    @property
    def robust_interval(self) -> tuple[float, float]:
        """Share not broken, if all undecided examples were broken, and if none was."""
        low = 1 - float((self.broken | self.errors).double().mean())
        return low, 1 - float(self.broken.double().mean())

    @property
    def robust_acc(self) -> float:
        """Share not broken: an upper bound, no proof. NaN where an attack's error leaves examples
        undecided: `robust_interval` then says what is known.
        """
        low, high = self.robust_interval
        return high if low == high else float("nan")

    @property
    def witnesses(self) -> Witnesses:
        return self.suite.witnesses

    def _by_example(self, outcome: int) -> Tensor:
        return (self.suite.rows["outcome"] == outcome).view(len(self.attackers), -1)

    def __str__(self) -> str:
        count = self.broken.numel()
        lines = [
            f"{self.threat.norm} eps {self.threat.eps:g}, {count} images",
            f"clean accuracy  {self.clean_acc:.1%}",
            f"robust accuracy {self.robust_acc:.1%} at most (survived every attack below)",
        ]
        if bool(self.errors.any()):
            low, high = self.robust_interval
            lines[-1] = f"robust accuracy INCOMPLETE: {low:.1%} to {high:.1%} at most"
        credited = self.witnesses.attack.bincount(minlength=len(self.attackers))
        for attacker, number in zip(self.attackers, credited.tolist(), strict=True):
            lines.append(f"  {attacker.label}: broke {number}")
        lines += [f"  {label}: failed ({text})" for label, text in self.suite.errors.items()]
        looked = sum(sign.status != NOT_RUN for sign in self.signs)
        if looked and not self.flags:
            lines.append(f"no flag raised by {looked} signs of hidden gradients or weak attacks")
        lines += [str(flag) for flag in self.flags]
        return "\n".join(lines)


def evaluate(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    ensemble: str | list[dict[str, Any]] = "fast",
    *,
    keys: Tensor | None = None,
    seed: int = 0,
    slots: int = SLOTS,
    signs: int = 200,
) -> Result:
    """Attack every image under one threat model and judge what was found.

    Args:
        model: maps images (N, C, H, W) in [0, 1] to logits (N, K); normalization belongs inside.
        x, y: float32 images and labels (N,), on the model's device.
        threat: norm and budget, or a `Transformation` and its size.
        ensemble: the name of an ensemble, of one attack, or a list such as
            `[{"attack": "pgd", "steps": 40}]`.
        keys: (N,) the examples' indices in their data set, 0..N-1 if not given. All randomness
            follows from them, so that a subset or another order gives the same verdicts.
        seed: of every random draw.
        slots: images per pass.
        signs: on how many of the images signs of hidden gradients are looked for (a keyed subset);
            0 looks for none.

    Raises:
        ModelError: if the model cannot be judged, before any attack.
        ThreatError: if the threat model has a budget for each example.
        UnknownAttackError: if the ensemble names what does not exist or cannot do the norm.
    """
    if isinstance(ensemble, str) and ensemble in ATTACKS:
        ensemble = [{"attack": ensemble}]
    if not isinstance(threat.eps, float | int):
        raise ThreatError("evaluate takes one eps for all examples; a grid is run_suite's")
    attackers = resolve(ensemble, threat.norm)
    oracle = Oracle(model, slots=slots)
    found = run_suite(oracle, x, y, threat.norm, [threat.eps], attackers, keys=keys, seed=seed)
    seen = []
    if signs:
        keys = torch.arange(len(x)) if keys is None else keys
        where = keys.to(x.device)
        seen = look_for_signs(oracle, x, y, where, threat, attackers, found, seed=seed, count=signs)
    return Result(threat, attackers, found, seen)
