"""Charts of what networks fit of labels and images that mean nothing."""

from __future__ import annotations

from typing import Any

from . import lines, sentences, statistics, wording
from .chart import Chart
from .epochs import EPOCH, by_epoch, marked
from .lines import Axis, Line
from .memorization import Run, tested
from .results import Results
from .statistics import Accuracy

SHARE = Axis("labels drawn at random", percent=True)
ERROR = Axis("test error", percent=True)
PARAMETERS = Axis("parameters", log=True, whole=True)


def charts(results: Results, chance: float) -> list[Chart]:
    """Curves by epoch of the networks with most corruptions, and what differs by share and size."""
    found = networks(results)
    most = max(len(runs) for runs in found.values())
    made = []
    for network, runs in found.items():
        if len(runs) == most and not _widths(found):
            made += [_accuracy(network, runs, chance), _loss(network, runs)]
    return made + _by_fraction(found) + _by_width(found)


def networks(results: Results) -> dict[str, list[Run]]:
    """The runs of each network that memorizes."""
    found: dict[str, list[Run]] = {}
    for run in results.memorize:
        found.setdefault(run["network"], []).append(run)
    return found


def missed(run: Run) -> Accuracy:
    """Test error."""
    right = tested(run)
    return statistics.accuracy(right.n - right.count, right.n)


def _accuracy(network: str, runs: list[Run], chance: float) -> Chart:
    return by_epoch(
        f"memorize-{network}",
        f"What {network} fits: training accuracy by epoch",
        f"Training accuracy of {network} by epoch, one line for each way of spoiling the data; "
        f"{_told(runs)}.",
        sentences.memorization(runs),
        {run["name"]: [row["train_acc"] for row in run["history"]] for run in runs},
        chance=chance,
    )


def _loss(network: str, runs: list[Run]) -> Chart:
    series = [
        Line(
            run["name"],
            [row["epoch"] for row in run["history"]],
            [row["loss"] for row in run["history"]],
        )
        for run in runs
    ]
    last = {line.name: line.values[-1] for line in series}
    low, high = min(last, key=lambda name: last[name]), max(last, key=lambda name: last[name])
    text = f"The training loss ends at {wording.number(last[low])} ({low})"
    text += f" to {wording.number(last[high])} ({high})." if low != high else "."
    return lines.chart(
        f"loss-{network}",
        f"What {network} fits: training loss by epoch",
        f"Mean training loss of {network} over each epoch, as the weights change; {_told(runs)}. "
        "Logarithmic axis.",
        text,
        series,
        x=EPOCH,
        y=Axis("training loss", log=True),
        every=marked(max(len(line.x) for line in series)),
    )


def _told(runs: list[Run]) -> str:
    regularizers = sentences.regularizers(runs[0]["recipe"])
    return f"{runs[0]['n_train']} training images, {regularizers}"


def _by_fraction(found: dict[str, list[Run]]) -> list[Chart]:
    """Test error and time to fit against the share of random labels, where there are three."""
    shares = {
        network: sorted((r for r in runs if r["kind"] == "labels"), key=lambda r: r["fraction"])
        for network, runs in found.items()
    }
    shares = {network: runs for network, runs in shares.items() if len(runs) > 2}
    if not shares:
        return []
    errors = [
        Line(network, [run["fraction"] for run in runs], [missed(run) for run in runs])
        for network, runs in shares.items()
    ]
    made = [
        lines.chart(
            "memorize-error",
            "Test error against the share of random labels",
            "Share of test images misread, against the share of training labels that were drawn "
            "at random; the test labels are the true ones. Bands: Wilson 95 %.",
            " ".join(
                f"Test error of {line.name} goes from {wording.percent(line.values[0])} at "
                f"{wording.percent(line.x[0])} random labels to {wording.percent(line.values[-1])} "
                f"at {wording.percent(line.x[-1])}."
                for line in errors
            ),
            errors,
            x=SHARE,
            y=ERROR,
        )
    ]
    times = [line for network, runs in shares.items() if (line := _times(network, runs))]
    if times:
        made.append(
            lines.chart(
                "memorize-time",
                "Time to fit against the share of random labels",
                "Epochs until every training image is fitted, over those for the true labels of "
                "the same network. A share that was not fitted has no mark.",
                " ".join(
                    f"{line.name} takes {wording.number(line.values[-1])} times as many epochs "
                    f"with {wording.percent(line.x[-1])} random labels as with true ones."
                    for line in times
                ),
                times,
                x=SHARE,
                y=Axis("epochs, over those for true labels"),
            )
        )
    return made


