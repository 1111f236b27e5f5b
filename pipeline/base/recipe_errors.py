"""What does not fit together in a recipe: each setting that nothing would read, and why.

Works on the raw file, as `consistency` does. A network inherits what `recipe` says, also what its
own choice has no use for. Refused is what a network writes itself and what no network uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .adversarial_errors import adversarial_errors
from .augmentation_errors import augmentation_errors

Raw = dict[str, Any]


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


def recipe_errors(raw: Raw, shape: tuple[int, int, int] | None) -> list[str]:
    """One line for each setting of a recipe that contradicts another, or that nothing reads.

    `shape` is that of the images, None if it is not known yet.
    """
    if not isinstance(raw.get("recipe"), dict):
        return []
    recipe, memorize = raw["recipe"], _mapping(raw, "memorize")
    shared = _mapping(memorize, "recipe")
    networks = {
        f"networks.{name}": (recipe, own)
        for name in _mapping(raw, "networks")
        if "model" not in (own := _mapping(_mapping(raw, "networks"), name))
    }
    memorizing = {
        f"memorize.networks.{name}": (
            recipe | shared | {"patience": None},  # the last epoch is kept, whatever `recipe` says
            _mapping(_mapping(memorize, "networks"), name),
        )
        for name in _mapping(memorize, "networks")
    }
    errors: list[str] = []
    for use in USES:
        for section, (defaults, own) in (networks | memorizing).items():
            errors += _unread(use, section, defaults, own)
        heirs = list(networks.values()) + ([] if use.key in shared else list(memorizing.values()))
        errors += _unused(use, "recipe", recipe, heirs)
        errors += _unused(use, "memorize.recipe", shared, list(memorizing.values()))
    for section, (defaults, own) in (networks | memorizing).items():
        inherited = "memorize.recipe" if section in memorizing else "recipe"

        def key(
            *names: str, section: str = section, own: Raw = own, inherited: str = inherited
        ) -> str:
            """Where the first of these settings stands that the network writes itself."""
            mine = [each for each in names if each in own]
            if mine:
                return f"{section}.{mine[0]}"
            theirs = [each for each in names if each in shared and inherited == "memorize.recipe"]
            return f"{inherited}.{theirs[0]}" if theirs else f"recipe.{names[0]}"

        errors += list(_contradictions(defaults | own, key))
        for part, reason in augmentation_errors(defaults | own, shape):
            errors.append(f"{key('augmentation')}.{part}: {reason}")
        for part, reason in adversarial_errors(defaults | own):
            errors.append(f"{key('adversarial')}.{part}: {reason}")
    return list(dict.fromkeys(errors))


def _mapping(values: Raw, key: str) -> Raw:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _unread(use: Use, section: str, defaults: Raw, own: Raw) -> Iterator[str]:
    """What a network writes itself and does not read, or needs and does not have."""
    recipe = defaults | own
    value = recipe.get(use.key)
    if use.of(recipe):
        if use.example is not None and value == use.off:
            yield f"{section}.{use.key}: needed here, such as {use.example}"
    elif use.key in own and value != use.off:
        yield f"{section}.{use.key}: {use.reason}"


def _unused(use: Use, section: str, shared: Raw, heirs: list[tuple[Raw, Raw]]) -> Iterator[str]:
    """What is shared by networks of which none reads it."""
    value = shared.get(use.key) if heirs else None  # all may be models of the user's own
    inherited = [defaults | own for defaults, own in heirs if use.key not in own]
    if value not in (None, use.off) and not any(use.of(recipe) for recipe in inherited):
        yield f"{section}.{use.key}: no network uses it: {use.reason}"


def _contradictions(recipe: Raw, key: Callable[..., str]) -> Iterator[str]:
    decay = recipe.get("lr_decay")
    if (
        recipe.get("schedule") in ("step", "exponential")
        and isinstance(decay, int | float)
        and decay >= 1
    ):
        yield f"{key('lr_decay', 'schedule')}: must be below 1, or lr does not fall, got {decay}"
    if recipe.get("schedule") == "one_cycle" and recipe.get("warm_up") == 0:
        yield (
            f"{key('warm_up', 'schedule')}: one_cycle begins with a rise; "
            "write null for its own, or schedule: cosine"
        )
    if recipe.get("patience") is not None and recipe.get("select") == "last":
        yield (
            f"{key('patience', 'select')}: the last epoch is then one that was no better for so "
            "long; write select: best"
        )
