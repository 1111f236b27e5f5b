"""Stage `attack@network-suite`: verdicts of a suite of attacks on one network, with witnesses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from attacks.registry import resolve

from .base.errors import UserError
from .base.store import Place, replace_folder, write_json, write_npz
from .diagnosis import Diagnosis
from .gallery import broken_examples, fooling_images
from .measure import Cascade, load_images, measure, on_levels, result_key, run_record
from .verify import check_witnesses

if TYPE_CHECKING:
    from .base.config import Config


def run(place: Place, config: Config, network: str, suite: str) -> None:
    """Attack `network` with `suite`; write verdicts, witnesses, a gallery and the run's record.

    Raises:
        UserError: if the model cannot be judged, or a witness does not hold when judged again.
    """
    chosen = config.suites[suite]
    seed = config.evaluation.seed
    attackers = resolve(chosen.attacks, chosen.norm)
    images = load_images(place, config.evaluation, network)
    key = result_key(place, network, chosen.model_dump(), config.evaluation.model_dump())
    attacked = on_levels(images, chosen, suite)
    diagnosis = Diagnosis(
        place, f"diagnose {network} {suite}", attacked, attackers, chosen, config, key
    )
    diagnosis.run()
    cascade = Cascade(attackers, chosen.eps)
    measured = measure(
        place, f"attack {network} {suite}", attacked, [cascade], chosen.norm, seed, key
    )
    names = np.array([attacker.label for attacker in attackers])
    about = {"attack_names": names, "norm": np.array(chosen.norm)}
    witnesses = measured.witnesses | about
    refuted = check_witnesses(images, witnesses)
    if refuted:
        raise UserError(f"attack {network} {suite}: witnesses do not hold: {refuted[:5]}")
    record = run_record(
        attacked, measured, attackers, seed, network=network, suite=suite, norm=chosen.norm
    )
    with replace_folder(place.attack(network, suite)) as folder:
        write_npz(
            folder / "verdicts.npz",
            **measured.rows,
            **about,
            suite=np.array(suite),
            network=np.array(network),
            eps_grid=np.array(chosen.eps),
            shape=np.array(images.x.shape[1:]),
        )
        write_npz(folder / "witnesses.npz", **witnesses)
        diagnosis.write(folder, measured)
        write_npz(folder / "gallery.npz", **broken_examples(images, measured, chosen.norm, seed))
        write_npz(folder / "fooling.npz", **fooling_images(images, images.info["classes"], seed))
        write_json(folder / "run.json", record | {"witnesses": len(witnesses["index"])})
    if measured.disputed:
        print(f"{measured.disputed} images were broken in {config.evaluation.precision} alone")
    diagnosis.discard()
    measured.discard()
