"""What only params.yaml as a whole can tell: names that refer to others, budgets, boxes, sizes.

Works on the raw file, so that it speaks even where other parts are wrong; what has not even the
right type is told by the schema and passed over here.
"""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from attacks import registry
from models import ARCHITECTURES

from .recipe_errors import recipe_errors
from .starts import start_problems


class DataSet(NamedTuple):
    """A published data set: channels, height and width; how many images it has."""

    shape: tuple[int, int, int]
    train: int
    test: int | None
    """None: a share of `train` is held out, as data.test says"""
    levels: int = 256
    """how many values a pixel can have"""


# A folder is not here: what it holds is known when the data stage has read it.
PUBLISHED = {
    "digits": DataSet((1, 8, 8), 1797, None, levels=17),
    "mnist": DataSet((1, 28, 28), 60000, 10000),
    "fashion_mnist": DataSet((1, 28, 28), 60000, 10000),
    "cifar10": DataSet((3, 32, 32), 50000, 10000),
    "cifar100": DataSet((3, 32, 32), 50000, 10000),
    "svhn": DataSet((3, 32, 32), 73257, 26032),
}


def cross_errors(raw: dict[str, Any]) -> list[str]:
    """One line for each contradiction between the parts of a raw params.yaml."""
    errors = _memorize_errors(raw) + _architecture_errors(raw) + _headline_errors(raw)
    errors += _count_errors(raw) + _suite_errors(raw) + _training_errors(raw)
    data_set = _data_set(raw)
    return errors + recipe_errors(raw, data_set.shape if data_set else None)


Layers = list[tuple[str, dict[str, Any]]]


def recipe_layers(raw: dict[str, Any]) -> list[Layers]:
    """The sections that each network's recipe is put together from; the last one wins.

    Those of `memorize` are there too, and what they share by itself. Models of the user's own have
    no recipe.
    """
    memorize, recipe = _mapping(raw, "memorize"), ("recipe", _mapping(raw, "recipe"))
    networks, memorizing = _mapping(raw, "networks"), _mapping(memorize, "networks")
    found: list[Layers] = [
        [recipe, (f"networks.{name}", _mapping(networks, name))]
        for name in networks
        if "model" not in _mapping(networks, name)
    ]
    shared = ("memorize.recipe", _mapping(memorize, "recipe"))
    found.append([recipe, shared])
    for name in memorizing:
        own = {k: v for k, v in _mapping(memorizing, name).items() if k != "corruptions"}
        if "model" in own:
            continue
        found.append([recipe, shared, (f"memorize.networks.{name}", own)])
    return found


def _memorize_errors(raw: dict[str, Any]) -> list[str]:
    """Corruptions that are not there, and settings that memorizing decides itself."""
    memorize = _mapping(raw, "memorize")
    networks, groups = _mapping(memorize, "networks"), _mapping(memorize, "corruptions")
    errors = []
    for name in networks:
        key, asked = f"memorize.networks.{name}", _mapping(networks, name).get("corruptions", [])
        if not isinstance(asked, list):
            errors.append(f"{key}.corruptions: must be a list of names of memorize.corruptions")
        errors += [
            f"{key}.corruptions: {unknown(group, groups)}"
            for group in _listed(asked)
            if group not in groups
        ]
    sections = {"memorize.recipe": _mapping(memorize, "recipe")}
    sections |= {f"memorize.networks.{name}": _mapping(networks, name) for name in networks}
    for section, settings in sections.items():
        if "seeds" in settings:
            errors.append(f"{section}.seeds: every run has memorize.seed; leave it out")
        errors += [
            f"{section}.{key}: the last epoch is always kept; leave it out"
            for key in ("select", "patience")
            if key in settings
        ]
    return errors


def _headline_errors(raw: dict[str, Any]) -> list[str]:
    head, suites = _mapping(raw, "headline"), _mapping(raw, "suites")
    chosen = head.get("suite")
    if not isinstance(chosen, str):
        return []
    if chosen not in suites:
        return [f"headline.suite: {unknown(chosen, suites)}"]
    grid = _numbers(_mapping(suites, chosen).get("eps"))
    return [
        f"headline.eps: must be one of suites.{chosen}.eps {grid}, got {eps}"
        for eps in _numbers([head.get("eps")])
        if grid and not any(math.isclose(eps, other) for other in grid)
    ]


