"""The table of architectures: names, what each one is, and what can be set; needs no torch."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .settings import Setting, activation, counts, factor, pooling, switch

LAST = "before the last layer"


@dataclass(frozen=True)
class Architecture:
    """Where a builder is, which images it takes and what can be set."""

    module: str
    builder: str
    description: str
    minimum: int = 1
    """Smallest height and width in pixels."""
    sides: tuple[int, ...] = ()
    """If not empty: the only heights and widths that it takes (square images)."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """What tells architectures of one builder apart: keywords that cannot be set."""
    dropout: str = LAST
    """Where dropout acts; empty if it has none."""
    conflict: Callable[[dict[str, Any]], tuple[str, str] | None] = lambda settings: None
    """Of settings that are allowed one by one: a setting that does not go with the others, and
    why; None where all is well."""

    def sizes(self) -> str:
        """The accepted image sizes in words, for error messages."""
        if self.sides:
            return " or ".join(f"{side}x{side}" for side in self.sides)
        return f"{self.minimum}x{self.minimum} and larger"

    def accepts(self, height: int, width: int) -> bool:
        if self.sides:
            return height == width and height in self.sides
        return min(height, width) >= self.minimum

    def filled(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All settings, with the defaults where nothing is given."""
        return {name: setting.default for name, setting in self.settings.items()} | dict(given)


ARCHITECTURES: dict[str, Architecture] = {
    "linear": Architecture(
        "models.plain", "linear", "softmax regression on the pixels", dropout="on the pixels"
    ),
    "mlp": Architecture(
        "models.plain",
        "mlp",
        "fully connected layers, three of 512 units where nothing else is said",
        settings={"hidden": counts(512, 512, 512), "activation": activation()},
        dropout="after every hidden layer",
    ),
    "small_cnn": Architecture(
        "models.convolutional",
        "small_cnn",
        "two convolutions (16, 32) and one hidden layer of 64 units, times `width`",
        minimum=8,
        settings={"width": factor(1), "activation": activation()},
    ),
    "lenet5": Architecture(
        "models.convolutional",
        "lenet5",
        "LeNet-5 with ReLU and max-pooling (LeCun et al., 1998)",
        sides=(28, 32),
        settings={"activation": activation(), "pooling": pooling()},
    ),
    "cnn": Architecture(
        "models.convolutional",
        "cnn",
        "four convolutions (32, 32, 64, 64) with batch norm and one hidden layer of 128 units",
        minimum=8,
        settings={
            "activation": activation(),
            "pooling": pooling(),
            "batch_norm": switch(True),
        },
    ),
    "resnet18": Architecture(
        "models.resnet",
        "resnet18",
        "ResNet-18 with a 3x3 stem for small images (He et al., 2016)",
        minimum=8,
    ),
}


def problems(
    name: str, settings: Mapping[str, Any], dropout: float, size: tuple[int, int] | None
) -> list[tuple[str, str]]:
    """What speaks against building an architecture: (key of a recipe, reason), empty if nothing.

    Args:
        name: one of `ARCHITECTURES`.
        settings: what is to differ from its defaults.
        dropout: the probability.
        size: height and width of the images; None where they are not known yet.
    """
    architecture = ARCHITECTURES[name]
    found = [
        (f"settings.{key}", reason)
        for key, value in settings.items()
        if (reason := _wrong(name, architecture, key, value))
    ]
    if not found and (clash := architecture.conflict(architecture.filled(settings))):
        found.append((f"settings.{clash[0]}", clash[1]))
    if dropout and not architecture.dropout:
        found.append(("dropout", f"{name} has no dropout; set it to 0, not {dropout:g}"))
    if size and not architecture.accepts(*size):
        found.append(
            (
                "architecture",
                f"{name} takes images of {architecture.sizes()} pixels, not {size[0]}x{size[1]}",
            )
        )
    return found


def _wrong(name: str, architecture: Architecture, key: str, value: Any) -> str | None:
    """What is wrong with one setting; None if nothing is."""
    allowed = architecture.settings
    if key in allowed:
        setting = allowed[key]
        return None if setting.fits(value) else f"must be {setting.allowed}, got {value!r}"
    if not allowed:
        return f"{name} has nothing to set; leave it out"
    close = difflib.get_close_matches(str(key), allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{name} has no setting {key!r}{hint} allowed: {', '.join(sorted(allowed))}"
