"""Charts over epochs: what was fitted, and how the networks were trained."""

from __future__ import annotations

from . import drawing, sentences, wording
from .charts import Chart, Key
from .inline import inline
from .results import Results
from .table import plain


def by_epoch(
    name: str,
    title: str,
    caption: str,
    takeaway: str,
    series: dict[str, list[float]],
    *,
    chance: float | None = None,
) -> Chart:
    """Accuracy per epoch, one line for each entry of `series` (fractions, epoch 1 first)."""
    height, rows = 230, -(-len(series) // 3)
    epochs = max(len(values) for values in series.values())
    every = max(1, epochs // 12)
    tips = {}
    with drawing.style():
        figure, axes = drawing.figure(height, legend_rows=rows)
        for number, (entry, values) in enumerate(series.items()):
            gid = f"series:line{number}:line"
            axes.plot(
                range(1, len(values) + 1),
                [100 * value for value in values],
                color=drawing.color(number),
                marker=drawing.marker(number),
                markersize=4,
                markevery=every,
                linewidth=1.6,
                gid=gid,
                clip_on=False,
            )
            tips[gid] = [
                f"{entry}, epoch {epoch}: {wording.percent(value)}"
                for epoch, value in list(enumerate(values, 1))[::every]
            ]
        drawing.epoch_axis(axes, epochs)
        if chance is not None:
            drawing.chance_line(axes, chance, 1)
        drawing.percent_axis(axes, "accuracy")
        drawing.legend(figure, [drawing.sample(n, entry) for n, entry in enumerate(series)], row=0)
        file = drawing.to_bytes(figure)
    rows_of_table = [
        [str(epoch), *(_at(values, epoch) for values in series.values())]
        for epoch in range(1, epochs + 1)
    ]
    return Chart(
        name=name,
        title=title,
        takeaway=takeaway,
        caption=caption,
        file=file,
        inline=inline(file, name, title=title, description=takeaway, height=height, tips=tips),
        table=plain(["epoch", *series], rows_of_table),
        keys=[Key("network", f"line{n}", entry, n) for n, entry in enumerate(series)],
    )


def _at(values: list[float], epoch: int) -> str:
    return wording.percent(values[epoch - 1]) if epoch <= len(values) else ""


def training(results: Results) -> Chart | None:
    """Validation accuracy by epoch; None where nothing was trained."""
    if not results.trained:
        return None
    return by_epoch(
        "training",
        "Validation accuracy by epoch",
        "Accuracy on the validation images after each epoch. The test images choose nothing.",
        sentences.training(results),
        {
            network: [epoch["validation_acc"] for epoch in info["history"]]
            for network, info in results.trained.items()
        },
    )
