"""Where every file lies, and how files are written: whole or not at all.

DVC deletes a stage's outputs before it runs, and an orphan of a killed run may still be writing
while the next run starts. So nothing is ever written in place: a temporary neighbour is filled,
then moved over the target with one `os.replace`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from .errors import UserError, first_line


@dataclass(frozen=True)
class Place:
    """The files of one experiment: the folder of its params.yaml, and everything below it."""

    folder: Path

    @classmethod
    def of(cls, params_path: str | Path) -> Place:
        return cls(Path(params_path).parent)

    @property
    def name(self) -> str:
        """`mnist` for experiments/mnist, `default` for the top level, however it is written."""
        folder = self.folder.resolve()
        return "default" if folder == Path.cwd().resolve() else folder.name

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    @property
    def data(self) -> Path:
        return self.artifacts / "data.npz"

    @property
    def watched(self) -> Path:
        return self.artifacts / "watched"

    def network(self, network: str) -> Path:
        return self.artifacts / "networks" / network

    def attack(self, network: str, suite: str) -> Path:
        return self.artifacts / "attack" / network / suite

    def noise(self, network: str, suite: str) -> Path:
        return self.artifacts / "noise" / network / suite

    def transfer(self, suite: str) -> Path:
        return self.artifacts / "transfer" / f"{suite}.npz"

    def memorize(self, network: str) -> Path:
        return self.artifacts / "memorize" / f"{network}.json"

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    @property
    def work(self) -> Path:
        """Checkpoints of unfinished work; never tracked, safe to delete."""
        return self.folder / ".work"

    @property
    def kept(self) -> Path:
        """Finished pieces of stages (see `kept`); never tracked, safe to delete."""
        return self.folder / ".kept"


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically, creating its folder."""
    with _replacing(path) as file:
        file.write(data)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A temporary neighbour, open for writing, that replaces `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(temporary, 0o644)  # mkstemp makes it readable by its owner alone
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n")


def write_npz(path: Path, **arrays: Any) -> None:
    """Write an uncompressed .npz: equal arrays give equal bytes, and members load lazily.

    Straight into the file, so that an array that is mapped from disk is never whole in memory.
    """
    with _replacing(path) as file:
        np.savez(file, **arrays)


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that replaces `path` whole if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*"):  # by a run that was killed while writing
        shutil.rmtree(left, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _missing(path: Path) -> UserError:
    return UserError(f"{path}: missing; run `dvc repro` (or `make repro`) to make it")


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path}: damaged ({first_line(error)}); delete it, and run again what makes it"
    )


def read_json(path: Path) -> Any:
    """What a JSON file holds; UserError if it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError) as error:  # ValueError: neither text nor JSON
        raise _damaged(path, error) from error


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All members of an .npz; UserError if it is missing or damaged.

    For a large file of which a part is wanted, use `np.load`.
    """
    try:
        with np.load(path) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


def fingerprint(*parts: Any) -> str:
    """Sixteen hex digits that change when any part does: JSON values, paths (by content)."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            digest.update(part.read_bytes())
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]
