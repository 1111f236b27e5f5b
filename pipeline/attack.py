"""Stage `attack@network-suite`: verdicts of a suite of attacks on one network, with witnesses."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from attacks.registry import gradient_free, resolve

from .base.ratios import stand_ins
from .base.store import Place, replace_folder, write_npz
from .diagnosis import Diagnosis
from .gallery import broken_examples, fooling_images
from .judging.images import load_images, on_levels
from .judging.measure import Cascade, measure
from .judging.per_seed import judge_each_seed
from .judging.record import run_record, write_results
from .judging.witnesses import require_witnesses

if TYPE_CHECKING:
    from .base.config import Config


def run(place: Place, config: Config, network: str, suite: str) -> None:
    """Attack `network` with `suite`; write verdicts, witnesses, a gallery and the run's record.

    The weights of every seed are attacked; the first's alone are diagnosed and shown in pictures.

    Raises:
        UserError: if the model cannot be judged, or a witness does not hold when judged again.
    """
    judge_each_seed(
        place,
        f"attack {network} {suite}",
        network,
        place.attack(network, suite),
        [config.suites[suite].model_dump(), config.evaluation.model_dump()],
        partial(_attack, place, config, network, suite),
    )


def _attack(
    place: Place,
    config: Config,
    network: str,
    suite: str,
    label: str,
    part: str,
    key: str,
    target: Path,
) -> None:
    """Attack the weights in `part` of the network's folder, and write the folder `target`."""
    chosen, evaluation = config.suites[suite], config.evaluation
    seed = evaluation.seed
    images = load_images(place, evaluation, network, part)
    attackers = resolve(chosen.attacks, chosen.norm)
    if not images.info["gradients"]:
        attackers = gradient_free(chosen.norm)
    if part:
        evaluation = evaluation.model_copy(update={"diagnosis": 0})
    attacked = on_levels(images, chosen, suite)
    diagnosis = Diagnosis(
        place, f"diagnose {network} {suite}", attacked, attackers, chosen, evaluation, key
    )
    diagnosis.run()
    cascade = Cascade(attackers, chosen.eps)
    measured = measure(place, label, attacked, [cascade], chosen.norm, seed, key)
    require_witnesses(label, images, measured, chosen.norm)
    record = run_record(
        attacked, measured, attackers, seed, network=network, suite=suite, norm=chosen.norm
    )
    record["witnesses"] = len(measured.witnesses["index"])
    outputs = images.oracle.plain(images.x[:1]).shape[1]
    record["stand_ins"] = stand_ins(record["attacks"], outputs)
    for attack, told in record["stand_ins"].items():
        print(f"{label}: {attack}: {told}")
    with replace_folder(target) as folder:
        write_results(folder, images, measured, attackers, chosen.eps, record)
        diagnosis.write(folder, measured)
        if not part:
            shown = broken_examples(images, measured, chosen.norm, seed)
            write_npz(folder / "gallery.npz", **shown)
            if images.info["gradients"]:  # which lead to what is made up
                fooling = fooling_images(images, images.info["classes"], seed)
                write_npz(folder / "fooling.npz", **fooling)
    if measured.disputed:
        print(f"{measured.disputed} images were broken in {evaluation.precision} alone")
    diagnosis.discard()
    measured.discard()
