"""What each run in MLflow shows, gathered from the result files. Imports no mlflow.

Percentages are taken from the report's tables, where they are derived from the verdicts.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base.errors import UserError
from .base.store import Place, fingerprint, read_json

if TYPE_CHECKING:
    from .base.config import Config

SCHEMA = 1  # part of every key: raise it when runs should be written anew
HEADLINES = 12  # more columns than this and nobody reads MLflow's table
FIRST = ("clean_acc", "noise_acc", "robust_acc", "certified_acc", "eps50", "eps10")


@dataclass(frozen=True)
class Record:
    """What the run of one network shows; `metrics` are (name, value, step).

    A network of `memorize` is called memorize/<name>: it may be another than that of its name.
    """

    network: str
    key: str
    params: dict[str, str]
    metrics: list[tuple[str, float, int]]
    architecture: str


def read_records(place: Place, config: Config) -> list[Record]:
    """One record for each network of params.yaml, in its order, then those of `memorize`."""
    metrics = read_json(place.reports / "metrics.json")
    suites, curves = _table(place, "networks"), _table(place, "curves")

    def of(network: str, rows: list[dict[str, str]]) -> list[dict[str, str]]:
        return [row for row in rows if row["network"] == network]

    records = []
    for name in config.networks:
        if name not in metrics:
            raise UserError(f"{place.reports / 'metrics.json'}: nothing on {name}; run the report")
        shown = _headlines(metrics[name], of(name, suites)) + _by_eps(of(name, curves))
        records.append(_record(place, config, name, shown))
    return records + [_memorized(place, name) for name in config.memorize.networks]


def report_files(place: Place) -> list[Path]:
    figures = sorted((place.reports / "figures").glob("*"))
    files = [place.reports / "index.html", place.reports / "report.md", *figures]
    return [file for file in files if file.is_file()]


def _record(
    place: Place, config: Config, network: str, shown: list[tuple[str, float, int]]
) -> Record:
    training = _without_seconds(read_json(place.network(network) / "training.json"))
    files = [place.network(network) / "network.pt"]
    for suite in config.suites:
        files += [at(network, suite) / "verdicts.npz" for at in (place.attack, place.noise)]
    for file in files:
        if not file.exists():
            raise UserError(f"{file}: missing; run `dvc repro` (or `make repro`) to make it")
    shown = shown + _history("", training["history"])
    entry = config.networks[network]
    own = "model" in entry
    recipe = entry if own else config.recipe_of(network).model_dump(mode="json")
    params = _params(recipe, training["parameters"])
    # Seconds differ every time and the report is drawn from the rest: neither makes a new run.
    key = fingerprint(SCHEMA, network, params, shown, training["history"], *files)
    return Record(network, key, params, shown, recipe["model" if own else "architecture"])


def _memorized(place: Place, network: str) -> Record:
    stored = _without_seconds(read_json(place.memorize(network)))
    shown = []
    for run in stored["runs"]:
        name = re.sub(r"[^a-z0-9]+", "_", run["name"].lower()).strip("_")
        last = run["history"][-1] | {"test_acc": run["test_acc"]}
        shown += _history(f"{name}/", [*run["history"][:-1], last])
    params = _params(stored["recipe"], stored["runs"][0]["parameters"])
    key = fingerprint(SCHEMA, f"memorize/{network}", params, shown)
    return Record(f"memorize/{network}", key, params, shown, stored["recipe"]["architecture"])


def _params(recipe: dict[str, Any], parameters: int) -> dict[str, str]:
    told = {name: value for name, value in recipe.items() if name != "classes"}  # up to 1000
    params = {
        name: value if isinstance(value, str) else str(value).lower()
        for name, value in flattened(told, ".").items()
    }
    return params | {"parameters": str(parameters)}


def _headlines(
    metrics: dict[str, Any], suites: list[dict[str, str]]
) -> list[tuple[str, float, int]]:
    """The numbers of `dvc metrics show` under the same names, and eps50 of each suite.

    The most telling ones come first; what was not reached within a suite's grid is left out.
    """

    def order(name: str) -> tuple[int, str]:
        family = name.split("/")[0]
        return (FIRST.index(family) if family in FIRST else len(FIRST), name)

    flat = _numbers(flattened(metrics, "/"))
    flat |= {f"eps50/{row['suite']}": float(row["eps50"]) for row in suites if row["eps50"]}
    return [(name, flat[name], 0) for name in sorted(flat, key=order)[:HEADLINES]]


def _history(prefix: str, history: list[dict[str, Any]]) -> list[tuple[str, float, int]]:
    """Curves by epoch."""
    return [
        (prefix + name, value, epoch["epoch"])
        for epoch in history
        for name, value in _numbers(epoch).items()
        if name == "loss" or name.endswith("_acc")
    ]


def _by_eps(curves: list[dict[str, str]]) -> list[tuple[str, float, int]]:
    """Robust accuracy against ε. A step must be a whole number, so ε is a metric beside it."""
    points: list[tuple[str, float, int]] = []
    steps: dict[str, int] = {}
    for row in curves:
        if row["kind"] != "worst_case":
            continue
        suite = row["suite"]
        step = steps[suite] = steps.get(suite, -1) + 1
        points.append((f"eps/{suite}", float(row["eps"]), step))
        points.append((f"robust_acc/{suite}", float(row["acc"]), step))
    return points


def _table(place: Place, name: str) -> list[dict[str, str]]:
    """The rows of a table of the report: percentages are derived from verdicts there alone."""
    path = place.reports / "tables" / f"{name}.csv"
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise UserError(f"{path}: missing; run `dvc repro` (or `make repro`)") from None


def flattened(values: dict[str, Any], separator: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = flattened(value, separator) if isinstance(value, dict) else {"": value}
        flat |= {separator.join(filter(None, (name, key))): leaf for key, leaf in inner.items()}
    return flat


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_seconds(part) for key, part in value.items() if key != "seconds"}
    if isinstance(value, list):
        return [_without_seconds(part) for part in value]
    return value
