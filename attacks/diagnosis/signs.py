"""Signs that a result is not to be trusted, looked for after the attacks.

Judged by `flags`. Costs a few passes on each examined image, and more on those that survive.
"""

from __future__ import annotations

from collections.abc import Sequence

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
# hundreds of queries already break much.
QUERIES = 200
DRAWS = 20


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
    rank = keyed.stream(keys, seed, "signs").masked_fill(~right, torch.iinfo(torch.int64).max)
    chosen = rank.argsort(stable=True)[: min(count, int(right.sum()))]
    x, y, keys, broken = x[chosen], y[chosen], keys[chosen], broken[chosen]
    witnesses = broken_images(threat.norm, x, keys, y, lambda name: getattr(found.witnesses, name))
    eps = float(threat.eps)
    counts = observe(oracle, x, y, keys, threat.norm, eps, attackers, witnesses, seed=seed)
    if not gradients:
        counts |= {"zero": None, "saturated": None}
    if len(x):
        counts |= single_step_only(oracle, x, y, keys, threat, attackers, seed)
        left = ~broken
        counts |= missed(oracle, x[left], y[left], keys[left], threat, attackers, seed)
        free = torch.tensor([not attacker.entry.gradients for attacker in attackers])
        if threat.norm in L_NORMS and free.any() and not free.all():
            by_search = found.witnesses.index[free[found.witnesses.attack]]
            hit = torch.isin(keys, by_search.to(keys.device))
            counts |= searched_only(oracle, x[hit], y[hit], keys[hit], threat, attackers, seed)
    return counted(counts) + of_whole(counts)


def single_step_only(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    keys: Tensor,
    threat: Threat,
    attackers: Sequence[Attacker],
    seed: int,
) -> Counts:
    """Images that FGSM breaks and the iterative attacks, alone on them, do not."""
    iterative = [a for a in attackers if a.entry.gradients and a.attack != "fgsm"]
    fgsm = ATTACKS["fgsm"]
    if not iterative or threat.norm not in fgsm.norms:
        return {}
    step = _broken(oracle, x, y, keys, threat, [Attacker("fgsm", "fgsm", fgsm)], seed)
    x, y, keys = x[step], y[step], keys[step]
    if len(x) == 0:
        return {"single_step": 0}
    return {"single_step": int((~_broken(oracle, x, y, keys, threat, iterative, seed)).sum())}


def searched_only(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    keys: Tensor,
    threat: Threat,
    attackers: Sequence[Attacker],
    seed: int,
) -> Counts:
    """Of images that an attack without gradients broke: how many no attack with gradients does.

    The cascade has tried those before it; it spared the images those after it.
    """
    first = next(row for row, attacker in enumerate(attackers) if not attacker.entry.gradients)
    later = [attacker for attacker in attackers[first:] if attacker.entry.gradients]
    if not later or len(x) == 0:
        return {"black_box": len(x)}
    return {"black_box": int((~_broken(oracle, x, y, keys, threat, later, seed)).sum())}


def missed(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    keys: Tensor,
    threat: Threat,
    attackers: Sequence[Attacker],
    seed: int,
) -> Counts:
    """Of images that survived: how many random search breaks, and how many noise does."""
    if threat.norm not in L_NORMS:
        return {}
    noise = [
        Attacker(kind, kind, entry, {"draws": DRAWS})
        for kind, entry in NOISE.items()
        if threat.norm in entry.norms
    ]
    search = [Attacker("square", "square", ATTACKS["square"], {"queries": QUERIES})]
    asked = {"noise_only": noise, "black_box": search}
    if not all(attacker.entry.gradients for attacker in attackers):
        del asked["black_box"]  # it was searched already
    if len(x) == 0:
        return dict.fromkeys(asked, 0)
    return {
        name: int(_broken(oracle, x, y, keys, threat, those, seed).sum())
        for name, those in asked.items()
    }


def _broken(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    keys: Tensor,
    threat: Threat,
    attackers: Sequence[Attacker],
    seed: int,
) -> Tensor:
    """Which of these images any of the attackers breaks, (N,) bool."""
    found = run_suite(
        oracle, x, y, threat.norm, [float(threat.eps)], attackers, keys=keys, seed=seed
    )
    return (found.rows["outcome"] == BROKEN).view(len(attackers), -1).any(dim=0).to(x.device)
