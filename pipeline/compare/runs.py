"""One side of a comparison: the verdicts of a run, from a folder of results.

A folder is what the pipeline writes (artifacts/, reports/), a copy of either alone, or what
bases.py brought out of DVC's cache.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ..base import store
from ..base.errors import UserError
from ..report.diagnosed import NONE
from ..report.loading import cubes
from ..report.results import Cell
from ..report.tables import HOW, OUTCOMES
from ..report.transferred import nobody

STORED = "verdicts.parquet"
CODES = {"outcome": OUTCOMES, "how": HOW}


@dataclass(frozen=True)
class Run:
    """The verdicts of one run, by (network, suite), and what is known of where they come from.

    `x_test` (N, C, H, W), whole numbers up to `levels`. What the folder does not hold is empty.
    """

    title: str
    cells: dict[tuple[str, str], Cell]
    data: str = ""
    checksum: str = ""
    levels: int = 255
    x_test: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)
    index_test: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64), repr=False)
    weights: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def networks(self) -> list[str]:
        return list(dict.fromkeys(network for network, _ in self.cells))

    @property
    def suites(self) -> list[str]:
        return list(dict.fromkeys(suite for _, suite in self.cells))


def of_folder(
    folder: Path,
    title: str,
    *,
    cells: dict[tuple[str, str], Cell] | None = None,
    weights: dict[str, str] | None = None,
) -> Run:
    """The run whose results lie in `folder`; `cells` and `weights` where they are known already.

    The table of the last report comes first: it holds no network that was removed since.

    Raises:
        UserError: the folder holds no verdicts, or damaged ones.
    """
    artifacts = folder / "artifacts" if (folder / "artifacts").is_dir() else folder
    reports = folder / "reports" if (folder / "reports").is_dir() else folder
    table = reports / "tables" / STORED
    if cells is None:
        cells = _cells_of_table(table) if table.exists() else _cells_of_files(artifacts)
    if not cells:
        raise UserError(
            f"{folder}: no results here; a results folder holds artifacts/attack/<network>/<suite> "
            f"and artifacts/noise, or reports/tables/{STORED}"
        )
    cells = {key: _alone(cell) for key, cell in cells.items()}
    if weights is None:
        found = sorted((artifacts / "networks").glob("*/network.pt"))
        weights = {at.parent.name: hashlib.md5(at.read_bytes()).hexdigest() for at in found}
    return Run(
        title=title,
        cells=cells,
        weights=weights,
        params=_params(folder / "params.yaml"),
        **_data(artifacts / "data.npz", reports / "tables" / "summary.json"),
    )


def holds_results(folder: Path) -> bool:
    """Is there anything in `folder` that `of_folder` could read?"""
    return any(
        (folder / below).exists()
        for below in ("artifacts/attack", "attack", f"reports/tables/{STORED}", f"tables/{STORED}")
    )


def _cells_of_files(artifacts: Path) -> dict[tuple[str, str], Cell]:
    cells = {}
    for path in sorted((artifacts / "attack").glob("*/*/verdicts.npz")):
        suite, network = path.parent.name, path.parent.parent.name
        attack = store.read_npz(path)
        noise = store.read_npz(artifacts / "noise" / network / suite / path.name)
        cells[network, suite] = _cell(network, suite, str(attack["norm"]), attack, noise)
    return cells


def _cells_of_table(path: Path) -> dict[tuple[str, str], Cell]:
    """The same from the report's table. A row group holds rows of one network, suite and stage."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    groups: dict[tuple[str, str, str], dict[str, list[Any]]] = {}
    try:
        table = pq.ParquetFile(path)
        for number in range(table.num_row_groups):
            rows = table.read_row_group(number)
            network, suite, norm, stage = (
                str(rows[name][0]) for name in ("network", "suite", "norm", "stage")
            )
            groups.setdefault((network, suite, norm), {}).setdefault(stage, []).append(rows)
        return {
            (network, suite): _cell(
                network,
                suite,
                norm,
                *(_stored(pa.concat_tables(stages[stage])) for stage in ("attack", "noise")),
            )
            for (network, suite, norm), stages in groups.items()
        }
    except (OSError, KeyError, pa.ArrowException) as error:
        raise UserError(f"{path}: damaged ({error}); run `dvc repro` to make it anew") from error


def _stored(rows: Any) -> dict[str, np.ndarray]:
    """Rows of the report's table, as an attack or noise stage stores them."""
    stored: dict[str, np.ndarray] = {
        name: rows[name].to_numpy() for name in ("index", "label", "clean_pred", "eps", "distance")
    }
    for name, values in CODES.items():
        codes, told = _coded(rows[name])
        stored[name] = np.array([values.index(value) for value in told], np.uint8)[codes]
    stored["attack"], attacks = _coded(rows["attack"])
    return stored | {"attack_names": np.array(attacks), "eps_grid": np.unique(stored["eps"])}


def _coded(column: Any) -> tuple[np.ndarray, list[str]]:
    """A column of names as numbers, and the names that they stand for."""
    coded = column.combine_chunks().dictionary_encode()
    return coded.indices.to_numpy(zero_copy_only=False), coded.dictionary.to_pylist()


def _cell(
    network: str,
    suite: str,
    norm: str,
    attack: dict[str, np.ndarray],
    noise: dict[str, np.ndarray],
) -> Cell:
    """Verdicts alone: a comparison shows no pictures of attacks, and repeats no checks."""
    judged = cubes(attack), cubes(noise)
    others = nobody(len(judged[0].index))
    return Cell(network, suite, norm, *judged, {}, NONE, {}, others, {}, {})


def _alone(cell: Cell) -> Cell:
    """Without witnesses of other networks: one that is added would change all the others."""
    return replace(cell, transfer=nobody(len(cell.attack.index)))


def _data(archive: Path, summary: Path) -> dict[str, Any]:
    """Name and checksum of the data set; its test images where they are at hand."""
    if archive.exists():
        with np.load(archive) as stored:  # members load lazily: training images stay on disk
            return {
                "data": str(stored["name"]),
                "checksum": str(stored["checksum"]),
                "levels": int(stored["levels"]),
                "x_test": stored["x_test"],
                "index_test": stored["index_test"],
            }
    if summary.exists():
        told = store.read_json(summary).get("data", {})
        return {"data": told.get("name", ""), "checksum": told.get("checksum", "")}
    return {}


def _params(path: Path) -> dict[str, Any]:
    """What params.yaml says, unchecked: an older one need not fit today's schema."""
    try:
        read = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return read if isinstance(read, dict) else {}
