"""What `check` is asked, from its command line, as a configuration of one network and one suite."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator

from attacks import registry

from ..errors import UserError, told
from . import Config
from .memorize import Memorize
from .messages import sentence
from .own import Own
from .sections import Data, Evaluation, Headline, Noise, Suite
from .types import Count, Eps, Name, Norm, Seed

# Options whose values are written in YAML, as they would be in params.yaml.
YAML = ("args", "normalize", "resize", "crop", "classes", "gradients", "require")
BELOW = (1 / 4, 1 / 2)  # of the ε that is asked about: what breaks there costs little to find out
BEYOND = (2, 4, 8, 16, 32)  # times it, for noise, which must be larger
DRAWS = 10


def _new(path: str) -> str:
    folder = Path(path)
    try:
        if (folder / "reports" / "index.html").exists():
            raise ValueError(f"{path!r} has a report already; name a new folder")
        nearest = next(each for each in (folder, *folder.parents) if each.exists())
    except OSError as error:  # a name that is too long, or lies where nobody may look
        raise ValueError(f"{path!r} cannot be a folder ({told(error)})") from error
    if not nearest.is_dir():
        raise ValueError(f"must be a new folder, but {str(nearest)!r} is a file")
    if not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        raise ValueError(f"{path!r} cannot be made: {str(nearest)!r} may not be written to")
    return path


class Asked(Own):
    data: str
    norm: Norm
    eps: Eps
    require: Annotated[float, Field(ge=0, le=1)] | None = None
    ensemble: str
    samples: Count | None = None
    seed: Seed
    slots: Count | None = None
    draws: Annotated[int, Field(ge=2)] | None = None
    diagnosis: Annotated[int, Field(ge=0)]
    name: Name
    out: Annotated[str, AfterValidator(_new)]

    @field_validator("ensemble")
    @classmethod
    def _does_the_norm(cls, ensemble: str, info: ValidationInfo) -> str:
        try:
            registry.resolve(ensemble, info.data.get("norm"))
        except registry.UnknownAttackError as error:
            raise ValueError(str(error)) from None
        return ensemble

    @field_validator("draws")
    @classmethod
    def _told_where_needed(cls, draws: int | None, info: ValidationInfo) -> int | None:
        if draws is None and registry.needs_draws(info.data.get("ensemble")):
            raise ValueError("the ensemble is for models that answer at random; say how many")
        return draws

    def config(self, pixels: int, images: int) -> Config:
        """The configuration: `images` of `pixels` numbers each, one network, one suite.

        Raises:
            UserError: if the box of such images holds no such budget.
        """
        largest = registry.largest_eps(self.norm, pixels)
        if self.eps > largest * (1 + 1e-9):
            raise UserError(
                f"--eps: {self.eps:g} is more than {self.norm} allows for these images in [0, 1]: "
                f"at most {largest:g}"
            )
        entry = self.model_dump(mode="json", include=set(Own.model_fields) - {"claimed"})
        if self.require is not None:
            entry["claimed"] = {"suite": self.norm, "eps": self.eps, "robust_acc": self.require}
        grid = [*(self.eps * share for share in BELOW), self.eps]
        kinds = [kind for kind, able in registry.NOISE.items() if self.norm in able.norms]
        beyond = [self.eps * times for times in BEYOND if self.eps * times < largest]
        return Config.model_construct(
            data=Data.model_construct(name="folder", seed=self.seed),
            networks={self.name: entry},
            suites={self.norm: Suite(norm=self.norm, eps=grid, attacks=self.ensemble)},
            noise=Noise.model_construct(kinds=kinds, draws=DRAWS, eps={self.norm: beyond}),
            memorize=Memorize.model_construct(networks={}, corruptions={}),
            headline=Headline(suite=self.norm, eps=self.eps),
            evaluation=Evaluation(
                samples=None,
                seed=self.seed,
                slots=self.slots or _slots(pixels, images),
                precision="fp32",
                draws=self.draws,
                diagnosis=self.diagnosis,
            ),
        )


def _slots(pixels: int, images: int) -> int:
    """Images per pass: 128 of 64x64 in colour, fewer of larger ones; no more than there are."""
    return max(1, min(128, images, 128 * 3 * 64 * 64 // pixels))


def asked(options: argparse.Namespace) -> Asked:
    """The options, checked all at once.

    Raises:
        UserError: with one line for each error, naming the option.
    """
    given = {name: value for name, value in vars(options).items() if name in Asked.model_fields}
    given = {name: value for name, value in given.items() if value is not None}
    errors = []
    for name in YAML:
        if name not in given:
            continue
        text = given[name]
        try:
            is_file = name == "classes" and Path(text).is_file()
            given[name] = yaml.safe_load(Path(text).read_text() if is_file else text)
        except (OSError, yaml.YAMLError) as error:
            errors.append(f"--{name}: not valid YAML: {next(iter(str(error).splitlines()))}")
            del given[name]
    given.setdefault("name", _name(given))
    given.setdefault("out", f"check-{given['name']}")
    found: Asked | None = None
    try:
        found = Asked.model_validate(given)
    except ValidationError as error:
        errors += [f"--{sentence(item, Asked)}" for item in error.errors()]
    if errors or found is None:
        raise UserError("\n".join(errors))
    return found


def _name(given: dict[str, Any]) -> str:
    """After the weights, or else the module: what people name with care."""
    stem = Path(given["weights"]).stem if "weights" in given else given["model"].partition(":")[0]
    return re.sub(r"[^a-z0-9_]+", "_", stem.rpartition(".")[2].lower()).strip("_") or "model"
