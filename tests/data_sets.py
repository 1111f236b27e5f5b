"""The data stage on any source, with the shares of the tests."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pipeline import data as stage
from pipeline.base.splits import Split
from pipeline.base.store import Place
from pipeline.data import split
from pipeline.sources.source import Source

PARTS = ("train", "validation", "test")
ASKED: dict[str, Any] = {"seed": 0, "validation": 0.1, "test": 0.2, "samples": None}


def cut(source: Source, **changes: Any) -> dict[Any, Split]:
    return split(source, **(ASKED | changes))


def run(place: Place, name: str, root: Path | None = None, **changes: Any) -> None:
    found = SimpleNamespace(name=name, root=root and str(root), **(ASKED | changes))
    stage.run(place, SimpleNamespace(data=found))  # type: ignore[arg-type]
