"""What pydantic found wrong, in the user's terms."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from ..errors import unknown

# Parts of pydantic's locations that are not in the file.
INTERNAL = ("[key]", "[scheme]", "[ranges]", "str", "list[dict[str,any]]")


def _keys_at(location: tuple[Any, ...], root: type[BaseModel]) -> list[str]:
    """The keys allowed at a place in the file, for the hint after a misspelt one."""
    model: Any = root
    for part in location:
        field = getattr(model, "model_fields", {}).get(part)
        # Not a field: a name in a mapping such as `networks`, whose values have their own model.
        model = model if field is None else _model_in(field.annotation) or model
    return list(getattr(model, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    """The first of our models inside a type such as `dict[Name, Suite]` or `Adversarial | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        found = _model_in(part)
        if found is not None:
            return found
    return None


def sentence(item: Any, root: type[BaseModel], prefix: tuple[str, ...] = ()) -> str:
    """One line for one of pydantic's errors, in the user's terms.

    `root` was checked, and stands at `prefix` in the file.
    """
    location = tuple(part for part in item["loc"] if part not in INTERNAL)
    path = ".".join(map(str, prefix + location))
    if item["type"] == "extra_forbidden":
        return f"{path}: {unknown(str(location[-1]), _keys_at(location[:-1], root))}"
    if item["type"] == "missing":
        return f"{path}: missing"
    message = item["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    value = item["input"]
    told = isinstance(value, dict | list) or repr(value) in message
    separator = ": " if path else ""
    return f"{path}{separator}{message}" + ("" if told else f", got {value!r}")