def _times(network: str, runs: list[Run]) -> Line | None:
    true = next((run["fitted_epoch"] for run in runs if run["fraction"] == 0), None)
    fitted = [run for run in runs if run["fitted_epoch"]]
    if not true or len(fitted) < 2:
        return None
    return Line(
        network,
        [run["fraction"] for run in fitted],
        [run["fitted_epoch"] / true for run in fitted],
    )


def _widths(found: dict[str, list[Run]]) -> dict[str, list[Run]]:
    """Runs by corruption, in order of parameters, if the networks differ in their width alone."""
    first = [runs[0] for runs in found.values()]
    rest = {repr(_without_width(run["recipe"])) for run in first}
    if len({run["parameters"] for run in first}) < 3 or len(rest) > 1:
        return {}
    by_name: dict[str, list[Run]] = {}
    for run in sorted((r for runs in found.values() for r in runs), key=lambda r: r["parameters"]):
        by_name.setdefault(run["name"], []).append(run)
    return by_name


def _without_width(recipe: dict[str, Any]) -> dict[str, Any]:
    settings = {key: value for key, value in recipe["settings"].items() if key != "width"}
    return recipe | {"settings": settings}


def _by_width(found: dict[str, list[Run]]) -> list[Chart]:
    widths = _widths(found)
    if not widths:
        return []
    made = []
    for part, of, label in (
        ("test", missed, "test error"),
        ("train", lambda run: 1 - run["train_acc"], "training error"),
    ):
        series = [
            Line(name, [run["parameters"] for run in runs], [of(run) for run in runs])
            for name, runs in widths.items()
        ]
        made.append(
            lines.chart(
                f"width-{part}",
                f"{label.capitalize()} against the number of parameters",
                f"{label.capitalize()} of one architecture in {len(series[0].x)} widths, one line "
                "for each way of drawing labels; test labels are the true ones"
                + (". Bands: Wilson 95 %." if part == "test" else "."),
                _descent(series) if part == "test" else _interpolation(widths),
                series,
                x=PARAMETERS,
                y=Axis(label, percent=True, zoomed=True),
            )
        )
    return made


def _descent(series: list[Line]) -> str:
    """Does the error rise to a peak between widths, and fall again, by more than sampling does?"""
    told = []
    for line in series:
        errors = [value for value in line.y if isinstance(value, Accuracy)]
        peak, where = 0, -1
        for at in range(1, len(errors) - 1):
            before, after = min(errors[:at], key=_size), min(errors[at + 1 :], key=_size)
            if errors[at].low > max(before.high, after.high) and errors[at].count > peak:
                peak, where = errors[at].count, at
        told.append(
            f"{line.name}: the error falls, rises to {wording.percent(errors[where].value)} at "
            f"{wording.thousands(int(line.x[where]))} parameters and falls again: a double descent."
            if where > 0
            else f"{line.name}: no rise and second fall of the error beyond what sampling explains."
        )
    return " ".join(told)


def _size(value: Accuracy) -> float:
    return value.value


def _interpolation(widths: dict[str, list[Run]]) -> str:
    return " ".join(f"{name}: {_fitted(runs)}." for name, runs in widths.items())


def _fitted(runs: list[Run]) -> str:
    """Which of these widths, the smallest first, fit every image: all from one on, or some."""
    fitted = [run for run in runs if run["fitted_epoch"]]
    if not fitted:
        return "fitted at no width"
    least = f"{wording.thousands(fitted[0]['parameters'])} parameters"
    if fitted == runs[-len(fitted) :]:
        return f"fitted to the last image from {least} on"
    return f"fitted to the last image by {len(fitted)} of {len(runs)} widths, the least of {least}"
