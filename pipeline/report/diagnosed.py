"""The verdicts of a diagnosis, arranged by attack."""

from __future__ import annotations

import numpy as np

from attacks.diagnosis.alone import LADDERS, Alone, Diagnosis

SURVIVED, BROKEN = 0, 1
NONE = Diagnosis(eps=0.0, n=0, ball=True, alone=[], ladders={})


def arrange(stored: dict[str, np.ndarray]) -> Diagnosis:
    """Arrange the verdicts of a diagnosis, of the images that were read rightly.

    Empty where there are none.
    """
    right = stored["label"] == stored["clean_pred"]
    rows = {name: stored[name][right] for name in ("index", "attack", "eps", "outcome", "margin")}
    labels = [str(name) for name in stored["attack_names"]]
    index, example = np.unique(rows["index"], return_inverse=True)
    if len(index) == 0:
        return NONE
    attacks = []
    for code, label in enumerate(labels):
        of_it = rows["attack"] == code
        grid, level = np.unique(rows["eps"][of_it], return_inverse=True)
        outcome = np.full((len(grid), len(index)), SURVIVED)
        margin = np.full((len(grid), len(index)), np.nan)
        outcome[level, example[of_it]] = rows["outcome"][of_it]
        margin[level, example[of_it]] = rows["margin"][of_it]
        attacks.append(
            Alone(
                label=label,
                role=str(stored["role"][code]),
                gradients=bool(stored["gradients"][code]),
                single_step=bool(stored["single_step"][code]),
                eps=grid.tolist(),
                broken=outcome == BROKEN,
                margin=margin,
            )
        )
    ladders = {
        ladder: [
            (int(number), labels[code])
            for number, code in zip(stored[ladder], stored[f"{ladder}_attack"], strict=True)
        ]
        for ladder in LADDERS
        if ladder in stored
    }
    n = len(index)
    return Diagnosis(float(stored["compared_at"]), n, bool(stored["ball"]), attacks, ladders)
