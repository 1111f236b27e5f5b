"""What each run in MLflow shows, gathered from the result files. Imports no mlflow.

Percentages are taken from the report's tables, where they are derived from the verdicts.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base import palette
from ..base.errors import UserError
from ..base.store import Place, fingerprint, read_json

if TYPE_CHECKING:
    from ..base.config import Config

SCHEMA = 3  # part of every key: raise it when runs should be written anew
HEADLINES = 12  # more columns than this and nobody reads MLflow's table
COLOR = "mlflow.runColor"  # of a run's curves and of its mark in the list
FIRST = ("clean_acc", "noise_acc", "robust_acc", "certified_acc", "eps50", "eps10")


@dataclass(frozen=True)
class Data:
    """What is known of the data set; `sizes` are the images of each part."""

    name: str
    checksum: str
    classes: int
    sizes: dict[str, int]
    file: str


@dataclass(frozen=True)
class Record:
    """What the run of one network shows; `metrics` are (name, value, step).

    A network of `memorize` is called memorize/<name>: it may be another than that of its name.
    """

    network: str
    key: str
    params: dict[str, str]
    metrics: list[tuple[str, float, int]]
    tags: dict[str, str]
    data: Data
    weights: list[Path] = field(default_factory=list)


def read_records(place: Place, config: Config) -> list[Record]:
    """One record for each network of params.yaml, in its order, then those of `memorize`."""
    metrics = read_json(place.reports / "metrics.json")
    suites, curves = _table(place, "networks"), _table(place, "curves")
    several = any("seeds" in metrics.get(name, {}) for name in config.networks)
    seeds = _table(place, "seeds_curves") if several else []
    data = _data(place)

    def of(network: str, rows: list[dict[str, str]]) -> list[dict[str, str]]:
        return [row for row in rows if row["network"] == network]

    records = []
    for name in config.networks:
        if name not in metrics:
            raise UserError(f"{place.reports / 'metrics.json'}: nothing on {name}; run the report")
        shown = _headlines(metrics[name], of(name, suites))
        shown += by_eps(of(name, curves), of(name, suites), of(name, seeds))
        records.append(_record(place, config, name, shown, data))
    records += [_memorized(place, name, data) for name in config.memorize.networks]
    # By itself MLflow draws several networks in one colour.
    return [
        replace(record, tags=record.tags | {COLOR: palette.color(number)})
        for number, record in enumerate(records)
    ]


def report_files(place: Place) -> list[Path]:
    figures = sorted((place.reports / "figures").glob("*"))
    files = [place.reports / "index.html", place.reports / "report.md", *figures]
    return [file for file in files if file.is_file()]


def _record(
    place: Place, config: Config, network: str, shown: list[tuple[str, float, int]], data: Data
) -> Record:
    training = _without_seconds(read_json(place.network(network) / "training.json"))
    files = [place.network(network) / "network.pt"]
    for suite in config.suites:
        files += [at(network, suite) / "verdicts.npz" for at in (place.attack, place.noise)]
    for file in files:
        if not file.exists():
            raise UserError(f"{file}: missing; run `dvc repro` (or `make repro`) to make it")
    history = training.get("history") or []  # a model of the user's own has none
    shown = shown + _history("", history)
    entry = config.networks[network]
    own = "model" in entry
    recipe = entry if own else config.recipe_of(network).model_dump(mode="json")
    params = _params(recipe, training["parameters"])
    # Seconds differ every time and the report is drawn from the rest: neither makes a new run.
    key = fingerprint(SCHEMA, network, params, shown, history, *files)
    tags = {
        "network": network,
        "architecture": recipe["model" if own else "architecture"],
        "recipe": ", ".join(f"{k}={v}" for k, v in _told(entry).items()) or "the default",
    }
    others = sorted(place.network(network).glob("seed-*/network.pt"))
    return Record(network, key, params, shown, tags, data, [files[0], *others])


def _memorized(place: Place, network: str, data: Data) -> Record:
    stored = _without_seconds(read_json(place.memorize(network)))
    shown = []
    for run in stored["runs"]:
        name = re.sub(r"[^a-z0-9]+", "_", run["name"].lower()).strip("_")
        last = run["history"][-1] | {"test_acc": run["test_acc"]}
        shown += _history(f"{name}/", [*run["history"][:-1], last])
    params = _params(stored["recipe"], stored["runs"][0]["parameters"])
    name = f"memorize/{network}"
    key = fingerprint(SCHEMA, name, params, shown)
    tags = {"network": name, "architecture": stored["recipe"]["architecture"]}
    return Record(name, key, params, shown, tags, data)


def _params(recipe: dict[str, Any], parameters: int) -> dict[str, str]:
    params = {
        name: value if isinstance(value, str) else str(value).lower()
        for name, value in _told(recipe).items()
    }
    return params | {"parameters": str(parameters)}


def _told(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe, flat, without the names of a user's model's classes, which may be a thousand."""
    return flattened({name: value for name, value in recipe.items() if name != "classes"}, ".")


def _data(place: Place) -> Data:
    told = read_json(place.reports / "tables" / "summary.json")["data"]
    return Data(
        **{key: told[key] for key in ("name", "checksum", "classes", "sizes")},
        file=place.data.as_posix(),
    )


def _headlines(
    metrics: dict[str, Any], suites: list[dict[str, str]]
) -> list[tuple[str, float, int]]:
    """The numbers of `dvc metrics show` under the same names, and eps50 of each suite.

    The most telling ones come first; what was not reached within a suite's grid is left out.
    """

    def order(name: str) -> tuple[int, str]:
        family = name.split("/")[0]
        return (FIRST.index(family) if family in FIRST else len(FIRST), name)

    spread = metrics.get("seeds", {})  # of several training runs, of which the rest is the first's
    flat = _numbers(metrics)
    flat |= {
        f"{name}/seeds_{end}": value
        for name, ends in spread.items()
        if isinstance(ends, dict)
        for end, value in _numbers(ends).items()
    }
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


def by_eps(
    curves: list[dict[str, str]], suites: list[dict[str, str]], seeds: list[dict[str, str]]
) -> list[tuple[str, float, int]]:
    """Accuracy against ε, so that MLflow draws it: its step is ε in thousandths.

    Worst case and one draw of the most harmful noise, of one network; of one with several seeds,
    the mean over them and the ends of its 95 % interval too. A step must be a whole
    number: 0.15 is step 150, 8/255 is step 31. On a grid so fine that two ε would share a step it
    is millionths.
    """
    points: list[tuple[str, float, int]] = []
    for suite in suites:
        name = suite["suite"]
        rows = [row for row in curves if row["suite"] == name]
        worst = [row for row in rows if row["kind"] == "worst_case"]
        noise = [row for row in rows if row["kind"] == "noise" and row["curve"] == suite["noise"]]
        unit = _steps({float(row["eps"]) for row in worst + noise})
        for kind, found in (("robust_acc", worst), ("noise_acc", noise)):
            for row in found:
                eps = float(row["eps"])
                points.append((f"{kind}/{name}", float(row["acc"]), round(eps * unit)))
        for row in [row for row in seeds if row["suite"] == name]:
            step = round(float(row["eps"]) * unit)
            points += [
                (f"robust_acc/{name}_seeds_{end}", float(row[end]), step)
                for end in ("mean", "low", "high")
            ]
    return points


def _steps(grid: set[float]) -> int:
    """Into how many steps ε = 1 is divided."""
    return 1000 if len({round(eps * 1000) for eps in grid}) == len(grid) else 1_000_000


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
