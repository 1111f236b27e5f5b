"""What the validation images say of adversarial training, from the history of its epochs alone."""

from __future__ import annotations

from ..base.history import Row


def collapse(history: list[Row]) -> Row | None:
    """The first epoch of catastrophic overfitting, or None (Wong et al., 2020, arXiv 2001.03994).

    Trained against one step, a network may learn to mislead that step: then PGD leaves less than
    half of the best accuracy so far, and one step leaves more than that by as much. In an epoch
    that is merely bad both are low.

    Returns:
        epoch, best_epoch and best (accuracy under PGD before), robust_acc and one_step_acc (then).
    """
    best, best_epoch = 0.0, 0
    for row in history:
        robust, one_step = row["validation_robust_acc"], row.get("validation_one_step_acc")
        if one_step is None:
            return None
        if robust < best / 2 < one_step - robust:
            return {
                "epoch": row["epoch"],
                "best_epoch": best_epoch,
                "best": best,
                "robust_acc": robust,
                "one_step_acc": one_step,
            }
        if robust >= best:
            best, best_epoch = robust, row["epoch"]
    return None


def robustness(history: list[Row], images: int, rising: int = 0) -> Row:
    """Accuracy under attack on `images` validation images: the best of all epochs but the first
    `rising`, the later among equals, and the last.

    What is lost in between is robust overfitting (Rice et al., 2020, arXiv 2002.11569).
    """
    counted = history[rising:] or history
    best = max(counted, key=lambda row: (row["validation_robust_acc"], row["epoch"]))
    return {
        "best": best["validation_robust_acc"],
        "best_epoch": best["epoch"],
        "last": history[-1]["validation_robust_acc"],
        "last_epoch": history[-1]["epoch"],
        "images": images,
        "collapse": collapse(history),
    }
