"""`python -m pipeline verify`: judge every stored witness again, from the files alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from attacks.geometry import threat_of
from attacks.registry import TRANSFORMATIONS
from attacks.verdict import BROKEN, TOLERANCE, judge

from .base.errors import UserError
from .base.seeds import trained
from .base.store import Place, read_npz
from .measure import PART, Images, load_images

if TYPE_CHECKING:
    from .base.config import Config


def run(place: Place, config: Config) -> None:
    """Re-check the witnesses of every network, seed, suite and noise; print one line for each.

    Raises:
        UserError: if a witness does not hold or a broken example has none, naming them.
    """
    failures = []
    for network in config.networks:
        for seed, part in trained(place, network).items():
            images = load_images(place, config.evaluation, network, part)
            for suite in config.suites:
                for stage, at in (("attack", place.attack), ("noise", place.noise)):
                    name = f"{stage} {network} {suite}" + (f" seed {seed}" if part else "")
                    folder = at(network, suite) / part
                    failures += [f"{name}: {reason}" for reason in _refuted(folder, images, name)]
    if failures:
        raise UserError("these witnesses do not hold:\n" + "\n".join(failures))


def _refuted(folder: Path, images: Images, name: str) -> list[str]:
    """What does not hold among the results in `folder`; prints a line."""
    witnesses, verdicts = (read_npz(folder / f"{each}.npz") for each in ("witnesses", "verdicts"))
    refuted = check_witnesses(images, witnesses) + _missing(verdicts, witnesses)
    told = f"{len(refuted)} do not" if refuted else "all hold"
    print(f"{name}: {len(witnesses['index'])} witnesses, {told}")
    return refuted


def _missing(verdicts: Mapping[str, np.ndarray], witnesses: Mapping[str, np.ndarray]) -> list[str]:
    """Examples that a verdict calls broken and that no witness of that budget shows."""
    broken = (verdicts["outcome"] == BROKEN) & (verdicts["clean_pred"] == verdicts["label"])
    smallest: dict[int, float] = {}
    for key, eps in zip(verdicts["index"][broken], verdicts["eps"][broken], strict=True):
        smallest[int(key)] = min(float(eps), smallest.get(int(key), float(eps)))
    shown = dict(zip(witnesses["index"].tolist(), witnesses["eps"].tolist(), strict=True))
    return [
        f"example {key} is called broken at eps {eps:g}, and no witness shows it"
        for key, eps in smallest.items()
        if shown.get(key) != eps
    ]


def check_witnesses(images: Images, witnesses: Mapping[str, np.ndarray]) -> list[str]:
    """Judge each witness again at its eps; one sentence for each that does not hold."""
    norm = str(witnesses["norm"])
    position = {int(key): row for row, key in enumerate(images.keys.tolist())}
    refuted = []
    index = witnesses["index"]
    unknown = [int(key) for key in index if int(key) not in position]
    if unknown:
        return [f"example {key} is not among the evaluated test images" for key in unknown]
    for eps, chosen in _by_eps(witnesses["eps"]):
        rows = [position[int(key)] for key in index[chosen]]
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
