"""Cascades run part by part, resumable, into one table of verdicts.

A large test set is attacked a part at a time, so that memory does not grow with it, and each
finished part is kept on disk until the stage is done: a killed run starts again where it was.
Witness images stay there too, and are read from there when the stage writes them.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attacks import suite
from attacks.errors import ModelError
from attacks.registry import Attacker, largest_eps
from attacks.suite import run_suite

from ..base.errors import UserError
from ..base.progress import Progress, progress
from ..base.store import Place, read_npz, write_npz
from .images import Images

PART = 500  # examples attacked, judged and saved at a time

IMAGES = "witness_x_adv"

# Columns as they are stored; wider types would only cost disk.
TYPES = {
    "index": np.int64,
    "label": np.int16,
    "clean_pred": np.int16,
    "clean_confidence": np.float32,
    "attack": np.int16,
    "eps": np.float64,
    "how": np.uint8,
    "outcome": np.uint8,
    "adv_pred": np.int16,
    "adv_confidence": np.float32,
    "distance": np.float32,
    "margin": np.float32,
    "forwards": np.int32,
    "backwards": np.int32,
}


@dataclass(frozen=True)
class Measured:
    """Verdict rows of all cascades together, their witnesses, and what it took.

    `attack` in rows and witnesses counts through the attackers of all cascades in order. Of each
    broken example the witness of the smallest budget is kept, of equals the first attacker's.
    Until `discard`, `witnesses["x_adv"]` is read from the folder `work`. `disputed` counts examples
    that fell for a fast path and not for the model.
    """

    rows: dict[str, np.ndarray]
    witnesses: dict[str, np.ndarray]
    errors: dict[str, str]
    disputed: int
    seconds: float
    work: Path

    def discard(self) -> None:
        """Remove what was kept for a restart; the results have been written."""
        shutil.rmtree(self.work, ignore_errors=True)


class Cascade(NamedTuple):
    """Attackers that spare each other's work on a grid of budgets; what one cascade breaks is not
    spared in the next.

    Attributes:
        attackers: in order.
        grid: increasing budgets.
        code: the number of its first attacker in the stage's table.
    """

    attackers: Sequence[Attacker]
    grid: Sequence[float]
    code: int = 0


def measure(
    place: Place,
    label: str,
    images: Images,
    cascades: Sequence[Cascade],
    norm: str,
    seed: int,
    key: str,
) -> Measured:
    """Run each cascade on all images, a part at a time; each finished piece is kept until the end.

    Args:
        label: what progress calls it, such as "attack plain linf".
        key: fingerprint of everything the result depends on; saved pieces of another are ignored.

    Raises:
        UserError: if the model cannot be judged, or a budget is larger than the box.
    """
    started = time.monotonic()
    limit = largest_eps(norm, images.x[0].numel())
    largest = max(eps for cascade in cascades for eps in cascade.grid)
    if largest > limit * (1 + 1e-9):
        raise UserError(
            f"{label}: eps {largest:g} is more than {norm} allows for images of "
            f"{tuple(images.x.shape[1:])} in [0, 1]: at most {limit:g}"
        )
    work = place.work / f"{label.replace(' ', '-')}-{key}"
    work.mkdir(parents=True, exist_ok=True)
    count = len(images.x)
    gathered: list[dict[str, np.ndarray]] = []
    errors: dict[str, str] = {}
    with progress(count * len(cascades), label) as bar, (work / "x_adv").open("wb") as x_adv:
        for begin in range(0, count, PART):
            part = slice(begin, begin + PART)
            paths = [work / f"{begin}-{number}.npz" for number in range(len(cascades))]
            for path, cascade in zip(paths, cascades, strict=True):
                done = bar.done
                if not _is_whole(path):
                    write_npz(path, **_run(label, images, part, cascade, norm, seed, bar))
                bar.update(done + len(images.x[part]) - bar.done)
            columns = _gather(paths, errors)
            columns.pop("witness_x_adv").tofile(x_adv)
            gathered.append(columns)
    joined = {name: np.concatenate([part[name] for part in gathered]) for name in gathered[0]}
    rows = {name: joined[name] for name in TYPES}
    witnesses = {
        name.removeprefix("witness_"): column
        for name, column in joined.items()
        if name.startswith("witness_")
    }
    shape = (len(witnesses["index"]), *images.x.shape[1:])
    witnesses["x_adv"] = np.zeros(shape, np.float32)
    if len(witnesses["index"]):  # an empty file cannot be mapped
        witnesses["x_adv"] = np.memmap(work / "x_adv", np.float32, "r", shape=shape)
    disputed = len(np.unique(joined["disputed"]))
    return Measured(rows, witnesses, errors, disputed, round(time.monotonic() - started, 1), work)


def _is_whole(path: Path) -> bool:
    """Whether a piece was finished by a run that was interrupted; one that is damaged was not."""
    try:
        read_npz(path)
    except UserError:
        return False
    return True


def _gather(paths: Sequence[Path], errors: dict[str, str]) -> dict[str, np.ndarray]:
    """The pieces of one part together, with one witness for each example; errors are added.

    Witness images are read a piece at a time: every cascade has its own, of the same examples.
    """
    pieces = []
    for path in paths:
        with np.load(path) as archive:
            pieces.append({name: archive[name] for name in archive.files if name != IMAGES})
        errors.update(json.loads(str(pieces[-1].pop("errors")[0])))
    joined = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    found = [name for name in joined if name.startswith("witness_")]
    index, eps, attack = (joined[f"witness_{name}"] for name in ("index", "eps", "attack"))
    order = np.lexsort((attack, eps, index))
    kept = order[np.unique(index[order], return_index=True)[1]]
    joined |= {name: joined[name][kept] for name in found}
    begin = 0
    for number, (path, piece) in enumerate(zip(paths, pieces, strict=True)):
        with np.load(path) as archive:
            x_adv = archive[IMAGES]
        if number == 0:
            joined[IMAGES] = np.empty((len(kept), *x_adv.shape[1:]), np.float32)
        here = (kept >= begin) & (kept < begin + len(x_adv))
        joined[IMAGES][here] = x_adv[kept[here] - begin]
        begin += len(piece["witness_index"])
    return joined


def _run(
    label: str,
    images: Images,
    part: slice,
    cascade: Cascade,
    norm: str,
    seed: int,
    bar: Progress,
) -> dict[str, np.ndarray]:
    try:
        result = run_suite(
            images.oracle,
            images.x[part],
            images.y[part],
            norm,
            cascade.grid,
            cascade.attackers,
            keys=images.keys[part],
            seed=seed,
            on_progress=partial(_tell, bar, bar.done),
        )
    except ModelError as error:
        raise UserError(f"{label}: {error}") from None
    arrays = {name: result.rows[name].numpy().astype(kind) for name, kind in TYPES.items()}
    arrays["attack"] += np.int16(cascade.code)
    for name, column in vars(result.witnesses).items():
        arrays[f"witness_{name}"] = column.numpy()
    arrays["witness_attack"] = arrays["witness_attack"] + cascade.code
    arrays["disputed"] = images.keys[part].cpu().numpy()[result.disputed.numpy()]
    arrays["errors"] = np.array([json.dumps(result.errors)])
    return arrays


def _tell(bar: Progress, begun: int, state: suite.Progress) -> None:
    """Show what an attack did; the bar counts examples that are done with every budget."""
    bar.update(
        max(0, begun + state.decided - bar.done),
        attack=state.attack,
        eps=f"{state.low:.3g}" + (f" to {state.high:.3g}" if state.high > state.low else ""),
        broken=f"{state.broken}/{state.tried}",
    )
