"""What an attack climbs: one value per example, larger where the model is closer to wrong.

All take logits (N, K) and labels (N,) and return (N,). They are summed, never averaged, so that a
gradient does not depend on how many images share the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# A wrong class must lead the label by this share of the larger of their |logits|: a tie is not a
# break. Of the two alone: a class that is switched off by a logit of -1e9 has no part in it.
LEAD = 1e-6

Loss = Callable[..., Tensor]
Aim = tuple[Loss, tuple[Tensor, ...]]  # what is climbed, and the labels it takes: true ones first


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy as attacks climb it: the log-odds log(p_wrong / p_y), of which it is softplus.

    The two rise together and their gradients point the same way. But where a network is sure of
    itself, the cross-entropy's own gradient rounds to zero in float32, and an attack would stand
    still before a network whose logits were multiplied by 10,000.
    """
    return _LogOdds.apply(logits, y)


class _LogOdds(torch.autograd.Function):
    """Its gradient in closed form, and no `logsumexp`, which looks for infinities first: together
    they would take a tenth of a small network's step."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, y: Tensor) -> Tensor:
        label = y[:, None]
        wrong = logits.scatter(1, label, -torch.inf)
        share = wrong.softmax(dim=1)
        # log p_wrong by the likeliest of the wrong classes: its logit, over its share of them.
        wrong = wrong.amax(dim=1) - share.amax(dim=1).log_()
        ctx.save_for_backward(share.scatter_(1, label, -1.0))
        return wrong - logits.gather(1, label)[:, 0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return slope * grads[0][:, None], None


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """Best wrong logit minus the label's, positive where wrong (Carlini and Wagner 2017)."""
    return rival(logits, y)[0] - logits.gather(1, y[:, None])[:, 0]


def gap(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """The logit of the class `target` (N,) minus the label's: the margin of one wrong class."""
    return (logits.gather(1, target[:, None]) - logits.gather(1, y[:, None]))[:, 0]


def dlr(logits: Tensor, y: Tensor) -> Tensor:
    """Difference of logits ratio (Croce and Hein 2020): the margin over the spread of the top 3.

    Immune to rescaled logits. With two classes there is no third logit, and the spread would be
    the margin itself: the plain margin is used.
    """
    if logits.shape[1] < 3:
        return margin(logits, y)
    top = logits.topk(3, dim=1).values
    return margin(logits, y) / (top[:, 0] - top[:, 2] + 1e-12)


def targeted_dlr(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """The gap of one wrong class over the spread of the top 4 (Croce and Hein 2020).

    The fourth logit keeps the spread away from the gap itself whichever class is the target, so
    at least four classes are needed.
    """
    top = logits.topk(4, dim=1).values
    return gap(logits, y, target) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + 1e-12)


def rival(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The largest logit of a wrong class and that class, (N,) each."""
    others = logits.scatter(1, y[:, None], -torch.inf)
    best = others.max(dim=1)
    return best.values, best.indices


def likeliest_wrong(logits: Tensor, y: Tensor, count: int) -> Tensor:
    """The classes of the largest wrong logits, likeliest first: (min(count, K - 1), N)."""
    wrong = logits.scatter(1, y[:, None], -torch.inf)
    order = wrong.argsort(dim=1, descending=True, stable=True)
    return order[:, : min(count, logits.shape[1] - 1)].T


def is_broken(logits: Tensor, y: Tensor) -> Tensor:
    """The verdict's own test, (N,) bool: a wrong class leads clearly. Non-finite logits do not:
    no lead is larger than a share of infinity, and nothing is larger than NaN."""
    wrong = logits.argmax(dim=1) != y
    if not wrong.any():  # mostly, after an attack's first steps; the rest takes five times as long
        return wrong
    return lead(rival(logits, y)[0], logits.gather(1, y[:, None])[:, 0]) > LEAD


def lead(ahead: Tensor, behind: Tensor) -> Tensor:
    """By what share of the larger of the two |logits| those `ahead` lead those `behind`, (N,)."""
    return (ahead - behind) / torch.maximum(ahead.abs(), behind.abs())


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "margin": margin, "dlr": dlr}


def towards(logits: Tensor, y: Tensor, targets: int, loss: str) -> list[Aim]:
    """What to climb towards each of the likeliest wrong classes: a loss, and its rows (N,).

    The targeted DLR; or the plain gap, where the classes are too few for a ratio or `loss`, the
    name of the untargeted one, is "margin".
    """
    climbed = gap if loss == "margin" or logits.shape[1] < 4 else targeted_dlr
    return [(climbed, (y, target)) for target in likeliest_wrong(logits, y, targets)]
