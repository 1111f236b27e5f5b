"""How a network's recipe is put together: sections of params.yaml, of which the last one wins."""

from __future__ import annotations

from .raw import Raw, mapping

Layers = list[tuple[str, Raw]]
"""Sections by their paths, from what is shared to what a network writes itself."""


def merged(recipe: Raw, own: Raw) -> Raw:
    """A network's recipe: what it says itself, and the rest from `recipe`.

    Settings and weights belong to an architecture: who names one of its own starts without them.
    """
    without: Raw = {"settings": {}, "weights": None, "frozen": False}
    return recipe | (without if "architecture" in own else {}) | own


def recipe_layers(raw: Raw) -> list[Layers]:
    """The sections that each network's recipe is put together from.

    Those of `memorize` are there too, and what they share by itself. Models of the user's own have
    no recipe.
    """
    memorize, recipe = mapping(raw, "memorize"), ("recipe", mapping(raw, "recipe"))
    networks, memorizing = mapping(raw, "networks"), mapping(memorize, "networks")
    found: list[Layers] = [
        [recipe, (f"networks.{name}", mapping(networks, name))]
        for name in networks
        if "model" not in mapping(networks, name)
    ]
    shared = ("memorize.recipe", mapping(memorize, "recipe"))
    found.append([recipe, shared])
    for name in memorizing:
        own = {k: v for k, v in mapping(memorizing, name).items() if k != "corruptions"}
        if "model" in own:
            continue
        found.append([recipe, shared, (f"memorize.networks.{name}", own)])
    return found


def recipe_sections(raw: Raw) -> dict[str, Raw]:
    """Every section that holds settings of a recipe, by its path."""
    sections = {"recipe": mapping(raw, "recipe")}
    for layers in recipe_layers(raw):
        sections |= dict(layers)
    return sections
