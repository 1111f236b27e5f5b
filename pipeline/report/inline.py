"""A drawing put into the page: named for screen readers, coloured by CSS, with values on hover.

Each colour of the fixed palette becomes a CSS variable, so that one drawing serves light, dark and
print. The legend is cut off: the page has one that works as switches.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

from ..base.palette import SERIES
from .drawing import GRID, INK, QUIET, SURFACE, WIDTH

_VARIABLES = {INK: "ink", QUIET: "quiet", GRID: "grid", SURFACE: "surface"} | {
    color: f"s{number}" for number, color in enumerate(SERIES)
}


def inline(
    file: bytes,
    name: str,
    *,
    title: str,
    description: str,
    height: float,
    tips: dict[str, list[str]],
) -> str:
    """The same SVG for the page: named, coloured by CSS variables, no legend, values on hover.

    `tips` has one text for each marker of the series with that gid.
    """
    root = ElementTree.fromstring(file)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for key in [key for key in element.attrib if "}" in key]:
            element.set(key.rpartition("}")[2], element.attrib.pop(key))
    _drop(root, lambda element: element.tag in ("metadata", "style"))
    _drop(root, lambda element: element.get("id", "").startswith("legend"))
    _drop(root, lambda element: element.get("id") == "patch_1")  # the page has its own paper
    for element in root.iter("g"):
        gid = element.get("id", "")
        if gid.startswith(("series:", "band:")):
            _, network, kind = gid.split(":")
            element.set("class", gid.partition(":")[0])
            element.set("data-network", network)
            element.set("data-kind", kind)
            _add_tips(element, tips.get(gid, []))
    for element in root.iter():
        for key, value in element.attrib.items():
            element.set(key, _attribute(key, value, name))
    for extra in ("width", "height", "version"):
        root.attrib.pop(extra, None)
    root.set("viewBox", f"0 0 {WIDTH} {height:g}")
    root.set("class", "chart")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, id=f"{name}-{tag}")
        element.text = text
        root.insert(position, element)
    return ElementTree.tostring(root, encoding="unicode")


def _drop(root: ElementTree.Element, unwanted: Callable[[ElementTree.Element], bool]) -> None:
    for parent in list(root.iter()):
        for child in [child for child in parent if unwanted(child)]:
            parent.remove(child)


def _add_tips(group: ElementTree.Element, texts: list[str]) -> None:
    """A wide invisible disc on each marker, that tells its value to the pointer."""
    uses = list(group.iter("use"))
    for use, text in zip(uses, texts, strict=False):
        disc = ElementTree.SubElement(
            group,
            "circle",
            {"class": "hit", "cx": use.get("x", "0"), "cy": use.get("y", "0"), "r": "7"},
        )
        ElementTree.SubElement(disc, "title").text = text


def _attribute(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}".replace(":", "-")
    if key == "href":
        return f"#{name}-{value[1:]}"
    value = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", value)
    if key in ("style", "fill", "stroke"):
        value = re.sub(
            "#[0-9a-f]{6}",
            lambda found: f"var(--{_VARIABLES[found[0]]})" if found[0] in _VARIABLES else found[0],
            value,
        )
    return value
