"""What the page and the Markdown show, put together once for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import (
    alone,
    charts,
    checks,
    claims,
    comparisons,
    epochs,
    fooling,
    images,
    opening,
    provenance,
    recheck,
    sentences,
    statistics,
    wording,
)  # fmt: skip
from .charts import Chart
from .images import Example
from .measures import Measure
from .results import Results
from .table import Cell, Table, accuracy_cell

if TYPE_CHECKING:
    from ..base.config import Config
    from ..base.store import Place


@dataclass(frozen=True)
class Gallery:
    network: str
    examples: list[Example]


@dataclass(frozen=True)
class Suite:
    """One suite's part of the page."""

    name: str
    title: str
    headline: bool
    distances: Chart
    curves: Chart
    galleries: list[Gallery]


def content(
    place: Place, results: Results, found: dict[tuple[str, str], Measure], config: Config
) -> dict[str, Any]:
    """Everything the templates show, by name."""
    head = config.headline
    chance = 1 / len(results.data.classes)
    order = [head.suite, *(name for name in config.suites if name != head.suite)]
    suites = [
        _suite(
            results,
            [found[network, name] for network in results.networks],
            chance,
            head.eps if name == head.suite else None,
        )
        for name in order
    ]
    first = [found[network, head.suite] for network in results.networks]
    made = checks.checks(results, found)
    return {
        "data": results.data,
        "chance": wording.percent(chance),
        "summary": opening.summary(results, first, head.eps),
        "suites": suites,
        "survival": _survival(first, head.eps),
        "classes": comparisons.by_class(results, first, head.eps),
        "comparison": _comparison(first, head.eps),
        "checks": made,
        "check_counts": checks.counts(made),
        "alone": [part for name in order if (part := alone.section(results, name))],
        "claims": claims.claims(results, first, head.eps),
        "files": provenance.files(place, results),
        "memorization": _memorization(results, chance),
        "training": epochs.training(results),
        "fooling": fooling.fooling(place, results.networks, head.suite, results.data.classes),
        "recipes": provenance.recipes(results),
        "measured": provenance.measured(results, config),
        "machine": provenance.machine(results),
        "hero": _hero(suites[0]),
        "headline_eps": wording.grid_eps(head.eps),
        "recheck": recheck.recheck(place, results.networks[0], head.suite, first[0].norm),
    }


def _suite(results: Results, found: list[Measure], chance: float, headline: float | None) -> Suite:
    name = found[0].suite
    return Suite(
        name=name,
        title=wording.suite(name, found[0].norm),
        headline=headline is not None,
        distances=charts.distances(found),
        curves=charts.accuracy_curves(found, chance=chance, headline=headline),
        galleries=[
            Gallery(
                m.network, images.examples(results.cells[m.network, name], results.data.classes)
            )
            for m in found
        ],
    )


def _hero(suite: Suite) -> tuple[str, Example] | None:
    """The first network's first broken image, for the top of the page."""
    for gallery in suite.galleries:
        if gallery.examples:
            return gallery.network, gallery.examples[0]
    return None


def _survival(found: list[Measure], eps: float) -> dict[str, Any]:
    """Clean, noise and attacked accuracy at the headline eps."""
    draws = next((wording.draws(m.worst_draw.name) for m in found if m.worst_draw), None)
    head = ["network", "clean", "noise, one draw", *([f"noise, {draws}"] if draws else [])]
    head += ["attacks of the suite", "worst case", "n"]
    unfinished = any(not measure.complete for measure in found)
    rows = []
    for measure in found:
        values = [measure.clean, measure.one_draw.curve.at_least(eps)[1]]
        if measure.worst_draw:
            values.append(measure.worst_draw.curve.at_least(eps)[1])
        values += [measure.suite_curve.at_least(eps)[1], measure.worst_curve.at_least(eps)[1]]
        row = [Cell(measure.network), *map(accuracy_cell, values), Cell(str(measure.n))]
        rows.append(row + ([Cell(str(measure.errors))] if unfinished else []))
    sizes = sorted({measure.one_draw.curve.at_least(eps)[0] for measure in found})
    at = wording.grid_eps(eps)
    noise_at = wording.join([wording.grid_eps(size) for size in sizes])
    return {
        "takeaway": sentences.survival(found, eps),
        "table": Table(head + (["errors"] if unfinished else []), rows),
        "caption": f"Accuracy on test images at {wording.norm(found[0].norm)} ε = {at}"
        + (f" (noise: ε = {noise_at}, the next of its grid)" if noise_at != at else "")
        + sentences.true_sizes(found, eps)
        + ", with Wilson 95 % interval",
        "kinds": ", ".join(f"{m.network}: {wording.noise_kind(m.one_draw.name)}" for m in found),
    }


def _comparison(found: list[Measure], eps: float) -> dict[str, Any] | None:
    """Pairwise tests of who survives more; None with a single network."""
    if len(found) < 2:
        return None
    compared = comparisons.pairs({m.network: comparisons.survives(m, eps) for m in found})
    return {
        "takeaway": comparisons.verdict(compared),
        "table": comparisons.matrix([m.network for m in found], compared),
        "power": comparisons.smallest_difference(compared),
        "eps": wording.grid_eps(eps),
    }


def _memorization(results: Results, chance: float) -> list[dict[str, Any]]:
    sections = []
    networks = list(dict.fromkeys(run["network"] for run in results.memorize))
    for network in networks:
        runs = [run for run in results.memorize if run["network"] == network]
        takeaway = sentences.memorization(runs)
        chart = epochs.by_epoch(
            f"memorize-{network}",
            f"What {network} fits: training accuracy by epoch",
            f"Training accuracy of {network} by epoch, one line for each way of spoiling the data; "
            f"{runs[0]['n_train']} training images, "
            f"{sentences.regularizers(results.training[network]['recipe'])}.",
            takeaway,
            {run["name"]: [e["train_acc"] for e in run["history"]] for run in runs},
            chance=chance,
        )
        rows = []
        for run in runs:
            test = statistics.accuracy(round(run["test_acc"] * run["n_test"]), run["n_test"])
            rows.append(
                [
                    Cell(run["name"]),
                    Cell(wording.percent(run["changed_fraction"])),
                    Cell(str(run["fitted_epoch"] or "not fitted")),
                    Cell(wording.percent(run["train_acc"]), share=run["train_acc"]),
                    accuracy_cell(test),
                    Cell(str(run["n_test"])),
                ]
            )
        sections.append(
            {"network": network, "chart": chart, "table": Table(MEMORIZATION_HEAD, rows)}
        )
    return sections


MEMORIZATION_HEAD = [
    "data", "labels changed", "fitted at epoch", "train accuracy",
    "test accuracy, true labels", "n",
]  # fmt: skip
