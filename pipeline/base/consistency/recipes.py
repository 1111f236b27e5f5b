"""What does not fit together in a recipe: each setting that nothing would read, and why.

A network inherits what `recipe` says, also what its own choice has no use for. Refused is what a
network writes itself and what no network uses.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..data_sets import DataSet
from ..raw import Raw, mapping
from ..recipes import Layers, merged, recipe_layers
from .adversarial import adversarial_errors
from .augmentation import augmentation_errors
from .batches import batch_errors
from .counts import training_images


@dataclass(frozen=True)
class Use:
    """When a setting is read, and the value that says that it is not wanted."""

    key: str
    off: Any
    of: Callable[[Raw], bool]
    """is it read in this recipe?"""
    reason: str
    """why it is not, with the next action"""
    example: Any = None
    """if not None: where it is read, `off` is refused, and this is what to write"""


def _falls(recipe: Raw) -> bool:
    return recipe.get("schedule") in ("step", "exponential", "inverse")


USES = (
    Use(
        "momentum",
        0,
        lambda recipe: recipe.get("optimizer") in ("sgd", "rmsprop"),
        "only sgd and rmsprop have one to set; write 0",
    ),
    Use(
        "nesterov",
        False,
        lambda recipe: recipe.get("optimizer") == "sgd" and bool(recipe.get("momentum")),
        "it is a kind of sgd's momentum; write false",
    ),
    Use(
        "lr_decay",
        None,
        _falls,
        "only the schedules step, exponential and inverse have one; write null",
        example=0.1,
    ),
    Use(
        "lr_milestones",
        None,
        lambda recipe: recipe.get("schedule") == "step",
        "only schedule: step has them; write null",
        example=[0.5, 0.75],
    ),
    Use(
        "label_smoothing",
        0,
        lambda recipe: recipe.get("loss") == "cross_entropy",
        "it smooths the labels of the cross-entropy, and the hinge loss has one right class; "
        "write 0",
    ),
    Use(
        "flip",
        False,
        lambda recipe: recipe.get("augmentation") != "none",
        "it mirrors images in augmentation, and augmentation is none; write false, or "
        "augmentation: {scheme: none} to mirror and do nothing else",
    ),
)


def recipe_errors(raw: Raw, data_set: DataSet | None) -> list[str]:
    """One line for each setting of a recipe that contradicts another, or that nothing reads."""
    if not isinstance(raw.get("recipe"), dict):
        return []
    shape, there = data_set.shape if data_set else None, training_images(raw, data_set)
    recipe, shared = raw["recipe"], mapping(mapping(raw, "memorize"), "recipe")
    every = [layers for layers in recipe_layers(raw) if "networks." in layers[-1][0]]
    trained = [_Network(layers) for layers in every if len(layers) == 2]
    memorizing = [_Network(layers, {"patience": None}) for layers in every if len(layers) == 3]
    errors: list[str] = []
    for use in USES:
        for network in trained + memorizing:
            errors += _unread(use, network)
        heirs = trained + ([] if use.key in shared else memorizing)
        errors += _unused(use, "recipe", recipe, heirs)
        errors += _unused(use, "memorize.recipe", shared, memorizing)
    for network in trained + memorizing:
        errors += _contradictions(network)
        for part, reason in augmentation_errors(network.recipe, shape):
            errors.append(f"{network.setter('augmentation')}.{part}: {reason}")
        watched = network in trained
        for part, reason in adversarial_errors(network.recipe, watched=watched):
            errors.append(f"{network.setter('adversarial')}.{part}: {reason}")
        for reason in batch_errors(network.recipe, there):
            errors.append(f"{network.section}.batch_size: {reason}")
    return list(dict.fromkeys(errors))


class _Network:
    """A network's recipe, and which of its sections says what.

    `fixed` is so whatever is inherited: of what memorizes, the last epoch is kept.
    """

    def __init__(self, layers: Layers, fixed: Raw | None = None) -> None:
        *inherited, (self.section, self.own) = layers
        self.layers = layers
        self.inherited = functools.reduce(merged, (each for _, each in inherited)) | (fixed or {})
        self.recipe = merged(self.inherited, self.own)

    def setter(self, *keys: str) -> str:
        """Where the first of these settings stands, as near to the network as one of them does."""
        for section, own in reversed(self.layers):
            for key in keys:
                if key in own:
                    return f"{section}.{key}"
        return f"recipe.{keys[0]}"


def _unread(use: Use, network: _Network) -> Iterator[str]:
    """What a network writes itself and does not read, or needs and does not have."""
    value = network.recipe.get(use.key)
    if use.of(network.recipe):
        if use.example is not None and value == use.off:
            yield f"{network.section}.{use.key}: needed here, such as {use.example}"
    elif use.key in network.own and value != use.off:
        yield f"{network.section}.{use.key}: {use.reason}"


def _unused(use: Use, section: str, shared: Raw, heirs: list[_Network]) -> Iterator[str]:
    """What is shared by networks of which none reads it."""
    value = shared.get(use.key) if heirs else None  # all may be models of the user's own
    inherited = [network.recipe for network in heirs if use.key not in network.own]
    if value not in (None, use.off) and not any(use.of(recipe) for recipe in inherited):
        yield f"{section}.{use.key}: no network uses it: {use.reason}"


def _contradictions(network: _Network) -> Iterator[str]:
    recipe, decay = network.recipe, network.recipe.get("lr_decay")
    if (
        recipe.get("schedule") in ("step", "exponential")
        and isinstance(decay, int | float)
        and decay >= 1
    ):
        key = network.setter("lr_decay", "schedule")
        yield f"{key}: must be below 1, or lr does not fall, got {decay}"
    if recipe.get("schedule") == "one_cycle" and recipe.get("warm_up") == 0:
        yield (
            f"{network.setter('warm_up', 'schedule')}: one_cycle begins with a rise; "
            "write null for its own, or schedule: cosine"
        )
    if recipe.get("patience") is not None and recipe.get("select") == "last":
        yield (
            f"{network.setter('patience', 'select')}: the last epoch is then one that was no "
            "better for so long; write select: best"
        )
