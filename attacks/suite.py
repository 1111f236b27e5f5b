"""A suite: attacks in order, on a grid of budgets, as a cascade that wastes no pass.

Each example walks down the grid by itself, from the largest budget. An attack that breaks it ends
its round (the other attacks are *skipped*), and it goes on at the largest budget that its witness
does not fit. When a round of all attacks leaves it unbroken, it is done: it survives every smaller
budget too (*implied*). Success is monotone in eps by construction, and examples at different
budgets share their passes. A minimum-norm attack runs once and answers every budget.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .check import check_model
from .geometry import threat_of
from .losses import is_broken
from .oracle import Oracle
from .registry import Attacker, load
from .threat import column
from .verdict import BROKEN, ERROR, SURVIVED, TOLERANCE, judge

RUN, SKIPPED, IMPLIED = 0, 1, 2


@dataclass(frozen=True)
class Witnesses:
    """The image that broke each broken example, at its smallest broken budget; M of them.

    `index` are the keys of the examples, not their rows. `theta` (M, P) are the parameters from
    which a transformation renders it; P is 0 in a ball.
    """

    index: Tensor
    label: Tensor
    prediction: Tensor
    eps: Tensor
    attack: Tensor
    distance: Tensor
    x_adv: Tensor
    theta: Tensor


class SuiteResult(NamedTuple):
    """What a suite found.

    Attributes:
        rows: columns of one row per example, attack and eps (names in `COLUMNS`).
        witnesses: one image for each example that was right and got broken.
        errors: attack label to the message of the first exception it raised.
        disputed: (N,) bool: an image of it was broken for what attacks search in place of the
            model, a fast path or another stand-in, and not for the model.
    """

    rows: dict[str, Tensor]
    witnesses: Witnesses
    errors: dict[str, str]
    disputed: Tensor


class Progress(NamedTuple):
    """What an attack just did: it tried `tried` examples at budgets from `low` to `high` and broke
    `broken`; `decided` of all examples are done with every budget.
    """

    attack: str
    low: float
    high: float
    broken: int
    tried: int
    decided: int


COLUMNS = (
    "index",
    "label",
    "clean_pred",
    "clean_confidence",
    "attack",
    "eps",
    "how",
    "outcome",
    "adv_pred",
    "adv_confidence",
    "distance",
    "margin",
    "forwards",
    "backwards",
)


def run_suite(
    model: nn.Module | Oracle,
    x: Tensor,
    y: Tensor,
    norm: str,
    eps_grid: Sequence[float],
    attackers: Sequence[Attacker],
    *,
    keys: Tensor | None = None,
    seed: int = 0,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> SuiteResult:
    """Attack every image with every attacker at every budget, as far as it is still undecided.

    Args:
        model: maps images (N, C, H, W) in [0, 1] to logits (N, K).
        x, y: float images and labels (N,), on the model's device. Memory grows with N: give a
            large set in parts; the results do not depend on how it is cut.
        norm: of every budget: a norm, or a kind of transformation.
        eps_grid: increasing budgets.
        attackers: in order, from `registry.resolve`. A minimum-norm attack is best put first: it
            says near which budget an example falls, and the others start there.
        keys: (N,) the examples' indices in their data set; 0..N-1 if not given.
        seed: of every random draw.
        on_progress: told after each attack.

    Raises:
        ModelError: if the model cannot be judged; before any attack.
    """
    oracle = Oracle.of(model)
    keys = torch.arange(len(x)) if keys is None else keys
    keys = keys.to(x.device)
    clean = check_model(oracle, x, y, keys)
    cascade = _Cascade(oracle, x, y, keys, norm, eps_grid, attackers, seed, clean)
    while bool((cascade.level >= 0).any()):
        for code, attacker in enumerate(attackers):
            tried = cascade.attack(code, attacker)
            if len(tried):
                on_progress(cascade.progress(attacker, tried))
        cascade.step_down()
    return cascade.result()


class _Cascade:
    """Where each example stands on the grid between attacks, and the table as it fills."""

    def __init__(
        self,
        oracle: Oracle,
        x: Tensor,
        y: Tensor,
        keys: Tensor,
        norm: str,
        eps_grid: Sequence[float],
        attackers: Sequence[Attacker],
        seed: int,
        clean: Tensor,
    ) -> None:
        self.oracle, self.x, self.y, self.keys = oracle, x, y, keys
        self.norm, self.seed = norm, seed
        self.grid = torch.tensor(list(eps_grid), dtype=torch.float64, device=x.device)
        top = clean.softmax(dim=1).max(dim=1)
        self.clean_pred, self.clean_confidence = top.indices, top.values
        posed, self.posed_y = oracle.problem(clean, y, keys)  # what attacks are given as labels
        self.right = posed.argmax(dim=1) == self.posed_y
        count, levels = len(x), len(self.grid)

        def each(value: float, dtype: torch.dtype) -> Tensor:
            return torch.full((count,), value, dtype=dtype, device=x.device)

        # The budget an example is tried at now, as a position in the grid; -1 when it is done.
        self.level = torch.where(self.right, levels - 1, -1)
        self.survived = each(-1, torch.int64)  # the level that a whole round left unbroken
        self.failed = each(0, torch.bool)  # an attack crashed in this round
        self.best = each(torch.inf, torch.float64)  # the smallest budget known to break it
        self.distance = each(torch.inf, torch.float32)  # of the witness
        self.credit = each(-1, torch.int64)  # the attack that made it
        self.answer = threat_of(norm, 0.0, x).unchanged(x)  # the attack's, of the witness
        self.witness_pred = self.clean_pred.clone()
        # Of the answers that broke nothing at this budget, the one of highest margin.
        self.closest = torch.full_like(self.answer, torch.nan)
        self.highest = each(-torch.inf, torch.float32)
        self.disputed = each(0, torch.bool)
        self.answered = torch.zeros(len(attackers), count, dtype=torch.bool, device=x.device)
        self.errors: dict[str, str] = {}

        def cells(value: float, dtype: torch.dtype) -> Tensor:
            return torch.full((levels, len(attackers), count), value, dtype=dtype, device=x.device)

        self.table = {
            "how": cells(SKIPPED, torch.int64),
            "outcome": cells(SURVIVED, torch.int64),
            "adv_pred": cells(-1, torch.int64),
            "adv_confidence": cells(torch.nan, torch.float32),
            "distance": cells(torch.nan, torch.float32),
            "margin": cells(torch.nan, torch.float32),
            "forwards": cells(0, torch.int64),
            "backwards": cells(0, torch.int64),
        }
        wrong = ~self.right
        self.table["outcome"][:, :, wrong] = BROKEN
        self.table["adv_pred"][:, :, wrong] = self.clean_pred[wrong]
        self.table["distance"][:, :, wrong] = 0.0

    def attack(self, code: int, attacker: Attacker) -> Tensor:
        """Run one attack on what is undecided, each at its budget; return who was tried, (M,)."""
        undecided = (self.level >= 0) & (self.best > self.budget() + TOLERANCE)
        if attacker.entry.kind == "minimum":
            # Its nearest image lies beyond this budget, or the example would not be undecided.
            known = (undecided & self.answered[code]).nonzero()[:, 0]
            self.table["how"][self.level[known], code, known] = IMPLIED
            undecided &= ~self.answered[code]
        todo = undecided.nonzero()[:, 0]
        if len(todo):
            self._run(code, attacker, todo)
        return todo

    def budget(self) -> Tensor:
        """The budget of each example, (N,) float64; of those that are done, the smallest."""
        return self.grid[self.level.clamp_min(0)]

    def _run(self, code: int, attacker: Attacker, todo: Tensor) -> None:
        keys, eps = self.keys[todo], self.budget()[todo]
        cell = (self.level[todo], torch.full_like(todo, code), todo)
        self.table["how"][cell] = RUN
        before = self.oracle.passes(keys)
        try:
            answer = self._call(attacker, todo, eps)
            answer = self.oracle.settle(answer, self.x[todo], self.norm, eps)
            judged = judge(self.oracle, self.x[todo], answer, self.y[todo], keys, self.norm, eps)
        except Exception as error:  # an attack's crash is a result: neither 0 % nor 100 %
            self.errors.setdefault(attacker.label, f"{type(error).__name__}: {error}")
            self.table["outcome"][cell] = ERROR
            self.failed[todo] = True
            return
        finally:
            after = self.oracle.passes(keys)
            for name, start, end in zip(("forwards", "backwards"), before, after, strict=True):
                self.table[name][cell] = (end - start).to(todo.device)
        self.table["outcome"][cell] = judged.outcome.long()
        self.table["adv_pred"][cell] = judged.prediction
        self.table["adv_confidence"][cell] = judged.confidence
        self.table["distance"][cell] = judged.distance
        self.table["margin"][cell] = judged.margin
        self.failed[todo[judged.outcome == ERROR]] = True
        self.answered[code, todo[judged.outcome != ERROR]] = True
        inside = judged.distance <= eps + TOLERANCE
        self._dispute(todo, answer, (judged.outcome == SURVIVED) & inside)
        higher = (judged.outcome == SURVIVED) & inside & (judged.margin > self.highest[todo])
        self.closest[todo[higher]] = answer[higher]
        self.highest[todo[higher]] = judged.margin[higher]
        fell = judged.outcome == BROKEN
        hit, near = todo[fell], judged.distance[fell]
        self.answer[hit], self.distance[hit], self.credit[hit] = answer[fell], near, code
        self.witness_pred[hit] = judged.prediction[fell]
        if attacker.entry.kind == "noise":
            # Noise that the box has shortened is no draw of a smaller size: taking it for one
            # would give the smaller budget the best of many draws.
            near = eps[fell]
        self.best[hit] = near.double()
        # The same witness breaks it at every smaller budget that it fits.
        fits = (self.grid[:, None] + TOLERANCE >= near.double()) & (
            torch.arange(len(self.grid), device=todo.device)[:, None] < self.level[hit]
        )
        level, row = fits.nonzero(as_tuple=True)
        below = (level, torch.full_like(level, code), hit[row])
        self.table["how"][below] = IMPLIED
        self.table["outcome"][below] = BROKEN
        self.table["adv_pred"][below] = judged.prediction[fell][row]
        self.table["distance"][below] = near[row].float()

    def _dispute(self, todo: Tensor, answer: Tensor, stood: Tensor) -> None:
        """Note which of the examples that `stood`, (M,) bool, had fallen for a stand-in."""
        rows = todo[stood]
        if self.oracle.search is self.oracle.model or len(rows) == 0:
            return
        x, keys = self.x[rows], self.keys[rows]
        image = threat_of(self.norm, 0.0, x).image(answer[stood], x)
        logits = self.oracle.logits(image, keys, count=False)
        believed = is_broken(*self.oracle.problem(logits, self.y[rows], keys))
        self.disputed[rows[believed]] = True

    def _call(self, attacker: Attacker, todo: Tensor, eps: Tensor) -> Tensor:
        function = load(attacker.entry)
        given: dict[str, Any] = {"keys": self.keys[todo], "seed": self.seed, **attacker.settings}
        x, y = self.x[todo], self.posed_y[todo]
        if attacker.entry.kind == "minimum":
            return function(self.oracle, x, y, self.norm, **given)
        threat = threat_of(self.norm, eps, x)
        if attacker.entry.kind == "fixed":
            # What broke a larger ball is a good place to begin in this one; NaN where nothing did.
            answer = self.answer[todo]
            witness = column(self.best[todo].isfinite(), answer)
            given["start"] = torch.where(witness, answer, torch.nan)
            if "closest" in inspect.signature(function).parameters:
                given["closest"] = self.closest[todo]
        oracle = self.oracle.within(self.keys[todo], x, self.norm, eps)
        return function(oracle, x, y, threat, **given)

    def step_down(self) -> None:
        """After a round: broken examples go to the next open budget, survivors are done."""
        active = self.level >= 0
        broken = active & (self.best <= self.budget() + TOLERANCE)
        done = active & ~broken & ~self.failed
        self.survived[done] = self.level[done]
        # Budgets too small for the witness are those before its place in the grid.
        fitting = torch.bucketize(self.best.double() - TOLERANCE, self.grid)
        self.level = torch.where(broken, fitting - 1, torch.where(done, -1, self.level - 1))
        self.level.clamp_min_(-1)
        self.failed[:] = False
        self.closest[active] = torch.nan
        self.highest[active] = -torch.inf

    def progress(self, attacker: Attacker, tried: Tensor) -> Progress:
        eps = self.budget()[tried]
        fell = int((self.best[tried] <= eps + TOLERANCE).sum())
        decided = int((self.level < 0).sum())
        return Progress(
            attacker.label, float(eps.min()), float(eps.max()), fell, len(tried), decided
        )

    def result(self) -> SuiteResult:
        levels, attacks, count = self.table["how"].shape
        below = torch.arange(levels, device=self.x.device)[:, None] < self.survived
        how = self.table["how"]
        how[below[:, None].expand_as(how) & (how == SKIPPED)] = IMPLIED

        def spread(values: Tensor, dim: int) -> Tensor:
            shape = [1, 1, 1]
            shape[dim] = -1
            return values.view(shape).expand(levels, attacks, count)

        columns = self.table | {
            "index": spread(self.keys, 2),
            "label": spread(self.y, 2),
            "clean_pred": spread(self.clean_pred, 2),
            "clean_confidence": spread(self.clean_confidence, 2),
            "attack": spread(torch.arange(attacks, device=self.x.device), 1),
            "eps": spread(self.grid, 0),
        }
        rows = {name: columns[name].reshape(-1).cpu() for name in COLUMNS}
        hit = (self.right & self.best.isfinite()).nonzero()[:, 0]
        smallest = torch.bucketize(self.best[hit].double() - TOLERANCE, self.grid)
        threat, answer = threat_of(self.norm, 0.0, self.x), self.answer[hit]
        witnesses = Witnesses(
            index=self.keys[hit].cpu(),
            label=self.y[hit].cpu(),
            prediction=self.witness_pred[hit].cpu(),
            eps=self.grid[smallest].cpu(),
            attack=self.credit[hit].cpu(),
            distance=self.distance[hit].cpu(),
            x_adv=threat.image(answer, self.x[hit]).cpu(),
            theta=threat.theta(answer).cpu(),
        )
        return SuiteResult(rows, witnesses, self.errors, self.disputed.cpu())
