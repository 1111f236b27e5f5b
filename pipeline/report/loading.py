"""What the other stages left, loaded: the only file here that reads artifacts.

The grid that is expected comes from the configuration. A cell that is missing is an error that
names it; a folder of a network that was removed from params.yaml is never looked at.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import store
from ..base.errors import UserError
from ..base.seeds import SEEDS, target_name, trained
from ..base.store import Place
from . import transferred
from .diagnosed import NONE, arrange
from .results import SURVIVED, Cell, DataSet, Results, Verdicts
from .transferred import Transferred

if TYPE_CHECKING:
    from ..base.config import Config


def load(place: Place, config: Config) -> Results:
    """Everything the report needs.

    Raises:
        UserError: a cell of the grid that params.yaml asks for is missing or does not fit.
    """
    cells = {
        (network, suite): _cell(place, network, suite, config.evaluation.diagnosis > 0)
        for network in config.networks
        for suite in config.suites
    }
    parts = {network: _parts(place, network) for network in config.networks}
    further = {
        (network, suite, seed): _cell(place, network, suite, False, part)
        for network, suite in cells
        for seed, part in parts[network].items()
        if part
    }
    _on_same_images(cells, further)
    return Results(
        data=_data_set(place),
        cells=cells,
        further=further,
        seeds={network: list(found) for network, found in parts.items()},
        training={
            network: _json(place.network(network) / "training.json", f"network {network}")
            for network in config.networks
        },
        memorize=[run for network in config.memorize.networks for run in _runs(place, network)],
    )


def _parts(place: Place, network: str) -> dict[int, str]:
    _need(place.network(network) / SEEDS, f"network {network}")
    return trained(place, network)


def _on_same_images(
    cells: dict[tuple[str, str], Cell], further: dict[tuple[str, str, int], Cell]
) -> None:
    """Networks are compared image by image, so they must have seen the same ones."""
    first, index = next((key, cell.attack.index) for key, cell in cells.items())
    named = {(network, f"{suite} seed {seed}"): c for (network, suite, seed), c in further.items()}
    for key, cell in (cells | named).items():
        for stage, table in (("attack", cell.attack), ("noise", cell.noise)):
            if not np.array_equal(table.index, index):
                raise UserError(
                    f"report: attack {' x '.join(first)} and {stage} {' x '.join(key)} judged "
                    "different images; run `dvc repro`"
                )
        if cell.transfer.foreign:
            raise UserError(
                f"report: attack {' x '.join(key)} and transfer judged different images; "
                "run `dvc repro`"
            )


def _runs(place: Place, network: str) -> list[dict[str, Any]]:
    stored = _json(place.memorize(network), f"memorize {network}")
    return [{"network": network, "recipe": stored["recipe"], **run} for run in stored["runs"]]


def _need(path: Path, what: str) -> None:
    if not path.exists():
        raise UserError(
            f"report: no result for {what} ({path} is missing); "
            "run `dvc repro` to make it, or remove it from params.yaml"
        )


def _json(path: Path, what: str) -> Any:
    _need(path, what)
    return store.read_json(path)


def _npz(path: Path, what: str) -> dict[str, np.ndarray]:
    _need(path, what)
    return store.read_npz(path)


def _data_set(place: Place) -> DataSet:
    _need(place.data, "the data set")
    with np.load(place.data) as archive:  # members load lazily: the images stay on disk
        return DataSet(
            name=str(archive["name"]),
            checksum=str(archive["checksum"]),
            classes=[str(c) for c in archive["classes"]],
            levels=int(archive["levels"]),
            leaked=_leaked(archive),
            sizes={part: len(archive[f"index_{part}"]) for part in ("train", "validation", "test")},
            test_label_hash=hashlib.sha256(archive["y_test"].tobytes()).hexdigest(),
        )


def _leaked(archive: Any) -> int:
    seen = {row.tobytes() for part in ("train", "validation") for row in archive[f"x_{part}"]}
    return sum(row.tobytes() in seen for row in archive["x_test"])


def _cell(place: Place, network: str, suite: str, diagnosed: bool, part: str = "") -> Cell:
    """`part` is the folder of a seed (see `base.seeds`); of the first alone there are pictures."""
    attack_at, noise_at = place.attack(network, suite) / part, place.noise(network, suite) / part
    attack_name, noise_name = (
        f"{stage} {network} x {suite} {part}".rstrip() for stage in ("attack", "noise")
    )
    stored = _npz(attack_at / "verdicts.npz", attack_name)
    attack = cubes(stored)
    noise = cubes(_npz(noise_at / "verdicts.npz", noise_name))
    return Cell(
        network=network,
        suite=suite,
        norm=str(stored["norm"]),
        attack=attack,
        noise=noise,
        gallery={} if part else _npz(attack_at / "gallery.npz", attack_name),
        diagnosis=(arrange(_npz(attack_at / "diagnosis.npz", attack_name)) if diagnosed else NONE),
        signs=_json(attack_at / "signs.json", attack_name) if diagnosed else {},
        transfer=_transfer(place, target_name(network, part), suite, attack.index),
        run=_json(attack_at / "run.json", attack_name),
        noise_run=_json(noise_at / "run.json", noise_name),
    )


def _transfer(place: Place, target: str, suite: str, index: np.ndarray) -> Transferred:
    stored = _npz(place.transfer(suite), f"transfer x {suite}")
    if target not in stored["target_names"]:
        raise UserError(f"report: transfer x {suite} knows no {target}; run `dvc repro`")
    return transferred.arrange(stored, target, index)


def cubes(stored: dict[str, np.ndarray]) -> Verdicts:
    """Arrange a long verdict table (one row per example, attack and eps) into cubes."""
    attacks = [str(name) for name in stored["attack_names"]]
    eps = np.asarray(stored["eps_grid"], dtype=np.float64)
    index, first, example = np.unique(stored["index"], return_index=True, return_inverse=True)
    level = np.abs(stored["eps"][:, None] - eps[None, :]).argmin(axis=1)
    at = (stored["attack"].astype(np.int64), level, example)
    shape = (len(attacks), len(eps), len(index))

    outcome = np.full(shape, SURVIVED, dtype=np.int16)
    outcome[at] = stored["outcome"]
    scalars = {"attack_names", "norm", "suite", "network", "eps_grid", "shape"}
    return Verdicts(
        attacks=attacks,
        eps=eps,
        index=index,
        label=stored["label"][first],
        clean_pred=stored["clean_pred"][first],
        outcome=outcome,
        rows={name: column for name, column in stored.items() if name not in scalars},
    )
