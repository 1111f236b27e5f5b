"""Finished pieces of a stage, kept so that asking for one more makes that one alone.

DVC clears a stage's folder before the stage runs: of several training runs in one folder all would
be gone whenever a seed is added. So each piece is finished in a folder of its own below .kept/,
under a fingerprint of all that it follows from, and the stage's folder is filled from there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .store import Place, fingerprint, write_text


@contextmanager
def kept_pieces(
    place: Place,
    stage: str,
    keys: Mapping[str, str],
    make: Callable[[str, Path], None],
    *asked: Any,
) -> Iterator[dict[str, Path]]:
    """The folder of every piece of a stage; in the block, the stage writes its results from them.

    A piece that was finished under its key is taken as it is. Only if a whole run asked for exactly
    the same are all made anew: then DVC was told to run the stage by force.

    Args:
        stage: a name such as `train-plain`; no two stages may share it.
        keys: for each piece, a fingerprint of all that it follows from.
        make: fills the folder of a piece, whole or not at all.
        asked: the parameters that DVC watches for the stage: where these have changed and no key
            has, nobody asked for the same again.
    """
    folder = place.kept / stage
    complete, now = folder / "complete", fingerprint(list(keys.items()), *asked)
    if complete.exists() and complete.read_text() == now:
        shutil.rmtree(folder)
    complete.unlink(missing_ok=True)
    paths = {piece: folder / f"{piece}-{key}" for piece, key in keys.items()}
    for left in set(folder.glob("*")) - set(paths.values()):
        # Of other parameters, data or code, or half-written.
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    for piece, path in paths.items():
        if not path.exists():
            make(piece, path)
    yield paths
    write_text(complete, now)
