"""Charts over epochs: what was fitted, and how the networks were trained."""

from __future__ import annotations

from . import lines, sentences
from .chart import Chart
from .lines import Axis, Line
from .results import Results

EPOCH = Axis("epoch", whole=True)


def by_epoch(
    name: str,
    title: str,
    caption: str,
    takeaway: str,
    series: dict[str, list[float]],
    *,
    chance: float | None = None,
    networks: list[str] | None = None,
) -> Chart:
    """Accuracy per epoch, one line for each entry of `series` (fractions, epoch 1 first).

    Where the entries are networks, `networks` are those of the whole page: the order of colours.
    """
    return lines.chart(
        name,
        title,
        caption,
        takeaway,
        [
            Line(
                entry,
                [*range(1, len(row) + 1)],
                [*row],
                networks.index(entry) if networks else None,
            )
            for entry, row in series.items()
        ],
        x=EPOCH,
        y=Axis("accuracy", percent=True),
        chance=chance,
        every=marked(max(map(len, series.values()))),
    )


def marked(epochs: int) -> int:
    """Each so many-th of so many epochs has a mark: about a dozen of them."""
    return max(1, epochs // 12)


def training(results: Results) -> Chart | None:
    """Validation accuracy by epoch; None where nothing was trained, or there are no such images."""
    if not results.trained or not results.data.sizes["validation"]:
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
        networks=results.networks,
    )


def robustness(results: Results) -> Chart | None:
    """Validation accuracy under attack by epoch; None where nothing was trained to resist."""
    if not results.trained_to_resist:
        return None
    return by_epoch(
        "training-robust",
        "Validation accuracy under attack by epoch",
        "Accuracy after each epoch on at most 500 validation images, under the attack that the "
        "network is trained against (trained against one step: under PGD of ten). Robust "
        "overfitting is what is lost between the best and the last epoch.",
        sentences.robustness(results),
        {
            network: [epoch["validation_robust_acc"] for epoch in info["history"]]
            for network, info in results.trained_to_resist.items()
        },
        networks=results.networks,
    )
