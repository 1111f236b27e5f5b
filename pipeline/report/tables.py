"""The numbers as files: CSV for people, Parquet with every verdict, one metrics file for DVC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..base import store
from . import alone, luck
from .luck import Luck
from .measures import Curve, Measure
from .results import Results
from .statistics import Accuracy, Estimate

Measures = dict[tuple[str, str], Measure]
OUTCOMES = ["survived", "broken", "error"]
HOW = ["run", "skipped", "implied"]


def write(
    folder: Path,
    results: Results,
    found: Measures,
    summary: dict[str, Any],
    lucks: Sequence[Luck] = (),
) -> None:
    """Fill `folder` with every table. Equal results give equal bytes."""
    import pandas as pd

    for name, rows in {
        "networks": _networks(results, found),
        "curves": _curves(found),
        "memorization": _memorization(results),
        "alone": alone.rows(results),
        **luck.tables(lucks),
    }.items():
        text = pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n")
        store.write_text(folder / f"{name}.csv", text)
    write_verdicts(folder / "verdicts.parquet", results)
    store.write_json(folder / "summary.json", summary)


def write_verdicts(path: Path, results: Results) -> None:
    """Every verdict: one row per network, suite, stage, example, attack and eps.

    One row group per table, so that a large grid is never held in memory twice.
    """
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    def names(codes: np.ndarray, of: list[str]) -> Any:
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int16)), pa.array(of))

    writer = None
    for (network, suite), cell in results.cells.items():
        for stage, table in (("attack", cell.attack), ("noise", cell.noise)):
            rows = table.rows
            same = np.zeros(len(rows["index"]), np.int16)
            columns = {
                "network": names(same, [network]),
                "suite": names(same, [suite]),
                "norm": names(same, [cell.norm]),
                "stage": names(same, [stage]),
                **{name: pa.array(column) for name, column in rows.items()},
                "attack": names(rows["attack"], table.attacks),
                "outcome": names(rows["outcome"], OUTCOMES),
                "how": names(rows["how"], HOW),
            }
            block = pa.table(columns)
            writer = writer or pq.ParquetWriter(path, block.schema, compression="zstd")
            writer.write_table(block)
    if writer is not None:
        writer.close()


def metrics(
    results: Results, found: Measures, suite: str, eps: float, lucks: Sequence[Luck] = ()
) -> dict[str, Any]:
    """{network: {metric: number}} for `dvc metrics`: the headline suite at the headline eps.

    A metric that was not reached is left out, and its bound stands as `<metric>_above`. Of several
    training runs it is the first one's; what all of them spread stands below `seeds`.
    """
    spread = luck.metrics(lucks)
    return {
        network: _metrics_of(found[network, suite], eps)
        | ({"seeds": spread[network]} if network in spread else {})
        for network in results.networks
    }


def _metrics_of(measure: Measure, eps: float) -> dict[str, Any]:
    robust = measure.worst_curve.at_least(eps)[1]
    values = {
        "clean_acc": measure.clean.value,
        "noise_acc": measure.one_draw.curve.at_least(eps)[1].value,
        "robust_acc": robust.value,
    }
    if measure.worst_draw:
        values["noise_worst_acc"] = measure.worst_draw.curve.at_least(eps)[1].value
    if not robust.complete:
        values["robust_acc_upper"] = robust.upper
    values |= _or_above("eps10", measure.eps10) | _or_above("eps50", measure.eps50)
    values |= _or_above("noise_multiple", measure.one_draw.multiple)
    if measure.worst_draw:
        values |= _or_above("noise_worst_multiple", measure.worst_draw.multiple)
    values["n"] = measure.n
    if measure.errors:
        values["errors"] = measure.errors
    return {key: round(value, 6) for key, value in values.items()}


def _or_above(name: str, value: Estimate) -> dict[str, float]:
    if not value.known:
        return {}
    found = {name: value.value} if value.reached else {f"{name}_above": value.limit}
    if value.complete:
        return found
    if math.isfinite(value.upper):
        return found | {f"{name}_upper": value.upper}
    return found | {f"{name}_upper_above": value.limit}


def _networks(results: Results, found: Measures) -> list[dict[str, Any]]:
    rows = []
    for (network, suite), measure in found.items():
        row: dict[str, Any] = {
            "network": network,
            "suite": suite,
            "norm": measure.norm,
            "n": measure.n,
            "errors": measure.errors,
            "parameters": results.training[network]["parameters"],
            **_accuracy_columns("clean_acc", measure.clean),
        }
        for name, estimate in {
            "eps10": measure.eps10,
            "eps50": measure.eps50,
            "suite_eps50": measure.suite_eps50,
        }.items():
            row |= _estimate_columns(name, estimate)
        for name, noise in {"noise": measure.one_draw, "noise_worst": measure.worst_draw}.items():
            row[name] = noise.name if noise else None
            if noise:
                row |= _estimate_columns(f"{name}_eps50", noise.eps50)
                row |= _estimate_columns(f"{name}_multiple", noise.multiple)
        rows.append(row)
    return rows


def _curves(found: Measures) -> list[dict[str, Any]]:
    rows = []
    for (network, suite), measure in found.items():
        curves: list[Curve] = [measure.suite_curve, measure.worst_curve, *measure.noise_curves]
        for curve in curves:
            for eps, value in zip(curve.eps, curve.accuracy, strict=True):
                size = curve.size_at(eps) if curve.size else None
                rows.append(
                    {
                        "network": network,
                        "suite": suite,
                        "norm": measure.norm,
                        "curve": curve.name,
                        "kind": curve.kind,
                        "eps": eps,
                        **_accuracy_columns("acc", value),
                        "n": value.n,
                        "mean_distance": size if size and math.isfinite(size) else None,
                    }
                )
    return rows


def _memorization(results: Results) -> list[dict[str, Any]]:
    keys = [
        "network", "group", "name", "kind", "fraction", "changed_fraction", "fitted_epoch",
        "train_acc", "test_acc", "n_train", "n_test", "classes", "parameters", "label_hash",
    ]  # fmt: skip
    return [{key: run.get(key) for key in keys} for run in results.memorize]


def _accuracy_columns(name: str, value: Accuracy) -> dict[str, float]:
    columns = {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
    return columns if value.complete else columns | {f"{name}_upper": value.upper}


def _estimate_columns(name: str, value: Estimate) -> dict[str, float | None]:
    return {
        key: number if math.isfinite(number) else None
        for key, number in {
            name: value.value,
            f"{name}_low": value.low,
            f"{name}_high": value.high,
            f"{name}_tried": value.limit,
            **({} if value.complete else {f"{name}_upper": value.upper}),
        }.items()
    }
