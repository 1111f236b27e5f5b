"""Signs that a result is not to be trusted, looked for after the attacks.

Judged by `flags`. Costs a few passes on each examined image, and more on those that survive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from .. import keyed
from ..geometry import Threat
from ..oracle import Oracle
from ..registry import ATTACKS, L_NORMS, NOISE, Attacker
from ..suite import SuiteResult, run_suite
from ..verdict import BROKEN
from .flags import Counts, Flag, counted
from .observe import broken as broken_images
from .observe import observe
from .whole import of_whole

# Random search and noise on what the attacks left. On networks that hide their gradients the first
# hundreds of queries already break much; noise adds little to them, though 5 draws of each kind
# find less than 20 would (residual/masked after FGSM alone: 4 of 241 images, and 10).
QUERIES = 200
DRAWS = 5


def signs(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    keys: Tensor,
    threat: Threat,
    attackers: Sequence[Attacker],
    found: SuiteResult,
    *,
    seed: int = 0,
    count: int = 200,
    gradients: bool = True,
) -> list[Flag]:
    """Look for signs on at most `count` of the images that `attackers` were run on.

    Args:
        oracle: the model.
        x, y, keys: images (N, C, H, W), labels and indices (N,).
        threat: norm and the one budget.
        attackers, found: what was run, in order, and its result.
        seed: of every random draw.
        count: a keyed, nested subset; those misread without any change are left out.
        gradients: False for a model that is known to have none: that is then no sign.
    """
    rows = found.rows
    broken = (rows["outcome"] == BROKEN).view(len(attackers), -1).any(dim=0).to(x.device)
    right = (rows["clean_pred"] == rows["label"])[: len(x)].to(x.device)
    searched = _searched_only(_Asked(oracle, x, y, keys, threat, seed), attackers, found)
    rank = keyed.stream(keys, seed, "signs").masked_fill(~right, torch.iinfo(torch.int64).max)
    chosen = rank.argsort(stable=True)[: min(count, int(right.sum()))]
    x, y, keys, broken = x[chosen], y[chosen], keys[chosen], broken[chosen]
    witnesses = broken_images(threat.norm, x, keys, y, lambda name: getattr(found.witnesses, name))
    eps = float(threat.eps)
    counts = observe(oracle, x, y, keys, threat.norm, eps, attackers, witnesses, seed=seed)
    if not gradients:
        counts |= {"zero": None, "saturated": None}
    if len(x):
        asked = _Asked(oracle, x, y, keys, threat, seed)
        counts |= _single_step_only(asked, attackers)
        counts |= _missed(asked.at(~broken), attackers)
    if searched is not None:
        counts |= {"black_box": searched, "n_black_box": int(right.sum())}
    return counted(counts) + of_whole(counts)


@dataclass(frozen=True)
class _Asked:
    """Rightly read images (N, C, H, W), and what it takes to attack them again."""

    oracle: Oracle
    x: Tensor
    y: Tensor
    keys: Tensor
    threat: Threat
    seed: int

    def __len__(self) -> int:
        return len(self.x)

    def at(self, rows: Tensor) -> Self:
        """Those of the images that `rows` (N,) bool names."""
        return replace(self, x=self.x[rows], y=self.y[rows], keys=self.keys[rows])

    def broken(self, attackers: Sequence[Attacker]) -> Tensor:
        """Which of the images any of the attackers breaks, (N,) bool."""
        norm, grid = self.threat.norm, [float(self.threat.eps)]
        found = run_suite(
            self.oracle, self.x, self.y, norm, grid, attackers, keys=self.keys, seed=self.seed
        )
        outcome = found.rows["outcome"].view(len(attackers), -1)
        return (outcome == BROKEN).any(dim=0).to(self.x.device)


def _single_step_only(asked: _Asked, attackers: Sequence[Attacker]) -> Counts:
    """Images that FGSM breaks and the iterative attacks, alone on them, do not."""
    iterative = [a for a in attackers if a.entry.gradients and a.attack != "fgsm"]
    fgsm = ATTACKS["fgsm"]
    if not iterative or asked.threat.norm not in fgsm.norms:
        return {}
    fell = asked.at(asked.broken([Attacker("fgsm", "fgsm", fgsm)]))
    if len(fell) == 0:
        return {"single_step": 0}
    return {"single_step": int((~fell.broken(iterative)).sum())}


def _searched_only(asked: _Asked, attackers: Sequence[Attacker], found: SuiteResult) -> int | None:
    """How many images an attack without gradients broke and no attack with gradients does: of all
    images, not of a part, for one is a sign. None where only one kind was run.

    The cascade has tried those before it; it spared the images those after it.
    """
    free = torch.tensor([not attacker.entry.gradients for attacker in attackers])
    if asked.threat.norm not in L_NORMS or free.all() or not free.any():
        return None
    by_search = found.witnesses.index[free[found.witnesses.attack]]
    hit = asked.at(torch.isin(asked.keys, by_search.to(asked.keys.device)))
    first = int(free.int().argmax())
    later = [attacker for attacker in attackers[first:] if attacker.entry.gradients]
    return int((~hit.broken(later)).sum()) if later and len(hit) else len(hit)


def _missed(asked: _Asked, attackers: Sequence[Attacker]) -> Counts:
    """Of images that survived: how many random search breaks, and how many noise does."""
    norm = asked.threat.norm
    if norm not in L_NORMS:
        return {}
    noise = [
        Attacker(kind, kind, entry, {"draws": DRAWS})
        for kind, entry in NOISE.items()
        if norm in entry.norms
    ]
    search = [Attacker("square", "square", ATTACKS["square"], {"queries": QUERIES})]
    tried = {"noise_only": noise, "black_box": search}
    if not all(attacker.entry.gradients for attacker in attackers):
        del tried["black_box"]  # it was searched already
    if len(asked) == 0:
        return dict.fromkeys(tried, 0)
    return {name: int(asked.broken(those).sum()) for name, those in tried.items()}
