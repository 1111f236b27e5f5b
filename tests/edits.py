"""Edits of params.yaml, as the fixture `check` takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Edit = Callable[[dict[str, Any]], object]


def put(*path: str | int) -> Callable[[Any], Edit]:
    *way, last = path

    def to(value: Any) -> Edit:
        def edit(params: dict[str, Any]) -> None:
            place: Any = params
            for part in way:
                place = place[part]
            place[last] = value

        return edit

    return to


def attacking(**settings: Any) -> Edit:
    return put("suites", "linf", "attacks")([settings])


def memorizer(**settings: Any) -> Edit:
    return put("memorize", "networks", "heart")(settings)
