"""Numbers as people read them. One place decides digits, units and signs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from .statistics import Accuracy, Estimate


class Norm(NamedTuple):
    """How a norm, or a kind of transformation, is spoken of.

    `change` begins a sentence that ends in a size and `of`: it turns by at most 12°.
    """

    name: str
    unit: str
    change: str
    of: str = ""


NORMS = {
    "linf": Norm("L∞", "", "each pixel moves by at most", " of its range"),
    "l2": Norm("L2", "", "it moves by an L2 distance of"),
    "l1": Norm("L1", "", "it moves by an L1 distance of"),
    "rotation": Norm("rotation", "degrees", "it turns by at most", "°"),
    "translation": Norm(
        "translation", "share of the side", "it is shifted by at most", " of its side"
    ),
    "rigid": Norm(
        "rotation and translation",
        "ε = 1 is 30° and 0.1 of the side",
        "it turns and is shifted by at most",
        " times 30° and 0.1 of its side",
    ),
    "brightness": Norm(
        "brightness", "added", "it is brightened or darkened by at most", " of a pixel's range"
    ),
    "contrast": Norm("contrast", "factor 1 ± ε", "its contrast changes by at most", " of itself"),
}
NOISE = {
    "uniform": "uniform in the ball",
    "surface": "uniform on the surface",
    "corners": "corners ±ε",
    "gaussian": "Gaussian",
    "random": "random transformation",
}


def percent(share: float) -> str:
    """`97.2 %`; one digit, but never 0.0 or 100.0 for what is not exactly that."""
    text = f"{100 * share:.1f}"
    if text == "100.0" and share < 1:
        text = "> 99.9"
    if text == "0.0" and share > 0:
        text = "< 0.1"
    return f"{text.removesuffix('.0') if share in (0, 1) else text} %"


def whole_percent(share: float) -> str:
    """`97`: for a cell of a heat map, whose unit stands beside it; `<1` for what is not zero."""
    return "<1" if 0 < share < 0.005 else f"{100 * share:.0f}"


def accuracy(value: Accuracy) -> str:
    if value.complete:
        return percent(value.value)
    return f"{percent(value.value)} to {percent(value.upper)}"


def accuracy_interval(value: Accuracy) -> str:
    return f"{100 * value.low:.1f}–{100 * value.high:.1f}"


def scaled(value: float, unit: str = "") -> str:
    """`4.70 MB`, `555 M`: three significant digits and a power of a thousand."""
    for prefix in ("", "k", "M", "G"):
        if value < 999.5 or prefix == "G":
            break
        value /= 1000
    digits = f"{value:.0f}" if prefix == "" else f"{value:#.3g}".rstrip(".")
    return f"{digits} {prefix}{unit}".strip()


def number(value: float) -> str:
    """Three significant digits, no exponent for what a page shows."""
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return "∞"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 5)}f}"


def smaller(size: float, eps: float) -> bool:
    """Does a mean distance fall short of its eps by more than rounding shows?"""
    return size < 0.99 * eps


def grid_eps(value: float) -> str:
    """An eps of the grid, as short as it can be."""
    return f"{value:.4g}"


def estimate(value: Estimate) -> str:
    return _told(value, number)


def _told(value: Estimate, shown: Callable[[float], str]) -> str:
    """One value, or the range that errors leave; `> limit` for what lies beyond the grid."""
    if not value.known:
        return "too few images" if value.few else "unknown"
    ends = [value.value] if value.complete else [value.value, value.upper]
    return " to ".join(
        shown(end) if math.isfinite(end) else f"> {shown(value.limit)}" for end in ends
    )


def interval(value: Estimate) -> str:
    return _interval(value, number)


def _interval(value: Estimate, shown: Callable[[float], str]) -> str:
    if math.isnan(value.value):
        return ""
    if not value.reached and not math.isfinite(value.low):
        return "beyond the grid"
    high = shown(value.high) if math.isfinite(value.high) else f"> {shown(value.limit)}"
    return f"{shown(value.low)}–{high}"


def size(value: Estimate, norm: str, levels: int) -> tuple[str, str]:
    """An ε and its interval; of L∞ in steps of grey, `7.6/255`, where images have 8 bits.

    Args:
        levels: the largest grey value that the images of the data set have.
    """
    if norm != "linf" or levels != 255:
        return estimate(value), interval(value)
    return _told(value, lambda eps: f"{255 * eps:.1f}/255"), _interval(
        value, lambda eps: f"{255 * eps:.1f}"
    )


def multiple(value: Estimate) -> str:
    """`6.2×`, `> 8×` where noise never broke half of the images."""
    return _told(value, lambda times: f"{times:.1f}×")


def multiple_interval(value: Estimate) -> str:
    if math.isnan(value.value):
        return ""
    if not math.isfinite(value.low):
        return "beyond the grid"
    high = f"{value.high:.1f}" if math.isfinite(value.high) else f"> {value.limit:.1f}"
    return f"{value.low:.1f}–{high}"


def noise(name: str) -> str:
    """`corners_x100` -> `corners ±ε, worst of 100`."""
    count = name.partition("_x")[2]
    return f"{noise_kind(name)}, {f'worst of {count}' if count else 'one draw'}"


def noise_kind(name: str) -> str:
    """`corners_x100` -> `corners ±ε`."""
    kind = name.partition("_x")[0]
    return NOISE.get(kind, kind.replace("_", " "))


def draws(name: str) -> str:
    """`corners_x100` -> `the worst of 100 draws`; one draw otherwise."""
    found = re.search(r"_x(\d+)$", name)
    return f"the worst of {found[1]} draws" if found else "one draw"


def suite(name: str, norm_name: str) -> str:
    """`L∞`, with the suite's own name where it says more than its norm."""
    return norm(norm_name) if name == norm_name else f"{norm(norm_name)}, suite {name}"


