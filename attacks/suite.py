"""A suite: attacks in order, on a grid of budgets, as a cascade that wastes no pass.

Each example walks down the grid by itself, from the largest budget. When an attack breaks it, the
others are *skipped*, and it goes on at the largest budget that its witness does not fit, with the
first attack. When all attacks leave it unbroken, it is done: it survives every smaller budget too
(*implied*). Success is monotone in eps by construction. Examples wait for one another: an attack
runs when no earlier one has work left, on all whose turn it is, whatever their budgets. A
minimum-norm attack runs once and answers every budget.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .cascade import IMPLIED, SKIPPED, Cascade
from .check import check_model
from .errors import ThreatError
from .geometry import threat_of
from .oracle import Oracle, usable
from .registry import Attacker
from .verdict import within


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


@torch.inference_mode(False)
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
        ThreatError: if the grid is empty, does not increase, or holds what is no budget.
    """
    budgets = list(eps_grid)
    if not budgets or not all(map(math.isfinite, budgets)) or budgets[0] < 0:
        raise ThreatError(f"eps_grid must hold numbers >= 0, got {budgets}")
    if any(small >= large for small, large in itertools.pairwise(budgets)):
        raise ThreatError(f"eps_grid must increase, got {budgets}")
    oracle = Oracle.of(model)
    x, y = usable(x, "images"), usable(y, "labels")
    keys = torch.arange(len(x)) if keys is None else usable(keys, "keys")
    keys = keys.to(x.device)
    clean = check_model(oracle, x, y, keys)
    cascade = Cascade(oracle, x, y, keys, norm, eps_grid, attackers, seed, clean)
    while (code := cascade.next_attack()) is not None:
        tried = cascade.attack(code, attackers[code])
        eps = cascade.budget()[tried]
        cascade.step_down()
        if len(tried):
            on_progress(_progress(cascade, attackers[code], tried, eps))
    return _result(cascade)


def _progress(cascade: Cascade, attacker: Attacker, tried: Tensor, eps: Tensor) -> Progress:
    fell = int((cascade.best[tried] <= within(eps)).sum())
    decided = int((cascade.level < 0).sum())
    return Progress(attacker.label, float(eps.min()), float(eps.max()), fell, len(tried), decided)


def _result(cascade: Cascade) -> SuiteResult:
    levels, attacks, count = cascade.table["how"].shape
    below = torch.arange(levels, device=cascade.x.device)[:, None] < cascade.survived
    how = cascade.table["how"]
    how[below[:, None].expand_as(how) & (how == SKIPPED)] = IMPLIED

    def spread(values: Tensor, dim: int) -> Tensor:
        shape = [1, 1, 1]
        shape[dim] = -1
        return values.view(shape).expand(levels, attacks, count)

    columns = cascade.table | {
        "index": spread(cascade.keys, 2),
        "label": spread(cascade.y, 2),
        "clean_pred": spread(cascade.clean_pred, 2),
        "clean_confidence": spread(cascade.clean_confidence, 2),
        "attack": spread(torch.arange(attacks, device=cascade.x.device), 1),
        "eps": spread(cascade.grid, 0),
    }
    rows = {name: columns[name].reshape(-1).cpu() for name in COLUMNS}
    hit = (cascade.right & cascade.best.isfinite()).nonzero()[:, 0]
    smallest = torch.bucketize(cascade.best[hit].double(), within(cascade.grid))
    threat, answer = threat_of(cascade.norm, 0.0, cascade.x), cascade.answer[hit]
    witnesses = Witnesses(
        index=cascade.keys[hit].cpu(),
        label=cascade.y[hit].cpu(),
        prediction=cascade.witness_pred[hit].cpu(),
        eps=cascade.grid[smallest].cpu(),
        attack=cascade.credit[hit].cpu(),
        distance=cascade.distance[hit].cpu(),
        x_adv=threat.image(answer, cascade.x[hit]).cpu(),
        theta=threat.theta(answer).cpu(),
    )
    return SuiteResult(rows, witnesses, cascade.errors, cascade.disputed.cpu())
