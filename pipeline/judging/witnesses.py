"""Witnesses judged again: what a stored image claims is not believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from attacks.geometry import threat_of
from attacks.registry import TRANSFORMATIONS
from attacks.verdict import BROKEN, TOLERANCE, judge

from ..base.errors import UserError
from .images import Images
from .measure import PART, Measured


def require_witnesses(label: str, images: Images, measured: Measured, norm: str) -> None:
    """UserError, beginning with `label`, if a witness does not hold when it is judged again."""
    refuted = check_witnesses(images, measured.witnesses | {"norm": np.array(norm)})
    if refuted:
        raise UserError(f"{label}: witnesses do not hold: {refuted[:5]}")


def check_witnesses(images: Images, witnesses: Mapping[str, np.ndarray]) -> list[str]:
    """Judge each witness again at its eps; one sentence for each that does not hold."""
    norm = str(witnesses["norm"])
    refuted = []
    index = witnesses["index"]
    unknown = [int(key) for key in index if int(key) not in images.position]
    if unknown:
        return [f"example {key} is not among the evaluated test images" for key in unknown]
    for eps, chosen in _by_eps(witnesses["eps"]):
        rows = [images.position[int(key)] for key in index[chosen]]
        x, y, keys = images.x[rows], images.y[rows], images.keys[rows]
        x_adv, theta = (
            torch.from_numpy(witnesses[name][chosen]).to(images.x) for name in ("x_adv", "theta")
        )
        # A transformed image is rendered again: that it looks right is no proof that it is one.
        answer = theta if norm in TRANSFORMATIONS else x_adv
        shown = threat_of(norm, eps, x).image(answer, x)
        judged = judge(images.oracle, x, answer, y, keys, norm, eps)
        other = (shown - x_adv).flatten(1).abs().amax(dim=1) > TOLERANCE
        for row in ((judged.outcome != BROKEN) | other).nonzero()[:, 0].tolist():
            told = ", and the stored image is not what its parameters render" if other[row] else ""
            refuted.append(
                f"example {int(index[chosen[row]])} at eps {eps:g}: predicted "
                f"{int(judged.prediction[row])}, label {int(y[row])}, "
                f"distance {float(judged.distance[row]):.7g}{told}"
            )
    return refuted


def _by_eps(budgets: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """Places of equal budget, no more at a time than a part has: memory stays bounded."""
    for eps in np.unique(budgets):
        chosen = np.flatnonzero(budgets == eps)
        for begin in range(0, len(chosen), PART):
            yield float(eps), chosen[begin : begin + PART]
