"""What is known of an architecture before it is built; needs no torch."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .settings import Setting

Shape = tuple[int, int, int]

# Why an architecture may be without a setting that others have.
ABSENT = {
    "activation": "its activations belong to it",
    "pooling": "what it pools belongs to it",
    "batch_norm": "its batch norm, or that it has none, belongs to it",
    "stochastic_depth": "nothing is left when a layer is dropped: it has no shortcuts past them",
    "images": "it sees them whole",
    "shortcut": "its shortcuts, or that it has none, belong to it",
}


@dataclass(frozen=True)
class Architecture:
    """A network's name, where its builder is, which images it takes and what can be set."""

    name: str
    builder: str
    """`module:function` in this package, `(shape, classes, dropout, *, settings) -> nn.Module`"""
    description: str
    parameters: Mapping[Shape, int]
    """How many it has for images of these shapes, ten classes and the defaults of its settings."""
    minimum: int = 8
    """Smallest height and width in pixels."""
    sides: tuple[int, ...] = ()
    """If not empty: the only heights and widths that it takes (square images)."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """What tells architectures of one builder apart: keywords that cannot be set."""
    dropout: str = "before the last layer"
    """Where dropout acts; empty if it has none."""
    batch_norm: bool = False
    """Of those that have no such setting: is there any?"""
    conflict: Callable[[dict[str, Any]], tuple[str, str] | None] | None = None
    """Of settings that are allowed one by one: one that does not go with the others and why."""

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

    def has_batch_norm(self, given: Mapping[str, Any]) -> bool:
        return bool(self.filled(given).get("batch_norm", self.batch_norm))

    def problems(
        self, settings: Mapping[str, Any], dropout: float, size: tuple[int, int] | None
    ) -> list[tuple[str, str]]:
        """What speaks against building it: (key of a recipe, reason); empty if nothing does.

        Args:
            settings: what is to differ from its defaults.
            dropout: the probability.
            size: height and width of the images; None where they are not known yet.
        """
        found = [
            (f"settings.{key}", reason)
            for key, value in settings.items()
            if (reason := self._wrong(key, value))
        ]
        if not found and self.conflict and (clash := self.conflict(self.filled(settings))):
            found.append((f"settings.{clash[0]}", clash[1]))
        if dropout and not self.dropout:
            found.append(("dropout", f"{self.name} has no dropout; set it to 0, not {dropout:g}"))
        if size and not self.accepts(*size):
            reason = f"{self.name} takes images of {self.sizes()} pixels, not {size[0]}x{size[1]}"
            found.append(("architecture", reason))
        return found

    def _wrong(self, key: str, value: Any) -> str | None:
        """What is wrong with one setting; None if nothing is."""
        if key in self.settings:
            setting = self.settings[key]
            return None if setting.fits(value) else f"must be {setting.allowed}, got {value!r}"
        if key in ABSENT:
            return f"{self.name} does not take it: {ABSENT[key]}"
        if not self.settings:
            return f"{self.name} has nothing to set; leave it out"
        close = difflib.get_close_matches(str(key), self.settings, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ";"
        return f"unknown {key!r}{hint} {self.name} takes {', '.join(sorted(self.settings))}"
