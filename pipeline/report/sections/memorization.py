"""Can the networks learn by heart? Fits of random labels and spoiled images."""

from __future__ import annotations

from typing import Any

from .. import epochs, sentences, statistics, wording
from ..results import Results
from ..section import Findings, Section
from ..table import Cell, Table, accuracy_cell

HEAD = [
    "data", "labels changed", "fitted at epoch", "train accuracy",
    "test accuracy, true labels", "n",
]  # fmt: skip


def section(findings: Findings) -> Section | None:
    """None where nothing was memorized."""
    parts = _parts(findings.results, findings.chance)
    if not parts:
        return None
    return Section(
        name="memorization",
        short="Memorization",
        question="Can the networks learn by heart?",
        values={"parts": parts, "chance": wording.percent(findings.chance)},
        charts=[part["chart"] for part in parts],
    )


def _parts(results: Results, chance: float) -> list[dict[str, Any]]:
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
            f"{sentences.regularizers(runs[0]['recipe'])}.",
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
        sections.append({"network": network, "chart": chart, "fits": Table(HEAD, rows)})
    return sections
