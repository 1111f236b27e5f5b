"""What is compared with: a folder of results, or a revision whose results DVC's cache holds."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.errors import UserError, first_line
from ..base.store import Place
from . import runs
from .runs import Run

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem

TABLES = ("tables/verdicts.parquet", "tables/summary.json")


@contextmanager
def opened(base: str, place: Place) -> Iterator[Run]:
    """The run that `base` names, read.

    Raises:
        UserError: it names nothing, or its results are gone.
    """
    folder = Path(base)
    if folder.is_dir() and runs.holds_results(folder):
        if (folder / "artifacts").resolve() == place.artifacts.resolve():
            raise UserError(f"--base {base}: these are the results that are to be compared")
        yield runs.of_folder(folder, f"`{base}`")
        return
    files = _revision(base)
    with tempfile.TemporaryDirectory(prefix="epsball-") as temporary:
        weights = _bring(files, base, place, Path(temporary))
        commit = str(files.repo.get_rev())[:7]
        title = f"`{base}`" if base.startswith(commit) else f"`{base}` ({commit})"
        yield runs.of_folder(Path(temporary), title, weights=weights)


def _revision(base: str) -> DVCFileSystem:
    """All files of a revision, those in Git and those that DVC keeps."""
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    try:
        files = DVCFileSystem(os.curdir, rev=base)
        _ = files.repo  # opened only now
    except DvcException as error:
        also = " (a folder of this name holds no results)" if Path(base).is_dir() else ""
        raise UserError(
            f"--base {base}: neither a revision of this Git repository nor a folder that holds "
            f"artifacts/attack or reports/{TABLES[0]}{also}: {first_line(error)}"
        ) from error
    return files


def _bring(files: DVCFileSystem, base: str, place: Place, to: Path) -> dict[str, str] | None:
    """Copy the results of a revision to the folder `to`; the hash of each network's weights.

    From DVC's cache (or its remote, if one is set up); else the tables of the report, where they
    are in Git.
    """
    here = os.path.relpath(place.folder.resolve(), Path.cwd())
    root = "" if here == os.curdir else f"{here}/"
    if not files.exists(f"{root}params.yaml"):
        raise UserError(f"--base {base}: there is no {root}params.yaml in that revision")
    _copy(files, f"{root}params.yaml", to / "params.yaml")
    cells = {
        f"{stage}/{network}/{suite}"
        for stage in ("attack", "noise")
        for network, suite in _cells(files, f"{root}artifacts/{stage}")
    }
    wanted = ["artifacts/data.npz"] + [f"artifacts/{cell}/verdicts.npz" for cell in sorted(cells)]
    missing = [path for path in wanted if not _copy(files, root + path, to / path)]
    if cells and not missing:
        return _weights(files, f"{root}artifacts/networks")
    shutil.rmtree(to / "artifacts", ignore_errors=True)
    if not all(_copy(files, f"{root}reports/{path}", to / "reports" / path) for path in TABLES):
        raise UserError(_gone(files, base, root, missing))
    return None


def _cells(files: DVCFileSystem, folder: str) -> set[tuple[str, str]]:
    """(network, suite) of each result below a folder, those whose content is gone among them."""
    below = [path.removeprefix(f"{folder}/").split("/") for path in files.find(folder)]
    return {(parts[0], parts[1]) for parts in below if len(parts) >= 2}


def _copy(files: DVCFileSystem, path: str, to: Path) -> bool:
    """Bring one file here; False if it, or its content, is not to be had."""
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        files.get_file(path, str(to))
    except OSError:
        return False
    return True


def _weights(files: DVCFileSystem, folder: str) -> dict[str, str]:
    found = [path for path in files.find(folder) if path.endswith("/network.pt")]
    return {path.split("/")[-2]: str(files.info(path)["md5"]) for path in found}


def _gone(files: DVCFileSystem, base: str, root: str, missing: list[str]) -> str:
    """Why a revision has no results, and what to do about it."""
    if not files.exists(f"{root}dvc.lock"):
        return (
            f"--base {base}: {root}dvc.lock is not committed there, so nothing tells which results "
            f"that revision had. Commit it after each run (`git add {root}dvc.lock`), or give "
            "--base a folder: another checkout in which that revision was run"
        )
    return (
        f"--base {base}: DVC's cache no longer holds {missing[0]} of that revision"
        + (f", and {len(missing) - 1} more" if len(missing) > 1 else "")
        + f". Bring it back: `dvc fetch` from a remote; or check the revision out elsewhere "
        "(`git worktree add`), run `dvc repro` there and give --base that folder. Whoever commits "
        f"{root}reports/tables after each run does not need the cache for this"
    )