def class_name(classes: list[str], number: int) -> str:
    """A user's model may know more classes than the data set has."""
    return classes[number] if number < len(classes) else "a class beyond these"


def norm(name: str) -> str:
    """`L∞`, `rotation (degrees)`."""
    told = NORMS[name]
    return f"{told.name} ({told.unit})" if told.unit else told.name


def eps_label(name: str) -> str:
    """What an axis of ε is called: `ε (L∞)`, `ε (rotation, degrees)`."""
    told = NORMS[name]
    return f"ε ({told.name}, {told.unit})" if told.unit else f"ε ({told.name})"


def p_value(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def points(difference: float) -> str:
    """A difference of shares in percentage points, signed: `+1.4`, `−0.3`."""
    return signed(100 * difference)


def points_range(low: float, high: float) -> str:
    """`+1.4`; `−0.3 to +1.4` where errors leave a range."""
    return join_ends(points(low), points(high))


def join_ends(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def signed(value: float) -> str:
    text = f"{value:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


# Of more networks than this a sentence names the ends alone: a table beside it has them all.
MANY = 6


def by_network(told: list[tuple[float, str, str]]) -> str:
    """`2 % for a and 3 % for b`, from values, their words and networks; of many, the ends."""
    if len(told) <= MANY:
        return join([f"{words} for {network}" for _, words, network in told])
    (_, least, low), *between, (_, most, high) = sorted(told, key=lambda each: each[0])
    others = count(len(between), "other network")
    return f"{least} for {low}, {most} for {high} and between these for the {others}"


def join(items: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def count(n: int, noun: str) -> str:
    return f"{thousands(n)} {noun}{'' if n == 1 else 's'}"


def thousands(n: int) -> str:
    return f"{n:,}".replace(",", "\u2009")  # a thin space: no comma that might be a decimal


def augmentation(recipe: dict[str, Any]) -> str:
    """Of a recipe: `light`, or with ranges of its own and mirroring, which is its `flip`: `light,
    cutout 8, mixup 0.4, mirroring`; of the scheme none, these alone."""
    value = recipe.get("augmentation", "none")
    if value == "none":  # nothing is mirrored either
        return "none"
    given = {"scheme": value} if isinstance(value, str) else value
    told = [f"{name} {size:g}" for name, size in given.items() if name != "scheme"]
    told = [given["scheme"], *told] if given["scheme"] != "none" else told
    return ", ".join([*told, "mirroring"] if recipe.get("flip") else told) or "none"
