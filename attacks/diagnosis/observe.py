"""What a network does that makes attacks fail for the wrong reason, counted in images.

Judged by `flags`. Costs a few passes on each image.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .. import keyed
from ..losses import Loss, lead, margin, rival
from ..noise import in_ball
from ..oracle import Oracle
from ..registry import L_NORMS, Attacker, largest_eps
from ..suite import run_suite
from ..threat import ThreatModel, column
from ..verdict import BROKEN
from .answers import of_answers
from .flags import Counts

FRAGILE = 1e-5


class Broken(NamedTuple):
    """Images (M, C, H, W) that were broken, and what broke them.

    Attributes:
        x, x_adv: originals and witnesses.
        y, keys: labels and indices (M,).
        room: (M,) by how much each perturbation could be longer and stay in its budget, >= 1; 1 of
            a transformation.
    """

    x: Tensor
    x_adv: Tensor
    y: Tensor
    keys: Tensor
    room: Tensor


def broken(norm: str, x: Tensor, keys: Tensor, y: Tensor, found: Callable[[str], Tensor]) -> Broken:
    """The witnesses of the images x (N, C, H, W) with the indices `keys` (N,) and labels y.

    `found` gives a column of `suite.Witnesses` by its name.
    """
    index = found("index").to(x.device)
    hit = torch.isin(index, keys)
    order = keys.argsort()
    row = order[torch.searchsorted(keys[order], index[hit])]
    eps, distance = found("eps").to(x.device)[hit], found("distance").to(x.device)[hit]
    room = (eps / distance.double().clamp_min(1e-12)).float().clamp_min(1)
    room = room if norm in L_NORMS else torch.ones_like(room)
    return Broken(x[row], found("x_adv").to(x.device)[hit], y[row], keys[row], room)


def observe(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    keys: Tensor,
    norm: str,
    eps: float,
    attackers: Sequence[Attacker],
    witnesses: Broken,
    *,
    seed: int = 0,
) -> Counts:
    """What the model itself and its broken images tell, whatever each attack broke.

    Args:
        oracle: the model.
        x, y, keys: images (N, C, H, W) that it reads rightly, labels and indices (N,).
        norm, eps: of the threat; one budget.
        attackers: run with large budgets.
        witnesses: those of these images that were broken.
        seed: of every random draw.

    Returns:
        Counts of images by the names of `flags.SIGNS`, and what `whole.of_whole` reads; `n` is how
        many images there are.
    """
    counts: Counts = {"n": len(x)}
    if len(x):
        counts |= of_gradients(oracle, x, y, keys, norm, eps, seed)
        counts |= of_answers(oracle, x, y, keys, seed)
        counts |= of_large_balls(oracle, x, y, keys, norm, attackers, seed)
        if not counts["random"] and not counts["company"]:  # else another pass differs anyway
            counts |= of_witnesses(oracle, witnesses)
    return counts


def of_gradients(
    oracle: Oracle, x: Tensor, y: Tensor, keys: Tensor, norm: str, eps: float, seed: int
) -> Counts:
    """Gradients that are zero or not finite, or would be zero in the cross-entropy.

    Returns:
        Counts of images: zero, saturated (names of `flags.SIGNS`).
    """
    # Where a gradient overflows attacks see zeros, so for once it is looked at as it comes.
    raw = Oracle(oracle.model, slots=oracle.slots, search=oracle.search, repair=False)
    gradient = _gradient(raw, x, y, keys, margin)
    clean = _still(gradient)
    zero = clean | _overflowing(gradient)
    if norm in L_NORMS:
        threat = ThreatModel(norm, eps)
        state = keyed.stream(keys, seed, "signs")
        inside = threat.project(x + in_ball(state, tuple(x.shape[1:]), threat), x)
        gradient = _gradient(raw, inside, y, keys, margin)
        zero |= _still(gradient) | _overflowing(gradient)
    saturated = _still(_gradient(oracle, x, y, keys, _cross_entropy)) & ~clean
    return {"zero": int(zero.sum()), "saturated": int(saturated.sum())}


def _still(gradient: Tensor) -> Tensor:
    """Where the gradient (N, D) is zero, as attacks see it, (N,) bool."""
    return ((gradient == 0) | ~gradient.isfinite()).all(dim=1)


def _overflowing(gradient: Tensor) -> Tensor:
    """Where any pixel's gradient is not finite, (N,) bool."""
    return ~gradient.isfinite().all(dim=1)


