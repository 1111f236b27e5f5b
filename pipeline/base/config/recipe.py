"""How a network is trained: `recipe`, and what a network overrides of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field

from models import ARCHITECTURES

from .types import Count, Eps, Seeds, Share, Strict, one_of


class Adversarial(Strict):
    norm: Literal["linf", "l2"]
    eps: Eps
    steps: Count
    warm_up: Share = 0.0
    """share of the training in which ε rises from 0"""


class Recipe(Strict):
    architecture: Annotated[str, AfterValidator(one_of(ARCHITECTURES))]
    settings: dict[str, Any]
    """of the architecture; checked against it in `consistency`"""
    epochs: Count
    batch_size: Count
    optimizer: Literal["sgd", "adam", "adamw"]
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    momentum: Share
    schedule: Literal["constant", "cosine", "one_cycle"]
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    dropout: Share
    label_smoothing: Share
    augmentation: Literal["none", "light", "heavier"]
    flip: bool
    adversarial: Adversarial | None
    select: Literal["last", "best"]
    seeds: Seeds

    @property
    def seed(self) -> int:
        """The seed of one training run; of several, the first."""
        return self.seeds[0]

    def seeded(self, seed: int) -> Self:
        """The recipe of the training run with this seed alone."""
        return self.model_copy(update={"seeds": [seed]})
