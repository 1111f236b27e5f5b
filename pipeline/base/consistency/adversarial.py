"""Settings of adversarial training that its method needs, or has no use for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PARTS: dict[str, tuple[tuple[str, ...], Any]] = {
    "steps": (("pgd", "trades"), 7),
    "beta": (("trades",), 6.0),
    "guard": (("fgsm",), "stop"),
}
"""Each setting with its methods and an example."""


def adversarial_errors(
    recipe: dict[str, Any], *, watched: bool = True
) -> Iterator[tuple[str, str]]:
    """(setting, what is wrong) of a raw recipe; `watched` on validation images, as a guard does."""
    asked = recipe.get("adversarial")
    if not isinstance(asked, dict):
        return
    method = asked.get("method", "pgd")
    if method not in ("pgd", "fgsm", "trades"):
        return  # told by the schema
    for name, (methods, example) in PARTS.items():
        if name == "guard" and not watched:
            continue
        given = asked.get(name) is not None
        if given and method not in methods:
            yield name, f"{method} has none, only {' and '.join(methods)}; leave it out"
        elif not given and method in methods:
            yield name, f"missing; {method} needs it, such as {example}"
    if method == "trades" and recipe.get("loss") == "hinge":
        yield (
            "method",
            "trades compares probabilities, which the hinge loss does not train; "
            "write loss: cross_entropy",
        )