def _gradient(oracle: Oracle, x: Tensor, y: Tensor, keys: Tensor, loss: Loss) -> Tensor:
    """The loss's gradient (N, D); zero if the model has none to give."""
    try:
        return oracle.ascent(x, keys, loss, y).grad.flatten(1)
    except RuntimeError:  # what autograd raises; the attacks tell it as their error
        return torch.zeros_like(x).flatten(1)


def _cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, y, reduction="none")


def of_large_balls(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    keys: Tensor,
    norm: str,
    attackers: Sequence[Attacker],
    seed: int,
) -> Counts:
    """What the attacks leave when the ball holds grey, and when it holds the whole box.

    Returns:
        unbounded, large: images that survive; majority: those of the most frequent label;
        constant_class: 1 if the network gives one class to all of these images, black, grey and
        white.
    """
    if norm not in L_NORMS:
        return {}
    whole = largest_eps(norm, x[0].numel())
    grid = [whole / 2, whole]
    # Here everything falls to the first: not to one that would look for the nearest image.
    attackers = sorted(attackers, key=lambda attacker: attacker.entry.kind == "minimum")
    found = run_suite(oracle, x, y, norm, grid, attackers, keys=keys, seed=seed)
    outcome = found.rows["outcome"].view(2, len(attackers), -1)
    survived = (outcome != BROKEN).all(dim=1).sum(dim=1).tolist()
    plain = torch.stack([torch.full_like(x[0], level) for level in (0.0, 0.5, 1.0)])
    whose = torch.cat([keys, keys[:1].expand(len(plain))])
    classes = oracle.logits(torch.cat([x, plain]), whose).argmax(dim=1).unique()
    return {
        "large": survived[0],
        "unbounded": survived[1],
        "majority": int(y.bincount().max()),
        "constant_class": int(len(classes) == 1),
    }


def of_witnesses(oracle: Oracle, witnesses: Broken) -> Counts:
    """Broken images whose verdict hangs by a thread, or on float32.

    A minimum-norm attack ends at the boundary, where a lead is small by intention. So a verdict is
    fragile only if the same perturbation leads no further at the full budget.

    Returns:
        fragile, precision; the latter None where the model cannot be run in float64; both None
        where a verdict is the majority over random draws, whose leads are counts of votes.
    """
    if oracle.draws:
        return {"fragile": None, "precision": None}
    x, x_adv, y, keys, room = witnesses
    if len(x) == 0:
        return {"fragile": 0, "precision": 0}
    further = (x + column(room, x) * (x_adv - x)).clamp(0, 1)
    leads = torch.maximum(*(_lead(oracle.judged(each, keys), y) for each in (x_adv, further)))
    counts: Counts = {"fragile": int((leads < FRAGILE).sum()), "precision": None}
    try:
        exact = Oracle(copy.deepcopy(oracle.model).double(), slots=oracle.slots)
        counts["precision"] = int((margin(exact.judged(x_adv.double(), keys), y) <= 0).sum())
    except Exception:  # no float64 on the device, or in the model's own code, or no copy of it
        pass
    return counts


def _lead(logits: Tensor, y: Tensor) -> Tensor:
    """By what share of their |logits| the best wrong class leads the label, (N,)."""
    return lead(rival(logits, y)[0], logits.gather(1, y[:, None])[:, 0])