def _suite_errors(raw: dict[str, Any]) -> list[str]:
    """Suites and the noise that is measured beside them: budgets, and norms that noise lacks."""
    suites, noise, data = _mapping(raw, "suites"), _mapping(raw, "noise"), _mapping(raw, "data")
    grids, draws = _mapping(noise, "eps"), _mapping(raw, "evaluation").get("draws")
    kinds = [kind for kind in _listed(noise.get("kinds")) if str(kind) in registry.NOISE]
    errors = []
    for name in suites:
        suite = _mapping(suites, name)
        errors += _watched_errors(name, suite.get("attacks"))
        if registry.needs_draws(suite.get("attacks")) and draws is None:
            errors.append(
                f"suites.{name}.attacks: {suite['attacks']!r} is for networks that answer at "
                "random; say over how many draws with evaluation.draws, such as 20"
            )
        norm = suite.get("norm")
        if norm not in registry.NORMS:
            continue
        errors += _box_errors(f"suites.{name}.eps", norm, suite.get("eps"), data)
        errors += _levels_errors(f"suites.{name}", norm, suite, data)
        if norm not in grids:
            errors.append(f"noise.eps.{norm}: missing; suites.{name} uses that norm")
        able = [kind for kind, entry in registry.NOISE.items() if norm in entry.norms]
        if kinds and not set(kinds) & set(able):
            errors.append(
                f"noise.kinds: none of them can do {norm}, which suites.{name} uses; "
                f"add one of {listed(able)}"
            )
    for norm, grid in grids.items():
        if norm in registry.NORMS:
            errors += _box_errors(f"noise.eps.{norm}", norm, grid, data)
    return errors


def _levels_errors(key: str, norm: str, suite: dict[str, Any], data: dict[str, Any]) -> list[str]:
    """Levels that the images, the threat or its budgets do not have."""
    levels, known = suite.get("levels"), PUBLISHED.get(str(data.get("name")))
    if not isinstance(levels, int) or isinstance(levels, bool) or levels < 2:
        return []
    if norm not in registry.L_NORMS:
        return [f"{key}.levels: {norm} moves every pixel off its level; leave it out"]
    errors = []
    if known and (levels - 1) % (known.levels - 1):
        errors.append(
            f"{key}.levels: images of {data['name']} have {known.levels} levels, which are not "
            f"among {levels}; write {known.levels}"
        )
    reasons = [registry.off_levels(norm, eps, levels) for eps in _numbers(suite.get("eps"))]
    return errors + [f"{key}.eps: {reason}" for reason in reasons if reason]


def _watched_errors(suite: str, attacks: Any) -> list[str]:
    """A user's attack must lie where DVC sees it change, or old verdicts would stay."""
    names = [str(item.get("attack")) for item in _listed(attacks) if isinstance(item, dict)]
    return [
        f"suites.{suite}.attacks: {name!r} is not below custom/, where DVC watches your own "
        "attacks; move its module there and name it custom.<module>:<function>"
        for name in names
        if ":" in name and not name.startswith("custom.")
    ]


def _training_errors(raw: dict[str, Any]) -> list[str]:
    """Budgets of adversarial training that the box does not hold."""
    errors = []
    for key, recipe in _recipe_sections(raw).items():
        threat = _mapping(recipe, "adversarial")
        if threat.get("norm") in registry.L_NORMS:
            grid, data = [threat.get("eps")], _mapping(raw, "data")
            errors += _box_errors(f"{key}.adversarial.eps", threat["norm"], grid, data)
    return errors


