"""Stage `noise@network-suite`: the same verdicts, from random perturbations of the suite's norm.

Each kind of noise is measured with a single draw and with the worst of many: at the suite's own
budgets, so that it can be compared with the attacks, and at larger ones where they long succeeded.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from attacks.registry import NOISE, Attacker

from .base.store import Place, replace_folder
from .judging.images import load_images
from .judging.measure import Cascade, measure
from .judging.per_seed import judge_each_seed
from .judging.record import run_record, write_results
from .judging.witnesses import require_witnesses

if TYPE_CHECKING:
    from .base.config import Config


def run(place: Place, config: Config, network: str, suite: str) -> None:
    """Perturb `network`'s test images at random in the norm of `suite`; write the verdicts.

    The weights of every seed are judged, on the same noise.

    Raises:
        UserError: if the model cannot be judged.
    """
    norm = config.suites[suite].norm
    grid = sorted({*config.suites[suite].eps, *config.noise.eps[norm]})
    asked = config.evaluation
    shape = [asked.samples, asked.seed, asked.slots, asked.precision, asked.draws]
    judge_each_seed(
        place,
        f"noise {network} {suite}",
        network,
        place.noise(network, suite),
        [norm, grid, config.noise.model_dump(), shape],
        partial(_noise, place, config, network, suite, grid),
    )


def _noise(
    place: Place,
    config: Config,
    network: str,
    suite: str,
    grid: list[float],
    label: str,
    part: str,
    key: str,
    target: Path,
) -> None:
    """Perturb at random what the weights in `part` of the network's folder read; write `target`."""
    norm = config.suites[suite].norm
    seed = config.evaluation.seed
    draws = config.noise.draws
    kinds = [kind for kind in config.noise.kinds if norm in NOISE[kind].norms]
    attackers: list[Attacker] = []
    cascades: list[Cascade] = []
    for kind in kinds:
        one = Attacker(kind, kind, NOISE[kind], {"draws": 1})
        many = Attacker(f"{kind}_x{draws}", kind, NOISE[kind], {"draws": draws})
        # A single draw is cheap and takes each budget by itself: noise is not monotone in eps.
        # The worst of many goes down the grid as attacks do: what survived every draw of a larger
        # size is not drawn for again. A kind is not spared what another kind broke.
        cascades += [Cascade([one], [eps], len(attackers)) for eps in grid]
        cascades += [Cascade([many], grid, len(attackers) + 1)]
        attackers += [one, many]
    images = load_images(place, config.evaluation, network, part)
    measured = measure(place, label, images, cascades, norm, seed, key)
    require_witnesses(label, images, measured, norm)
    record = run_record(images, measured, attackers, seed, network=network, suite=suite, norm=norm)
    with replace_folder(target) as folder:
        write_results(folder, images, measured, attackers, grid, record)
    measured.discard()
