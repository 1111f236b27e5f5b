"""The files that a network is made of, by content: DVC cannot be told of them by name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .callables import source_of
from .starts import IMAGENET

if TYPE_CHECKING:
    from .config import Recipe


def watched(entry: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of the callable's own file, the weights and everything that `code` names.

    Args:
        entry: of `networks`, with the key `model`.
    """
    module = entry["model"].partition(":")[0]
    source = source_of(module)
    # By the module's name: where it is installed differs from machine to machine.
    files = {} if source is None else {module: source}
    files |= {path.as_posix(): path for path in code_files(entry.get("code") or [])}
    if entry.get("weights"):
        files[entry["weights"]] = Path(entry["weights"])
    return {name: _sha256(path) for name, path in sorted(files.items())}


def started_from(recipe: Recipe) -> dict[str, str | None]:
    """SHA-256 of the file of weights that a recipe starts from, if it names one; None where it is
    another network's, which is not trained yet."""
    if recipe.weights in (None, IMAGENET):
        return {}
    file = Path(recipe.weights)
    return {recipe.weights: _sha256(file) if file.is_file() else None}


def code_files(paths: Iterable[str | Path]) -> list[Path]:
    """Files as they are, and of folders everything below them but what Python leaves there."""
    found = []
    for path in map(Path, paths):
        below = path.rglob("*") if path.is_dir() else [path]
        found += [each for each in below if each.is_file() and not _is_cache(each)]
    return sorted(found)


def _is_cache(path: Path) -> bool:
    return "__pycache__" in path.parts or path.suffix == ".pyc"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
