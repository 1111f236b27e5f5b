"""Fast gradient sign method (Goodfellow, Shlens and Szegedy 2015, arXiv:1412.6572)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from .. import keyed
from ..losses import LOSSES
from ..noise import at_corner, on_surface
from ..oracle import Oracle
from ..threat import ThreatModel


def fgsm(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    keys: Tensor,
    seed: int = 0,
    loss: Literal["cross_entropy", "margin", "dlr"] = "cross_entropy",
    random_start: bool = False,
) -> Tensor:
    """One step of the whole budget: to where ball and box let a linear network's loss rise most.

    In L-infinity that is the gradient's sign; in L2 its direction, cut off pixel by pixel at the
    box; in L1 the steepest pixels, each as far as the box.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K).
        x, y: images and labels (N,).
        threat: norm and budget.
        keys: (N,) the examples' indices.
        seed: changes every random start.
        loss: what is climbed.
        random_start: half of the budget goes into a random step, a corner of the ball in
            L-infinity, before the gradient is asked (R+FGSM, Tramer et al. 2018,
            arXiv:1705.07204).

    Returns:
        Perturbed images (N, C, H, W) inside ball and box.
    """
    oracle = Oracle.of(model)
    point, step = x, threat
    if random_start:
        step = ThreatModel(threat.norm, threat.eps / 2)
        draw = at_corner if threat.norm == "linf" else on_surface
        state = keyed.stream(keys, seed, "fgsm")
        point = threat.project(x + draw(state, tuple(x.shape[1:]), step), x)
    grad = oracle.ascent(point, keys, LOSSES[loss], y).grad
    return threat.project(step.extreme(grad, point), x)
