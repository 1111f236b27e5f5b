"""Recipes of params.yaml for benchmarks, put together without pydantic.

A borrowed machine with a GPU may have torch and little else. What is wrong in a file is told by
`python -m pipeline check-config`; here it is taken as it stands.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from pipeline.base.raw import budget
from pipeline.base.recipes import merged

ROOT = Path(__file__).resolve().parent.parent
ADVERSARIAL = {"method": "pgd", "steps": None, "beta": None, "guard": None, "warm_up": 0.0}


class Settings(SimpleNamespace):
    """As much of a checked section as the stages read."""

    def model_dump(self) -> dict[str, Any]:
        return {
            key: value.model_dump() if isinstance(value, Settings) else value
            for key, value in vars(self).items()
        }

    @property
    def seed(self) -> int:
        return self.seeds[0]


def read(experiment: str | None = None) -> dict[str, Any]:
    """The params.yaml of an experiment, or of the top level."""
    folder = ROOT / "experiments" / experiment if experiment else ROOT
    return yaml.safe_load((folder / "params.yaml").read_text())


def recipe(raw: dict[str, Any]) -> Any:
    """What stands for a `Recipe`; `raw` holds every key of it."""
    made = dict(raw)
    if raw["adversarial"]:
        asked = ADVERSARIAL | raw["adversarial"]
        made["adversarial"] = Settings(**asked | {"eps": budget(asked["eps"])})
    if isinstance(raw["augmentation"], dict):
        made["augmentation"] = Settings(**raw["augmentation"])
    return Settings(**made)


def trained(params: dict[str, Any], network: str, **changes: Any) -> Any:
    """The recipe of a network of `networks`."""
    return recipe(merged(params["recipe"], params["networks"][network]) | changes)


def memorizing(params: dict[str, Any], network: str, **changes: Any) -> Any:
    """The recipe of a network of `memorize`."""
    memorize = params["memorize"]
    own = {k: v for k, v in memorize["networks"][network].items() if k != "corruptions"}
    fixed = {"seeds": [memorize["seed"]], "select": "last", "patience": None}
    shared = merged(params["recipe"], memorize["recipe"])
    return recipe(merged(shared, own) | fixed | changes)
