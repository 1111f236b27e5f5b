"""What does not fit a suite: its budgets, levels and attacks, the noise beside it, the headline."""

from __future__ import annotations

import math
from typing import Any

from attacks import registry

from ..data_sets import DataSet, classes_in_folder
from ..errors import listed, unknown
from ..ratios import stand_ins
from ..raw import Raw, items, mapping, numbers
from .budgets import box_errors


def headline_errors(raw: Raw) -> list[str]:
    """A headline that no suite of the file measures."""
    head, suites = mapping(raw, "headline"), mapping(raw, "suites")
    chosen = head.get("suite")
    if not isinstance(chosen, str):
        return []
    if chosen not in suites:
        return [f"headline.suite: {unknown(chosen, suites)}"]
    grid = numbers(mapping(suites, chosen).get("eps"))
    return [
        f"headline.eps: must be one of suites.{chosen}.eps {grid}, got {eps}"
        for eps in numbers([head.get("eps")])
        if grid and not any(math.isclose(eps, other) for other in grid)
    ]


def suite_errors(raw: Raw, data_set: DataSet | None) -> list[str]:
    """Suites and the noise that is measured beside them: budgets, and norms that noise lacks."""
    suites, noise = mapping(raw, "suites"), mapping(raw, "noise")
    grids, draws = mapping(noise, "eps"), mapping(raw, "evaluation").get("draws")
    kinds = [kind for kind in items(noise.get("kinds")) if str(kind) in registry.NOISE]
    classes = classes_in_folder(raw)
    errors = []
    for name in suites:
        suite = mapping(suites, name)
        errors += _unwatched(name, suite.get("attacks"))
        if classes is not None and _trains(raw):
            errors += _too_few_classes(name, suite.get("attacks"), classes)
        if registry.needs_draws(suite.get("attacks")) and draws is None:
            errors.append(
                f"suites.{name}.attacks: {suite['attacks']!r} is for networks that answer at "
                "random; say over how many draws with evaluation.draws, such as 20"
            )
        norm = suite.get("norm")
        if norm not in registry.NORMS:
            continue
        errors += box_errors(f"suites.{name}.eps", norm, suite.get("eps"), data_set)
        errors += _off_levels(f"suites.{name}", norm, suite, raw, data_set)
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
            errors += box_errors(f"noise.eps.{norm}", norm, grid, data_set)
    return errors


def _unwatched(suite: str, attacks: Any) -> list[str]:
    """A user's attack must lie where DVC sees it change, or old verdicts would stay."""
    names = [str(item.get("attack")) for item in items(attacks) if isinstance(item, dict)]
    return [
        f"suites.{suite}.attacks: {name!r} is not below custom/, where DVC watches your own "
        "attacks; move its module there and name it custom.<module>:<function>"
        for name in names
        if ":" in name and not name.startswith("custom.")
    ]


def _trains(raw: Raw) -> bool:
    """Whether a network has as many outputs as classes: a user's own may have more."""
    networks = mapping(raw, "networks")
    return any("model" not in mapping(networks, name) for name in networks)


def _too_few_classes(suite: str, attacks: Any, classes: int) -> list[str]:
    """The DLR by name where it would not be climbed; of ensembles, the report tells it."""
    asked = [item for item in items(attacks) if isinstance(item, dict) and "attack" in item]
    named = {str(item.get("name", item["attack"])): item for item in asked}
    by_name = {label: item for label, item in named.items() if item.get("loss") == "dlr"}
    return [
        f"suites.{suite}.attacks: {label}: {told}; write loss: margin"
        for label, told in stand_ins(by_name, classes).items()
    ]


def _off_levels(key: str, norm: str, suite: Raw, raw: Raw, data_set: DataSet | None) -> list[str]:
    """Levels that the images, the threat or its budgets do not have."""
    levels = suite.get("levels")
    if not isinstance(levels, int) or isinstance(levels, bool) or levels < 2:
        return []
    if norm not in registry.L_NORMS:
        return [f"{key}.levels: {norm} moves every pixel off its level; leave it out"]
    errors = []
    if data_set and (levels - 1) % (data_set.levels - 1):
        errors.append(
            f"{key}.levels: images of {raw['data']['name']} have {data_set.levels} levels, which "
            f"are not among {levels}; write {data_set.levels}"
        )
    reasons = [registry.off_levels(norm, eps, levels) for eps in numbers(suite.get("eps"))]
    return errors + [f"{key}.eps: {reason}" for reason in reasons if reason]
