"""params.yaml, read and checked: every error at once, each with its path and what is allowed.

The schema is the documentation of what may be asked; params.yaml holds every value. Nothing here
imports torch, so that a bad file is told within a fraction of a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from ..consistency import cross_errors
from ..errors import UserError, listed
from ..recipes import merged, recipe_layers
from .memorize import Corruption, Memorize
from .messages import sentence
from .own import Own, own_entries, own_errors
from .recipe import Recipe
from .sections import Data, Evaluation, Headline, Noise, Suite, Tracking
from .types import Name, Strict

__all__ = [
    "Config",
    "ConfigError",
    "Corruption",
    "Data",
    "Evaluation",
    "Headline",
    "Memorize",
    "Noise",
    "Recipe",
    "Suite",
    "Tracking",
    "load",
]


class ConfigError(UserError):
    """params.yaml cannot be used; the message has one line for each error."""


class Config(Strict):
    """One checked params.yaml. `networks` keeps what was written; `recipe_of` fills it up, and
    `own.own_of` reads those that are the user's own models."""

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
        return Recipe.model_validate(merged(self.recipe.model_dump(), self.networks[network]))

    def memorizing(self, network: str) -> Recipe:
        """The full recipe of a network of `memorize`: `recipe`, `memorize.recipe`, then its own.

        Every run of it has the seed of the section, and keeps what the last epoch has learned.
        """
        own = {k: v for k, v in self.memorize.networks[network].items() if k != "corruptions"}
        fixed = {"seeds": [self.memorize.seed], "select": "last", "patience": None}
        recipe = merged(merged(self.recipe.model_dump(), self.memorize.recipe), own)
        return Recipe.model_validate(recipe | fixed)


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
        errors += [sentence(item, Config) for item in error.errors()]
    errors += _override_errors(raw) + _own_model_errors(raw) + cross_errors(raw) + own_errors(raw)
    if errors or config is None:
        raise ConfigError("\n".join(f"{path}: {line}" for line in dict.fromkeys(errors)))
    return config


def _override_errors(raw: dict[str, Any]) -> list[str]:
    """What is overridden of `recipe`, checked even when other parts of the file are wrong."""
    errors: list[str] = []
    for layers in recipe_layers(raw):
        recipe: dict[str, Any] = {}
        for section, overrides in layers:
            recipe = merged(recipe, overrides)
            try:
                Recipe.model_validate(recipe)
            except ValidationError as error:
                if section != "recipe":  # told by Config
                    path = tuple(section.split("."))
                    errors += [sentence(item, Recipe, prefix=path) for item in error.errors()]
                break  # what builds on it would repeat the error
    return errors


def _own_model_errors(raw: dict[str, Any]) -> list[str]:
    """Entries that are the user's own models, checked even when other parts are wrong."""
    errors = []
    for name, entry in own_entries(raw).items():
        try:
            Own.model_validate(entry)
        except ValidationError as error:
            errors += [sentence(item, Own, prefix=("networks", name)) for item in error.errors()]
    return errors
