"""Where each example of a suite stands on the grid of budgets, and the table of what was found."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .generators import kept
from .geometry import threat_of
from .losses import is_broken
from .oracle import Oracle
from .registry import Attacker, load
from .threat import column
from .verdict import BROKEN, ERROR, SURVIVED, judge, read_as, within

RUN, SKIPPED, IMPLIED = 0, 1, 2


class Cascade:
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
        self.clean_pred, self.clean_confidence = read_as(clean)
        posed, self.posed_y = oracle.problem(clean, y, keys)  # what attacks are given as labels
        self.right = posed.argmax(dim=1) == self.posed_y
        count, levels = len(x), len(self.grid)

        def each(value: float, dtype: torch.dtype) -> Tensor:
            return torch.full((count,), value, dtype=dtype, device=x.device)

        # The budget an example is tried at now, as a position in the grid; -1 when it is done.
        self.level = torch.where(self.right, levels - 1, -1)
        self.turn = each(0, torch.int64)  # the attack that comes next at that budget
        self.survived = each(-1, torch.int64)  # the level that all attacks left unbroken
        self.failed = each(0, torch.bool)  # an attack crashed at this budget
        self.begun = each(0, torch.bool)  # an attack began at the witness at this budget
        self.best = each(torch.inf, torch.float64)  # the smallest budget known to break it
        self.distance = each(torch.inf, torch.float32)  # of the witness
        self.credit = each(-1, torch.int64)  # the attack that made it
        self.answer = threat_of(norm, 0.0, x).unchanged(x)  # the attack's, of the witness
        self.witness_pred = self.clean_pred.clone()
        # Of the answers that broke nothing at this budget, the one of highest margin.
        self.closest = torch.full_like(self.answer, torch.nan)
        self.highest = each(-torch.inf, torch.float32)
        # The nearest image that a minimum-norm attack broke, within a budget or not.
        self.nearest = torch.full_like(self.answer, torch.nan)
        self.reached = each(torch.inf, torch.float32)
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

    def next_attack(self) -> int | None:
        """The first attack whose turn it is for any example; None when all are done.

        Those whose turn it is for a later one wait, so that it is run on as many as possible at
        once, each at its own budget: what a step costs whatever their number is paid once.
        """
        turns = self.turn[self.level >= 0]
        return int(turns.min()) if len(turns) else None

    def attack(self, code: int, attacker: Attacker) -> Tensor:
        """Run an attack on all whose turn it is, each at its budget; return who was tried, (M,)."""
        mine = (self.level >= 0) & (self.turn == code)
        todo = mine
        if attacker.entry.kind == "minimum":
            # Its nearest image lies beyond this budget, or it would not be the example's budget.
            known = (mine & self.answered[code]).nonzero()[:, 0]
            self.table["how"][self.level[known], code, known] = IMPLIED
            todo = mine & ~self.answered[code]
        rows = todo.nonzero()[:, 0]
        if len(rows):
            self._run(code, attacker, rows)
        self.turn[mine] += 1
        return rows

    def budget(self) -> Tensor:
        """The budget of each example, (N,) float64; of those that are done, the smallest."""
        return self.grid[self.level.clamp_min(0)]

    def _run(self, code: int, attacker: Attacker, todo: Tensor) -> None:
        keys, eps = self.keys[todo], self.budget()[todo]
        cell = (self.level[todo], torch.full_like(todo, code), todo)
        self.table["how"][cell] = RUN
        before = self.oracle.passes(keys)
        try:
            # A user's attack may draw from torch's own generators.
            with kept(self.x.device, self.seed), torch.enable_grad():
                answer = self._call(attacker, todo, eps).detach()
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
        inside = judged.distance <= within(eps)
        self._dispute(todo, answer, (judged.outcome == SURVIVED) & inside)
        higher = (judged.outcome == SURVIVED) & inside & (judged.margin > self.highest[todo])
        self.closest[todo[higher]] = answer[higher]
        self.highest[todo[higher]] = judged.margin[higher]
        if attacker.entry.kind == "minimum":
            nearer = (judged.margin > 0) & (judged.distance < self.reached[todo])
            self.nearest[todo[nearer]] = answer[nearer]
            self.reached[todo[nearer]] = judged.distance[nearer]
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
        fits = (within(self.grid)[:, None] >= near.double()) & (
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
        takes = inspect.signature(function).parameters
        if attacker.entry.kind == "minimum":
            if "reach" in takes:
                given["reach"] = eps.to(x.dtype)
            return function(self.oracle, x, y, self.norm, **given)
        threat = threat_of(self.norm, eps, x)
        if "start" in takes:
            # What broke a larger ball is a good place to begin in this one; NaN where nothing did.
            # For one attack: those after it begin as they would in a run of this budget alone.
            answer = self.answer[todo]
            fresh = self.best[todo].isfinite() & ~self.begun[todo]
            self.begun[todo] |= fresh
            witness = column(fresh, answer)
            given["start"] = torch.where(witness, answer, torch.nan)
        if "closest" in takes:
            given["closest"] = self.closest[todo]
        if "nearest" in takes:
            given["nearest"] = self.nearest[todo]
        oracle = self.oracle.within(self.keys[todo], x, self.norm, eps)
        return function(oracle, x, y, threat, **given)

    def step_down(self) -> None:
        """Broken examples go to their next open budget; whom all attacks left unbroken is done."""
        active = self.level >= 0
        broken = active & (self.best <= within(self.budget()))
        over = active & ~broken & (self.turn == len(self.answered))
        done = over & ~self.failed
        self.survived[done] = self.level[done]
        # Budgets too small for the witness are those before its place in the grid.
        fitting = torch.bucketize(self.best.double(), within(self.grid))
        self.level = torch.where(broken, fitting - 1, self.level - over.long())
        self.level[done] = -1
        self.level.clamp_min_(-1)
        moved = broken | over
        self.turn[moved] = 0
        self.failed[moved] = False
        self.begun[moved] = False
        self.closest[moved] = torch.nan
        self.highest[moved] = -torch.inf
