"""How a network is trained: `recipe`, and what a network overrides of it.

What fits together and what does not is told by `pipeline.base.consistency.recipes`.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field

from models import ARCHITECTURES

from .augmentation import SchemeOrRanges
from .types import Count, Eps, Seeds, Share, Strict, one_of

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _rising(shares: list[float]) -> list[float]:
    if any(b <= a for a, b in itertools.pairwise([0.0, *shares])):
        raise ValueError(f"must rise from above 0, got {shares}")
    return shares


class Adversarial(Strict):
    """What belongs to one method alone is missing elsewhere: see `consistency.adversarial`."""

    method: Literal["pgd", "fgsm", "trades"] = "pgd"
    norm: Literal["linf", "l2"]
    eps: Eps
    steps: Count | None = None
    """of pgd and trades"""
    beta: Positive | None = None
    """of trades"""
    guard: Literal["stop", "tell"] | None = None
    """of fgsm: what to do when it overfits catastrophically"""
    warm_up: Share = 0.0
    """share of the training in which ε rises from 0"""


class Recipe(Strict):
    architecture: Annotated[str, AfterValidator(one_of(ARCHITECTURES))]
    settings: dict[str, Any]
    """of the architecture, which checks them"""
    initialization: Literal["default", "xavier", "he"]
    weights: str | None
    frozen: bool
    samples: Count | None
    epochs: Count
    batch_size: Count
    compile: bool
    optimizer: Literal["sgd", "adagrad", "rmsprop", "adam", "adamw"]
    lr: Positive
    momentum: Share
    nesterov: bool
    schedule: Literal["constant", "step", "exponential", "inverse", "cosine", "one_cycle"]
    warm_up: Share | None
    lr_decay: Positive | None
    lr_milestones: Annotated[list[Share], Field(min_length=1), AfterValidator(_rising)] | None
    loss: Literal["cross_entropy", "hinge"]
    label_smoothing: Share
    weight_decay: Amount
    l1_penalty: Amount
    dropout: Share
    augmentation: SchemeOrRanges
    flip: bool
    adversarial: Adversarial | None
    select: Literal["last", "best"]
    patience: Count | None
    seeds: Seeds

    @property
    def seed(self) -> int:
        """The seed of one training run; of several, the first."""
        return self.seeds[0]

    def seeded(self, seed: int) -> Self:
        """The recipe of the training run with this seed alone."""
        return self.model_copy(update={"seeds": [seed]})
