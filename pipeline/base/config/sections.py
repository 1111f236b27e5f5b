"""The other sections of params.yaml, one class each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from attacks import registry

from .types import Count, Eps, EpsGrid, Norm, Seed, Strict, one_of


class Data(Strict):
    name: Literal["digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "svhn", "folder"]
    root: str | None
    validation: Annotated[float, Field(ge=0, lt=0.9)]
    """0 where nothing looks at them: see `consistency.validation`"""
    test: Annotated[float, Field(gt=0, lt=0.9)] | None
    samples: Count | None
    seed: Seed


class Suite(Strict):
    norm: Norm
    eps: EpsGrid
    attacks: str | list[dict[str, Any]]
    levels: Annotated[int, Field(ge=2)] | None = None

    @field_validator("attacks")
    @classmethod
    def _attacks_fit(cls, attacks: Any, info: ValidationInfo) -> Any:
        """Attacks, their settings and norms, checked against the registry without torch."""
        try:
            registry.resolve(attacks, info.data.get("norm"))
        except registry.UnknownAttackError as error:
            raise ValueError(str(error)) from None
        return attacks


class Noise(Strict):
    kinds: Annotated[
        list[Annotated[str, AfterValidator(one_of(registry.NOISE))]], Field(min_length=1)
    ]
    draws: Count
    eps: dict[Norm, EpsGrid]


class Headline(Strict):
    suite: str
    eps: Eps


class Evaluation(Strict):
    samples: Count | None
    seed: Seed
    slots: Count
    precision: Literal["fp32", "tf32", "bf16"]
    draws: Annotated[int, Field(ge=2)] | None
    diagnosis: Annotated[int, Field(ge=0)]


class Tracking(Strict):
    artifacts: bool
    register_weights: bool
