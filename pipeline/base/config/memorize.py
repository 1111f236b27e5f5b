"""What is memorized, by which networks, and how: the section `memorize`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from .types import Name, Seed, Strict, distinct


class Corruption(Strict):
    kind: Literal["labels", "shuffled_pixels", "random_pixels", "gaussian"]
    fraction: Annotated[float, Field(ge=0, le=1)] = 1.0

    @field_validator("fraction")
    @classmethod
    def _of_labels(cls, fraction: float, info: ValidationInfo) -> float:
        if info.data.get("kind") != "labels" and fraction != 1:
            raise ValueError("only labels can be corrupted in part; leave it out")
        return fraction


Corruptions = Annotated[list[Corruption], Field(min_length=1), AfterValidator(distinct)]


class Memorize(Strict):
    """`recipe` and `networks` keep what was written; `Config.memorizing` fills them up."""

    seed: Seed
    until_fitted: bool
    recipe: dict[str, Any]
    networks: dict[Name, dict[str, Any]]
    corruptions: dict[Name, Corruptions]

    def groups(self, network: str) -> list[str]:
        """The groups of corruptions that a network is given: those that it names, else all."""
        return list(self.networks[network].get("corruptions", self.corruptions))
