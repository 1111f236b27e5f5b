"""A network that is the user's own: a callable and its weights, in place of a recipe."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from ..callables import callable_errors, hidden_imports
from ..errors import unknown
from ..raw import budget, mapping
from ..watched import code_files
from .types import Eps, Strict


def _of_pixels(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(
            f"must lie in [0, 1], as pixels do, got {value:g}; divide it by 255 if it counts grey "
            "levels"
        )
    return value


OfPixels = Annotated[float, AfterValidator(_of_pixels)]


def _size(value: Any) -> int | list[int]:
    sides = [value] if isinstance(value, int) else value
    is_one = isinstance(sides, list) and len(sides) in (1, 2)
    if not is_one or not all(type(side) is int and side > 0 for side in sides):
        raise ValueError(f"must be a number of pixels, or [height, width], got {value!r}")
    found: int | list[int] = value
    return found


Size = Annotated[int | list[int], PlainValidator(_size)]


class Normalize(Strict):
    mean: Annotated[list[OfPixels], Field(min_length=1)]
    std: Annotated[list[Annotated[OfPixels, Field(gt=0)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _alike(self) -> Normalize:
        if len(self.mean) != len(self.std):
            raise ValueError(f"{len(self.mean)} means, but {len(self.std)} deviations")
        return self


class Claim(Strict):
    suite: str
    eps: Eps
    robust_acc: Annotated[float, Field(ge=0, le=1)]


def _named(classes: Any) -> Any:
    """Folders may be called 0, 1, 2, which YAML reads as numbers."""
    if isinstance(classes, dict):
        return {str(name): index for name, index in classes.items()}
    return classes


def _apart(classes: dict[str, int]) -> dict[str, int]:
    for name, index in classes.items():
        others = [other for other, same in classes.items() if same == index]
        if others[0] != name:
            raise ValueError(f"{others[0]} and {name} are both output {index}")
    return classes


def _found(name: str) -> str:
    errors = callable_errors(name)
    if errors:
        raise ValueError("; ".join(errors))
    return name


def _file(path: str) -> str:
    if not Path(path).is_file():
        raise ValueError(f"no such file: {path!r} (paths start at {Path.cwd()})")
    return path


def _code(path: str) -> str:
    if not Path(path).exists():
        raise ValueError(f"no such file or folder: {path!r} (paths start at {Path.cwd()})")
    errors = hidden_imports(code_files([path]))
    if errors:
        raise ValueError("; ".join(errors))
    return path


class Own(Strict):
    """One entry of `networks` that has the key `model`."""

    model: Annotated[str, AfterValidator(_found)]
    """`package.module:function`, which returns a torch.nn.Module when it is called with"""
    args: Annotated[dict[str, Any], Field(default_factory=dict)]
    weights: Annotated[str, AfterValidator(_file)] | None = None
    """a file of its state_dict; None: the callable returns the model with its weights"""
    code: Annotated[list[Annotated[str, AfterValidator(_code)]], Field(default_factory=list)]
    """files and folders that it depends on, besides the callable's own file"""
    normalize: Normalize | None = None
    resize: Size | None = None
    crop: Size | None = None
    classes: (
        Annotated[
            dict[str, Annotated[int, Field(ge=0)]], BeforeValidator(_named), AfterValidator(_apart)
        ]
        | None
    ) = None
    """which output stands for which class of the data set"""
    claimed: Claim | None = None
    gradients: bool = True


def own_of(entry: dict[str, Any]) -> Own | None:
    """An entry of `networks` as the user's own model; None where it is trained here."""
    return Own.model_validate(entry) if "model" in entry else None


def own_errors(raw: dict[str, Any]) -> list[str]:
    """What an own model asks of the other parts of a raw params.yaml, and they do not have."""
    suites = raw.get("suites")
    errors = []
    for name, entry in own_entries(raw).items():
        if isinstance(suites, dict):
            errors += _claim_errors(f"networks.{name}.claimed", entry.get("claimed"), suites)
    return errors + [
        f"memorize.networks.{name}.model: a model of your own is not trained here, and so fits "
        "nothing; say by architecture and the rest of a recipe what is to be trained"
        for name in own_entries(mapping(raw, "memorize"))
    ]


def own_entries(section: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The entries of a raw section's `networks` that are the user's own models."""
    networks = mapping(section, "networks")
    return {name: networks[name] for name in networks if "model" in mapping(networks, name)}


def _claim_errors(key: str, claim: Any, suites: dict[str, Any]) -> list[str]:
    if not isinstance(claim, dict) or not isinstance(claim.get("suite"), str):
        return []
    if claim["suite"] not in suites:
        return [f"{key}.suite: {unknown(claim['suite'], suites)}"]
    suite = suites[claim["suite"]]
    try:
        eps = float(budget(claim.get("eps")))
        grid = [float(budget(each)) for each in suite["eps"]]
    except (KeyError, TypeError, ValueError):
        return []  # told by the schema
    if any(math.isclose(eps, each) for each in grid):
        return []
    return [f"{key}.eps: must be one of suites.{claim['suite']}.eps {grid}, got {eps}"]
