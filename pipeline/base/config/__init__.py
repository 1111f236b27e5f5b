"""params.yaml, read and checked: every error at once, each with its path and what is allowed.

The schema is the documentation of what may be asked; params.yaml holds every value. Nothing here
imports torch, so that a bad file is told within a fraction of a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from ..consistency import cross_errors, listed, merged
from ..errors import UserError
from .messages import sentence
from .recipe import Recipe
from .sections import (
    Corruption,
    Data,
    Evaluation,
    Headline,
    Memorize,
    Noise,
    Suite,
    Tracking,
)
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
        return Recipe.model_validate(merged(self.recipe.model_dump(), self.networks[network]))


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
            Recipe.model_validate(merged(recipe, overrides))
        except ValidationError as error:
            errors += [sentence(item, Config, prefix=("networks", name)) for item in error.errors()]
    return errors
