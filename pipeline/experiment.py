"""`python -m pipeline experiment NAME --from ORIGIN`: a new experiment beside the others.

An experiment is a folder with its own params.yaml, results and reports, on the same pipeline. The
copy of dvc.yaml is the same file everywhere; place.yaml tells it where it lies.
"""

from __future__ import annotations

import re
from pathlib import Path

from .base.errors import UserError
from .base.store import replace_folder

TOP = "default"
COPIED = ("params.yaml", "dvc.yaml")


def create(name: str, origin: str = TOP, root: Path | str = ".") -> None:
    """Copy the definition of `origin`, without its results, to experiments/`name`.

    Args:
        name: the new folder: lower-case letters, digits and _.
        origin: an experiment below experiments/, or `default` for the top level.
        root: the root of the repository.

    Raises:
        UserError: a name that cannot be used or is taken, or an unknown origin.
    """
    root = Path(root)
    # DVC puts names into the names of stages and files, where anything else may collapse.
    if not re.fullmatch(r"[a-z0-9_]+", name) or name == TOP:
        raise UserError(
            f"experiment name {name!r}: use lower-case letters, digits and _ alone, "
            f"and not {TOP!r}, which means the top level"
        )
    folder = root / "experiments" / name
    if folder.exists():
        raise UserError(f"{folder}: exists already; choose another name, or delete it first")
    known = available(root)
    if origin not in known:
        raise UserError(f"no experiment {origin!r} to start from; there are {', '.join(known)}")
    source = root if origin == TOP else root / "experiments" / origin
    with replace_folder(folder) as new:
        for file in COPIED:
            (new / file).write_bytes((source / file).read_bytes())
        (new / "place.yaml").write_text(place_yaml(name))
    print(f"{folder}/params.yaml says what is run; change it, then: make repro EXPERIMENT={name}")


def available(root: Path) -> list[str]:
    """The experiments that can be run and copied; `default` is the top level."""
    found = sorted(root.glob("experiments/*/params.yaml"))
    return [TOP, *(path.parent.name for path in found)]


def place_yaml(name: str) -> str:
    """What dvc.yaml needs to know of the folder experiments/`name`."""
    return (
        "# Where this experiment lies, for dvc.yaml: the way up to the repository, "
        "and the way back down.\n"
        f'root: "../.."\nhere: "experiments/{name}/"\n'
    )
