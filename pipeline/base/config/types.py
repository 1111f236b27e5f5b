"""What the values of params.yaml are made of: names, budgets, shares, counts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from attacks import registry

from ..errors import unknown
from ..raw import budget

NAME = re.compile(r"[a-z0-9_]+")


def _name(value: str) -> str:
    # DVC joins names with '-' into stage names, and names become folders: two cells whose names
    # collapse into one would silently lose results.
    if not NAME.fullmatch(value):
        raise ValueError("a name may hold lower-case letters, digits and _ alone")
    return value


def _grid(values: list[float]) -> list[float]:
    if any(b <= a for a, b in itertools.pairwise(values)):
        raise ValueError(f"must increase strictly, got {values}")
    return values


def distinct(values: list[Any]) -> list[Any]:
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"each may be listed once, got {value} twice")
    return values


def one_of(allowed: Collection[str]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(unknown(value, allowed))
        return value

    return check


Name = Annotated[str, AfterValidator(_name)]
Norm = Annotated[str, AfterValidator(one_of(registry.NORMS))]
Eps = Annotated[float, BeforeValidator(budget), Field(gt=0, allow_inf_nan=False)]
EpsGrid = Annotated[list[Eps], Field(min_length=1), AfterValidator(_grid)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Seeds = Annotated[
    list[Annotated[Seed, Field(strict=True)]], Field(min_length=1), AfterValidator(distinct)
]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML's yes, no, on and off are booleans, which pydantic would count as 1 and 0."""
        if (
            isinstance(value, bool)
            and cls.model_fields[str(info.field_name)].annotation is not bool
        ):
            raise ValueError("must not be true or false")
        return value
