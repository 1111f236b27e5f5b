"""What training minimizes, by the names that params.yaml knows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn.functional import cross_entropy, multi_margin_loss

if TYPE_CHECKING:
    from ..base.config import Recipe

Loss = Callable[[Tensor, Tensor], Tensor]


def loss_of(recipe: Recipe) -> Loss:
    """From logits (N, K) and labels (N,) to the mean loss.

    hinge: Σ max(0, 1 + logit of another class - logit of the label) / K over the other classes
    (Weston and Watkins, 1999), averaged over the images.
    """
    if recipe.loss == "hinge":
        return multi_margin_loss
    return partial(cross_entropy, label_smoothing=recipe.label_smoothing)


def attacked_loss_of(recipe: Recipe) -> Loss:
    """What an adversary maximizes: the same, summed, with the labels as they are."""
    if recipe.loss == "hinge":
        return partial(multi_margin_loss, reduction="sum")
    return partial(cross_entropy, reduction="sum")
