"""The verdict: an image is broken only if this says so, whatever the attack believed."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .geometry import threat_of
from .losses import is_broken, margin
from .oracle import Oracle

# A float32 image inside a ball may stand outside by rounding; more than this is outside.
TOLERANCE = 1e-6

SURVIVED, BROKEN, ERROR = 0, 1, 2


class Judgement(NamedTuple):
    """One row per example, each (N,).

    Attributes:
        outcome: SURVIVED, BROKEN, or ERROR where the logits are not finite.
        prediction: the class of the judged image.
        confidence: its softmax probability.
        margin: best wrong logit minus the label's.
        distance: of the judged image from the original, in the norm.
    """

    outcome: Tensor
    prediction: Tensor
    confidence: Tensor
    margin: Tensor
    distance: Tensor


def judge(
    oracle: Oracle,
    x: Tensor,
    answer: Tensor,
    y: Tensor,
    keys: Tensor,
    norm: str,
    eps: float | Tensor,
) -> Judgement:
    """Judge perturbed images by the original model, in eval mode and IEEE float32.

    Broken means: finite, inside [0, 1], within `eps` of the original (tolerance 1e-6), and
    misclassified with the wrong class ahead of the label by more than 1e-6 of the larger of their
    |logits|; of a view, such as a targeted one, broken by the problem that it poses.

    Args:
        oracle: the model.
        x: originals (N, C, H, W), float32.
        answer: what an attack answered: perturbed images (N, C, H, W); of a transformation, its
            parameters (N, P), from which the image is rendered here.
        y, keys: labels and indices (N,).
        norm: of the threat model.
        eps: its budget, one number or one for each example (N,).
    """
    threat = threat_of(norm, eps, x)
    x_adv, distance = threat.image(answer, x), threat.distance(answer, x)
    logits = oracle.judged(x_adv, keys)
    flat = x_adv.flatten(1)
    feasible = (flat.amin(dim=1) >= 0) & (flat.amax(dim=1) <= 1) & (distance <= within(eps))
    posed, label = oracle.problem(logits, y, keys)
    outcome = (feasible & is_broken(posed, label)).int() * BROKEN
    outcome[~logits.isfinite().all(dim=1)] = ERROR
    return Judgement(outcome, *read_as(logits), margin(posed, label), distance)


def within(eps: float | Tensor) -> Tensor:
    """The largest distance that counts as within a budget; of no budget, none."""
    budget = torch.as_tensor(eps)
    return budget + budget.clamp_max(TOLERANCE)


def read_as(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The class that each image is read as, and its softmax probability, (N,) each.

    The class of the largest logit: in float32 probabilities tie where logits differ by very little.
    """
    return logits.argmax(dim=1), logits.softmax(dim=1).amax(dim=1)
