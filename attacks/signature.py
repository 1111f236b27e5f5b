"""What an attack can be set to, read from its signature: nothing is imported or run for it."""

from __future__ import annotations

import ast
import functools
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UnknownAttackError

# Parameters of the signature that are not settings.
_GIVEN = {
    "model",
    "x",
    "y",
    "threat",
    "norm",
    "keys",
    "start",
    "closest",
    "nearest",
    "reach",
    "seed",
    "name",
}

# With 0 of these an attack does nothing, and would report that nothing broke. Of others, 0 has a
# meaning: no targets, no scouting, no momentum.
NEVER_ZERO = {"steps", "restarts", "draws", "queries", "rounds", "classes", "step_size", "spacing"}


@dataclass(frozen=True)
class Setting:
    """What a keyword of an attack accepts, read from its signature."""

    default: Any
    choices: tuple[str, ...]

    def check(self, attack: str, key: str, value: Any) -> None:
        if self.choices and value not in self.choices:
            raise UnknownAttackError(
                f"{attack}.{key} must be one of {', '.join(self.choices)}, got {value!r}"
            )
        kind = type(self.default)
        fits = isinstance(value, int | float) if kind is float else isinstance(value, kind)
        if self.default is not None and (not fits or isinstance(value, bool) is not (kind is bool)):
            raise UnknownAttackError(f"{attack}.{key} must be {kind.__name__}, got {value!r}")
        if kind not in (int, float):
            return
        if not math.isfinite(value):
            raise UnknownAttackError(f"{attack}.{key} must be finite, got {value!r}")
        if value < 0:
            raise UnknownAttackError(f"{attack}.{key} must not be negative, got {value!r}")
        if value == 0 and key in NEVER_ZERO:
            raise UnknownAttackError(f"{attack}.{key} must be more than 0, got {value!r}")


@functools.cache
def definition(module: str, function: str) -> ast.FunctionDef:
    """The function's source, parsed: its signature is known without importing torch."""
    path = _source(module, function)
    try:
        body = ast.parse(path.read_text()).body
    except (OSError, SyntaxError, ValueError) as error:  # ValueError: it is not even text
        raise UnknownAttackError(
            f"cannot read {function!r} from module {module!r} ({error})"
        ) from None
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return node
    raise UnknownAttackError(f"{path.name} defines no function {function!r}")


def _source(module: str, function: str) -> Path:
    """The file that a module is in."""
    if module.startswith("."):
        return Path(__file__).parent / (module[1:].replace(".", "/") + ".py")
    try:
        spec = importlib.util.find_spec(module)
    except Exception:  # `a.b` imports a, which may raise whatever its author likes
        spec = None
    if spec is None or spec.origin is None:
        raise UnknownAttackError(f"no module {module!r} to take {function!r} from")
    return Path(spec.origin)


def settings(module: str, function: str) -> dict[str, Setting]:
    """The settings of an attack: its keyword arguments, with defaults and `Literal` choices."""
    arguments = definition(module, function).args
    found = {}
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if argument.arg in _GIVEN:
            continue
        try:
            found[argument.arg] = Setting(
                None if default is None else ast.literal_eval(default),
                _choices(argument.annotation),
            )
        except ValueError:
            raise UnknownAttackError(
                f"{module}:{function}: the default and choices of {argument.arg!r} "
                "must be written out in its signature, where they can be read without running it"
            ) from None
    return found


def _choices(annotation: ast.expr | None) -> tuple[str, ...]:
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        listed = ast.literal_eval(annotation.slice)
        return listed if isinstance(listed, tuple) else (listed,)
    return ()
