"""Names of attacks, and where their functions are. Importing this imports no attack, nor torch.

To add an attack: write its file, add its line to ATTACKS. A user's own attack needs no line: a
suite names it `module:function`.
"""

from __future__ import annotations

import difflib
import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import signature
from .beyond.kinds import KINDS
from .ensembles import ENSEMBLES, NEED_DRAWS
from .errors import UnknownAttackError as UnknownAttackError  # where callers look for it

L_NORMS = ("linf", "l2", "l1")
TRANSFORMATIONS = tuple(KINDS)
NORMS = (*L_NORMS, *TRANSFORMATIONS)


def largest_eps(norm: str, dimensions: int) -> float:
    """The budget beyond which larger ones mean nothing.

    In a norm, the ball then covers the whole box [0, 1]^d; of a transformation, what its kind says.
    """
    if norm in KINDS:
        return KINDS[norm].largest
    return {"linf": 1.0, "l2": math.sqrt(dimensions), "l1": float(dimensions)}[norm]


def off_levels(norm: str, eps: float, levels: int) -> str | None:
    """Why a budget means nothing for images of so many levels; None where it does.

    In L-infinity such an image moves by whole levels: a budget between two is the smaller one.
    """
    top = levels - 1
    if norm != "linf" or abs(eps * top - round(eps * top)) < 1e-3:
        return None
    low = int(eps * top)
    return f"{eps:g} lies between {low}/{top} and {low + 1}/{top}, which {levels} levels allow"


def needs_draws(attacks: Any) -> bool:
    """Is it an ensemble for models that answer at random, of which the draws must be told?"""
    return isinstance(attacks, str) and attacks in NEED_DRAWS


@dataclass(frozen=True)
class Entry:
    """Where an attack is and what it can do.

    Attributes:
        module: the file in this package, or the full module name of a user's attack.
        function: its name in that module.
        kind: "fixed" returns an image for a given budget, "minimum" the nearest adversarial image,
            "noise" a random perturbation with the signature of "fixed". Of a transformation, each
            returns the parameters in place of the image.
        norms: the norms, or kinds of transformation, that it handles.
        gradients: False if it asks the model for logits alone.
    """

    module: str
    function: str
    kind: str
    norms: tuple[str, ...] = L_NORMS
    gradients: bool = True


ATTACKS: dict[str, Entry] = {
    "fgsm": Entry(".fixed.fgsm", "fgsm", "fixed"),
    "pgd": Entry(".fixed.pgd", "pgd", "fixed"),
    "apgd": Entry(".fixed.apgd", "apgd", "fixed", ("linf", "l2")),
    "apgd_l1": Entry(".fixed.apgd_l1", "apgd_l1", "fixed", ("l1",)),
    "multitargeted": Entry(".fixed.multitargeted", "multitargeted", "fixed", ("linf", "l2")),
    "square": Entry(".fixed.square", "square", "fixed", gradients=False),
    "deepfool": Entry(".minimum.deepfool", "deepfool", "minimum"),
    "fab": Entry(".minimum.fab", "fab", "minimum"),
    "ddn": Entry(".minimum.ddn", "ddn", "minimum", ("l2",)),
    "cw": Entry(".minimum.cw", "cw", "minimum", ("l2",)),
    "fmn": Entry(".minimum.fmn", "fmn", "minimum"),
    "grid": Entry(".beyond.grid", "grid", "fixed", TRANSFORMATIONS, gradients=False),
    "steepest": Entry(".beyond.steepest", "steepest", "fixed", TRANSFORMATIONS),
}

NOISE: dict[str, Entry] = {
    "uniform": Entry(".noise", "uniform", "noise", gradients=False),
    "surface": Entry(".noise", "surface", "noise", gradients=False),
    "corners": Entry(".noise", "corners", "noise", ("linf",), gradients=False),
    # In L2 a Gaussian scaled to the ball is `surface`, draw for draw.
    "gaussian": Entry(".noise", "gaussian", "noise", ("linf", "l1"), gradients=False),
    "random": Entry(".beyond.random", "random", "noise", TRANSFORMATIONS, gradients=False),
}


