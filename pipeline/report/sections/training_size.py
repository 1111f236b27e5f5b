"""What does a larger training set buy, for accuracy and for robustness?"""

from __future__ import annotations

from typing import Any

from .. import factors, lines, sentences, wording
from ..chart import Chart
from ..lines import Axis, Line
from ..section import Findings, Section


def section(findings: Findings) -> Section | None:
    """None where no three networks differ in `samples` alone."""
    training = findings.results.trained
    groups = factors.by_samples({name: info["recipe"] for name, info in training.items()})
    if not groups:
        return None
    ordered = [sorted(names, key=lambda name: training[name]["n_train"]) for names in groups]
    labels = _labels([training[names[0]]["recipe"] for names in ordered])
    charts = [
        _chart(findings, ordered, labels, "clean", "clean accuracy", 0.0),
        _chart(findings, ordered, labels, "robust", "robust accuracy", findings.eps),
    ]
    return Section(
        name="training_size",
        short="Training-set size",
        question="What does a larger training set buy?",
        values={"charts": charts},
        charts=charts,
    )


def _labels(recipes: list[dict[str, Any]]) -> list[str]:
    told = [f"{r['architecture']}, {sentences.regularizers(r)}" for r in recipes]
    if len(set(told)) == len(told):
        return told
    return [f"{label} ({number})" for number, label in enumerate(told, 1)]


def _chart(
    findings: Findings, groups: list[list[str]], labels: list[str], part: str, what: str, eps: float
) -> Chart:
    training = findings.results.trained
    measured = {measure.network: measure for measure in findings.head}
    series = [
        Line(
            label,
            [training[name]["n_train"] for name in names],
            [measured[name].worst_curve.at_least(eps)[1] for name in names],
        )
        for label, names in zip(labels, groups, strict=True)
    ]
    at = f" at ε = {wording.grid_eps(eps)}" if eps else ""
    told = [
        f"{line.name}, {wording.percent(line.values[0])} with {wording.thousands(int(line.x[0]))} "
        f"images and {wording.percent(line.values[-1])} with {wording.thousands(int(line.x[-1]))}"
        for line in series
    ]
    return lines.chart(
        f"samples-{part}",
        f"{what.capitalize()}{at} against training images",
        f"{what.capitalize()}{at} on {findings.head[0].n} test images against the number of "
        "training images, nested subsets; all else is the same, the number of epochs too, so that "
        "fewer images also mean fewer steps. Bands: Wilson 95 %. Logarithmic axis.",
        f"{what.capitalize()}{at}: {'; '.join(told)}.",
        series,
        x=Axis("training images", log=True, whole=True),
        y=Axis(what, percent=True),
        chance=findings.chance,
    )
