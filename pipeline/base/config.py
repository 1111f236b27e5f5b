"""params.yaml, read and checked: every error at once, each with its path and what is allowed.

The schema is the documentation of what may be asked; params.yaml holds every value. Nothing here
imports torch, so that a bad file is told within a fraction of a second.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from attacks import registry
from models import ARCHITECTURES

from .consistency import budget, cross_errors, listed, unknown
from .errors import UserError

NAME = re.compile(r"[a-z0-9_]+")


class ConfigError(UserError):
    """params.yaml cannot be used; the message has one line for each error."""


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


def _one_of(allowed: Collection[str]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(unknown(value, allowed))
        return value

    return check


Name = Annotated[str, AfterValidator(_name)]
Norm = Annotated[str, AfterValidator(_one_of(registry.NORMS))]
Eps = Annotated[float, BeforeValidator(budget), Field(gt=0, allow_inf_nan=False)]
EpsGrid = Annotated[list[Eps], Field(min_length=1), AfterValidator(_grid)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


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


class Data(Strict):
    name: Literal["digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "svhn", "folder"]
    root: str | None
    validation: Annotated[float, Field(gt=0, lt=0.9)]
    test: Annotated[float, Field(gt=0, lt=0.9)]
    samples: Count | None
    seed: Seed


class Adversarial(Strict):
    norm: Literal["linf", "l2"]
    eps: Eps
    steps: Count
    warm_up: Share = 0.0
    """share of the training in which ε rises from 0"""


class Recipe(Strict):
    architecture: Annotated[str, AfterValidator(_one_of(ARCHITECTURES))]
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
        list[Annotated[str, AfterValidator(_one_of(registry.NOISE))]], Field(min_length=1)
    ]
    draws: Count
    eps: dict[Norm, EpsGrid]


class Corruption(Strict):
    kind: Literal["labels", "shuffled_pixels", "random_pixels", "gaussian"]
    fraction: Annotated[float, Field(ge=0, le=1)] = 1.0

    @field_validator("fraction")
    @classmethod
    def _of_labels(cls, fraction: float, info: ValidationInfo) -> float:
        if info.data.get("kind") != "labels" and fraction != 1:
            raise ValueError("only labels can be corrupted in part; leave it out")
        return fraction


class Memorize(Strict):
    networks: Annotated[list[str], Field(min_length=1)]
    samples: Count | None
    epochs: Count
    batch_size: Count
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    seed: Seed
    corruptions: dict[Name, Annotated[list[Corruption], Field(min_length=1)]]


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


class Config(Strict):
    """One checked params.yaml. `networks` keeps what was written; `recipe_of` fills it up."""

    data: Data
    recipe: Recipe
    networks: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    suites: Annotated[dict[Name, Suite], Field(min_length=1)]
    noise: Noise
    memorize: Memorize
    headline: Headline
    evaluation: Evaluation
    tracking: Tracking

    def recipe_of(self, network: str) -> Recipe:
        """The full recipe of a network: the defaults of `recipe`, then what it overrides."""
        return Recipe.model_validate(self.recipe.model_dump() | self.networks[network])


def load(path: str | Path) -> Config:
    """Read and check `path` whole.

    Raises:
        ConfigError: with one line per error, each naming its path in the file.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give one with --params") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must be a mapping with the keys {listed(Config.model_fields)}")
    errors: list[str] = []
    config: Config | None = None
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        errors += [_sentence(item) for item in error.errors()]
    errors += _network_errors(raw) + cross_errors(raw)
    if errors or config is None:
        raise ConfigError("\n".join(f"{path}: {line}" for line in dict.fromkeys(errors)))
    return config


def _network_errors(raw: dict[str, Any]) -> list[str]:
    """What a network overrides, checked key by key even when other parts of the file are wrong."""
    networks, recipe = raw.get("networks"), raw.get("recipe")
    if not isinstance(networks, dict) or not isinstance(recipe, dict):
        return []
    try:
        Recipe.model_validate(recipe)
    except ValidationError:
        return []  # told already, and every network would repeat it
    errors = []
    for name, overrides in networks.items():
        if not isinstance(overrides, dict):
            continue  # told by Config: must be a mapping
        try:
            Recipe.model_validate(recipe | overrides)
        except ValidationError as error:
            errors += [_sentence(item, prefix=("networks", name)) for item in error.errors()]
    return errors


def _keys_at(location: tuple[Any, ...]) -> list[str]:
    """The keys allowed at a place in the file, for the hint after a misspelt one."""
    model: Any = Config
    for part in location:
        field = getattr(model, "model_fields", {}).get(part)
        # Not a field: a name in a mapping such as `networks`, whose values have their own model.
        model = model if field is None else _model_in(field.annotation) or model
    return list(getattr(model, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    """The first of our models inside a type such as `dict[Name, Suite]` or `Adversarial | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        found = _model_in(part)
        if found is not None:
            return found
    return None


def _sentence(item: Any, prefix: tuple[str, ...] = ()) -> str:
    """One line for one of pydantic's errors, in the user's terms."""
    location = tuple(
        part for part in item["loc"] if part not in ("[key]", "str", "list[dict[str,any]]")
    )
    path = ".".join(map(str, prefix + location))
    if item["type"] == "extra_forbidden":
        inside = (("recipe",) if prefix else ()) + location[:-1]
        return f"{path}: {unknown(str(location[-1]), _keys_at(inside))}"
    if item["type"] == "missing":
        return f"{path}: missing"
    message = item["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    value = item["input"]
    told = isinstance(value, dict | list) or repr(value) in message
    separator = ": " if path else ""
    return f"{path}{separator}{message}" + ("" if told else f", got {value!r}")