@dataclass(frozen=True)
class Attacker:
    """An attack with its settings, as one entry of a suite.

    Attributes:
        label: its name in the suite's results, unique there.
        attack: its name in the registry, or `module:function`.
        entry: where it is and what it can do.
        settings: keyword arguments for its function.
    """

    label: str
    attack: str
    entry: Entry
    settings: dict[str, Any] = field(default_factory=dict)

    def load(self) -> Callable[..., Any]:
        return load(self.entry)


def load(entry: Entry) -> Callable[..., Any]:
    """The function of an entry; imports its module."""
    module = importlib.import_module(entry.module, __package__)
    function: Callable[..., Any] = getattr(module, entry.function)
    return function


def settings(entry: Entry) -> dict[str, signature.Setting]:
    """The settings of an attack, by their names."""
    return signature.settings(entry.module, entry.function)


def find(name: str) -> Entry:
    """The entry of an attack by its name, or of a user's attack by `module:function`.

    A user's attack whose fourth parameter is called `norm` is of minimum norm, else of fixed eps.

    Raises:
        UnknownAttackError: with the nearest name and all that are allowed.
    """
    if name in ATTACKS:
        return ATTACKS[name]
    if ":" in name:
        module, function = name.split(":", 1)
        parameters = [a.arg for a in signature.definition(module, function).args.args]
        return Entry(module, function, "minimum" if "norm" in parameters else "fixed")
    close = difflib.get_close_matches(name, ATTACKS, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    raise UnknownAttackError(
        f"unknown attack {name!r}{hint} allowed: {', '.join(sorted(ATTACKS))}, "
        "or your own as module:function"
    )


def gradient_free(norm: str) -> list[Attacker]:
    """The attackers that are left against a model without gradients."""
    able = [name for name, e in ATTACKS.items() if not e.gradients and norm in e.norms]
    return resolve([{"attack": name} for name in able], norm)


def resolve(attacks: str | list[dict[str, Any]], norm: str | None) -> list[Attacker]:
    """The attackers that a suite's `attacks:` names, checked: attack, settings, norm, labels.

    Args:
        attacks: an ensemble's name, or a list such as `[{"attack": "pgd", "steps": 40}]`.
        norm: of the suite; None leaves norms unchecked.

    Raises:
        UnknownAttackError: with a sentence for each entry that cannot be run.
    """
    if isinstance(attacks, str):
        if attacks not in ENSEMBLES:
            raise UnknownAttackError(
                f"unknown ensemble {attacks!r}; allowed: {', '.join(sorted(ENSEMBLES))}, "
                "or a list of attacks"
            )
        attacks = [
            {key: value for key, value in item.items() if key != "norms"}
            for item in ENSEMBLES[attacks]
            if norm in (None, *item.get("norms", find(item["attack"]).norms))
        ]
    if not attacks:
        raise UnknownAttackError("names no attack")
    attackers, problems = [], []
    for item in attacks:
        try:
            attackers.append(_attacker(item, norm))
        except UnknownAttackError as error:
            problems.append(str(error))
    if problems:
        raise UnknownAttackError("; ".join(problems))
    labels = [attacker.label for attacker in attackers]
    for label in labels:
        if labels.count(label) > 1:
            raise UnknownAttackError(
                f"two attacks are called {label!r}; tell them apart with `name:`"
            )
    return attackers


def _attacker(item: dict[str, Any], norm: str | None) -> Attacker:
    if "attack" not in item:
        raise UnknownAttackError(f"an attack is written {{attack: pgd, steps: 40}}, got {item}")
    name = str(item["attack"])
    entry = find(name)
    if norm not in (None, *entry.norms):
        raise UnknownAttackError(f"{name} cannot do {norm}; it does {', '.join(entry.norms)}")
    given = {key: value for key, value in item.items() if key not in ("attack", "name")}
    allowed = settings(entry)
    for key, value in given.items():
        if key not in allowed:
            close = difflib.get_close_matches(key, allowed, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ";"
            raise UnknownAttackError(
                f"{name} has no setting {key!r}{hint} allowed: {', '.join(sorted(allowed))}"
            )
        allowed[key].check(name, key, value)
    label = str(item.get("name", name.replace(":", "_").replace(".", "_")))
    return Attacker(label, name, entry, given)
