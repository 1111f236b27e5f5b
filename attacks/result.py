"""What `evaluate` returns: every percentage is derived from the verdicts, example by example."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from .diagnosis.flags import NOT_RUN, Flag, raised
from .geometry import Threat
from .registry import Attacker
from .suite import SuiteResult, Witnesses
from .verdict import BROKEN, ERROR


@dataclass(frozen=True)
class Result:
    """What `evaluate` found, example by example; every percentage is derived from the verdicts.

    Attributes:
        threat: the threat model.
        attackers: the attacks that were run, in order.
        suite: verdict rows, witnesses and errors.
        signs: what was looked for that would make the result doubtful, and what was found.
        targets: (N,) the classes that images were to be driven into, None for any wrong one.
        draws: over how many random draws each verdict is the majority; None: deterministic.
        levels: grey levels of the perturbed images; None where any pixel value will do.
        weak: only attacks without gradients were run, and the bound is weak for it.
    """

    threat: Threat
    attackers: list[Attacker]
    suite: SuiteResult
    signs: list[Flag] = field(default_factory=list)
    targets: Tensor | None = None
    draws: int | None = None
    levels: int | None = None
    weak: bool = False

    @property
    def flags(self) -> list[Flag]:
        """The signs that warn or fail. None raised is no proof of anything."""
        return raised(self.signs)

    @property
    def broken(self) -> Tensor:
        """(N,) bool: wrong when clean, or broken by any attack (worst case per example).

        With targets: read as its target when clean, or driven there.
        """
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
        ]
        low, high = self.robust_interval
        what = "robust accuracy" if self.targets is None else "kept from target"
        lines.append(f"{what} {high:.1%} at most (survived every attack below)")
        if low != high:
            lines[-1] = f"{what} INCOMPLETE: {low:.1%} to {high:.1%} at most"
        if self.weak:
            lines.append("a weak bound: no attack used gradients")
        if self.draws:
            lines.append(f"each verdict is the majority over {self.draws} random draws")
        if self.levels:
            lines.append(f"perturbed images have {self.levels} levels")
        disputed = int(self.suite.disputed.sum())
        if disputed:
            lines.append(f"{disputed} images were broken for the stand-in searched, not the model")
        credited = self.witnesses.attack.bincount(minlength=len(self.attackers))
        for attacker, number in zip(self.attackers, credited.tolist(), strict=True):
            lines.append(f"  {attacker.label}: broke {number}")
        lines += [f"  {label}: failed ({text})" for label, text in self.suite.errors.items()]
        looked = sum(sign.status != NOT_RUN for sign in self.signs)
        if looked and not self.flags:
            lines.append(f"no flag raised by {looked} signs of hidden gradients or weak attacks")
        lines += [str(flag) for flag in self.flags]
        return "\n".join(lines)
