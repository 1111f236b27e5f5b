"""The history of a training run: a row per epoch, as it is written and read again."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
"""See `pipeline.training.fit` for what it holds."""


def chosen_by(row: Row) -> float | None:
    """What an epoch is chosen by: accuracy on validation images, under attack if trained so.

    None without validation.
    """
    robust: float | None = row.get("validation_robust_acc")
    return row.get("validation_acc") if robust is None else robust