def merged(recipe: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A network's recipe: what it says itself, and the rest from `recipe`.

    Settings and weights belong to an architecture: who names one of its own starts without them.
    """
    without: dict[str, Any] = {"settings": {}, "weights": None, "frozen": False}
    return recipe | (without if "architecture" in own else {}) | own


def _architecture_errors(raw: dict[str, Any]) -> list[str]:
    """What an architecture cannot be: its settings, its dropout, its weights, the images."""
    data_set = _data_set(raw)
    # The size of a folder's images is not known yet; training checks it before it starts.
    size = data_set.shape[1:] if data_set else None
    errors = []
    for layers in recipe_layers(raw):
        chosen = functools.reduce(merged, (own for _, own in layers))
        architecture, settings = str(chosen.get("architecture")), _mapping(chosen, "settings")
        if architecture not in ARCHITECTURES:
            continue  # told by the schema
        dropout = next(iter(_numbers([chosen.get("dropout")])), 0.0)
        problems = ARCHITECTURES[architecture].problems(settings, dropout, size)
        for key, reason in [*problems, *start_problems(chosen)]:
            setters = [section for section, own in layers if key.split(".")[0] in own]
            errors.append(f"{setters[-1] if setters else 'recipe'}.{key}: {reason}")
    return errors


def _recipe_sections(raw: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every section that holds settings of a recipe, by its path."""
    sections = {"recipe": _mapping(raw, "recipe")}
    for layers in recipe_layers(raw):
        sections |= dict(layers)
    return sections


def _count_errors(raw: dict[str, Any]) -> list[str]:
    """More images asked than the data set has."""
    data_set, data = _data_set(raw), _mapping(raw, "data")
    shares = _numbers([data.get("test"), data.get("validation")])
    if data_set is None or len(shares) < 2 or not all(0 < share < 1 for share in shares):
        return []
    train, test = data_set.train, data_set.test
    if test is None:
        test = held_out(train, shares[0])
        train -= test
    train -= held_out(train, shares[1])
    errors = []

    def check(section: str, asked: Any, there: int, part: str) -> None:
        if isinstance(asked, int) and asked > there:
            errors.append(
                f"{section}.samples: {asked} asked, but {data['name']} has {there} {part} images "
                "here; null takes them all"
            )

    kept = data.get("samples")
    check("data", kept, train, "training")
    check("evaluation", _mapping(raw, "evaluation").get("samples"), test, "test")
    for section, recipe in _recipe_sections(raw).items():
        there = min(train, kept) if isinstance(kept, int) else train
        check(section, recipe.get("samples"), there, "training")
    return errors


def held_out(count: int, share: float) -> int:
    """How many of `count` images a share is: rounded up, but not for the error of a product."""
    return math.ceil(count * share - 1e-9)


def _box_errors(key: str, norm: str, grid: Any, data: dict[str, Any]) -> list[str]:
    known = PUBLISHED.get(str(data.get("name")))
    if norm in ("l2", "l1") and known is None:
        return []  # a folder's image size is not known yet; the attack checks it before it starts
    limit = registry.largest_eps(norm, math.prod(known.shape if known else ()))
    return [
        f"{key}: {eps:g} is more than {norm} allows for images in [0, 1]: at most {limit:g}"
        for eps in _numbers(grid)
        if eps > limit * (1 + 1e-9)
    ]


def _data_set(raw: dict[str, Any]) -> DataSet | None:
    return PUBLISHED.get(str(_mapping(raw, "data").get("name")))


def _mapping(values: dict[str, Any], key: str) -> dict[str, Any]:
    """What stands at `key`; empty where it is no mapping."""
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else []


def _numbers(values: Any) -> list[float]:
    """The budgets of a raw list that can be read at all."""
    found = []
    for value in _listed(values):
        try:
            found.append(float(budget(value)))
        except (TypeError, ValueError):
            continue
    return found


def budget(value: Any) -> Any:
    """`8/255` is a perturbation budget as people write it; YAML leaves it a string."""
    try:
        if isinstance(value, bool):
            raise ValueError
        if isinstance(value, str):
            above, slash, below = value.partition("/")
            return float(above) / (float(below) if slash else 1)
    except (ValueError, ZeroDivisionError):
        raise ValueError("must be a number or a fraction such as 8/255") from None
    return value


def listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(map(str, names)))


def unknown(name: Any, allowed: Iterable[str]) -> str:
    """`unknown 'pgdd'; did you mean 'pgd'? allowed: fgsm, pgd`."""
    close = difflib.get_close_matches(str(name), list(map(str, allowed)), n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"unknown {name!r}{hint} allowed: {listed(allowed)}"
