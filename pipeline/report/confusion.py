"""What the network takes broken images for: a confusion matrix under attack."""

from __future__ import annotations

import numpy as np

from . import heatmaps, wording
from .chart import Chart
from .results import BROKEN, Cell, Verdicts

DRAWN = 20  # classes; of more a picture could not be read


def read_under_attack(table: Verdicts, eps: float) -> np.ndarray:
    """(N,) the class that each image is read as at its smallest breaking ε up to `eps`.

    A survivor's is its label, an image's that is misread without a change what it is read as.
    """
    read = np.where(table.right, table.label, table.clean_pred).astype(np.int64)
    rows = table.rows
    broken = (rows["outcome"] == BROKEN) & (rows["adv_pred"] >= 0)
    broken &= rows["eps"] <= eps * (1 + 1e-9)
    order = np.argsort(rows["eps"][broken], kind="stable")
    index, first = np.unique(rows["index"][broken][order], return_index=True)
    found = rows["adv_pred"][broken][order][first]
    at = np.searchsorted(table.index, index)
    read[at] = np.where(table.right[at], found, read[at])
    return read


def matrix(table: Verdicts, eps: float, classes: int) -> np.ndarray:
    """(C, C) counts: true class by what it is read as under attack.

    One more column counts what a user's model reads as a class beyond these, if it does.
    """
    read = np.minimum(read_under_attack(table, eps), classes)
    counts = np.zeros((classes, max(classes, int(read.max()) + 1)), dtype=np.int64)
    np.add.at(counts, (table.label.astype(np.int64), read), 1)
    return counts


def chart(cell: Cell, eps: float, classes: list[str], number: int) -> Chart | None:
    """The heat map of one network; None where there are too many classes to draw."""
    if len(classes) > DRAWN:
        return None
    counts = matrix(cell.attack, eps, len(classes))
    of_class = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(of_class, 1)
    columns = [wording.class_name(classes, number) for number in range(counts.shape[1])]
    return heatmaps.shares(
        f"confusion-{cell.network}",
        f"What {cell.network} reads under attack, ε = {wording.grid_eps(eps)}",
        f"{cell.network}: {favourite(counts, classes)}",
        f"{cell.network}: share in % of each class that is read as each, at the smallest ε that "
        f"broke it, up to {wording.grid_eps(eps)}; on the diagonal, those that no attack of the "
        "suite broke.",
        classes,
        columns,
        shares.tolist(),
        heatmaps.numbers(
            "class", classes, [f"read as {name}" for name in columns], counts.tolist()
        ),
        ("class", "read as"),
        number,
    )


def favourite(counts: np.ndarray, classes: list[str]) -> str:
    """The most frequent wrong answer, and the pair that is confused most often."""
    wrong = counts * (1 - np.eye(*counts.shape, dtype=np.int64))
    if not wrong.any():
        return "nothing was misread."
    most = int(wrong.sum(axis=0).argmax())
    true, read = np.unravel_index(int(wrong.argmax()), wrong.shape)
    share = wrong[:, most].sum() / wrong.sum()
    pair = f"{wrong[true, read]} of {counts[true].sum()}"
    return (
        f"{wording.percent(float(share))} of what is misread is read as "
        f"{wording.class_name(classes, most)}; most often {classes[true]} becomes "
        f"{wording.class_name(classes, int(read))} ({pair})."
    )
