"""Stage `attack@network-suite`: verdicts of a suite of attacks on one network, with witnesses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from attacks.noise import corners, surface
from attacks.registry import resolve
from attacks.threat import ThreatModel

from .base.errors import UserError
from .base.store import Place, replace_folder, write_json, write_npz
from .measure import Cascade, Images, Measured, load_images, measure, result_key, run_record
from .verify import check_witnesses

if TYPE_CHECKING:
    from .base.config import Config

GALLERY = 12


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
    cascade = Cascade(attackers, chosen.eps)
    measured = measure(
        place, f"attack {network} {suite}", images, [cascade], chosen.norm, seed, key
    )
    names = np.array([attacker.label for attacker in attackers])
    about = {"attack_names": names, "norm": np.array(chosen.norm)}
    witnesses = measured.witnesses | about
    refuted = check_witnesses(images, witnesses)
    if refuted:
        raise UserError(f"attack {network} {suite}: witnesses do not hold: {refuted[:5]}")
    record = run_record(
        images, measured, attackers, seed, network=network, suite=suite, norm=chosen.norm
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
        write_npz(folder / "gallery.npz", **_gallery(images, measured, chosen.norm, seed))
        write_json(folder / "run.json", record | {"witnesses": len(witnesses["index"])})


def _gallery(images: Images, measured: Measured, norm: str, seed: int) -> dict[str, np.ndarray]:
    """A few broken examples beside random noise of the same size: one of each label, then more.

    The noise is a corner of the cube in L-infinity and a point of the sphere elsewhere: the
    largest that the attack's distance allows.
    """
    found = measured.witnesses
    order: list[int] = []
    rest = list(range(len(found["index"])))
    while rest and len(order) < GALLERY:
        labels: set[int] = set()
        for place in rest:
            if found["label"][place] not in labels:
                labels.add(int(found["label"][place]))
                order.append(place)
        rest = [place for place in rest if place not in order]
    order = sorted(order[:GALLERY])
    position = {int(key): row for row, key in enumerate(images.keys.tolist())}
    rows = [position[int(found["index"][place])] for place in order]
    x, y, keys = images.x[rows], images.y[rows], images.keys[rows]
    x_adv = torch.from_numpy(found["x_adv"][order]).to(x)
    draw = corners if norm == "linf" else surface
    noise = x.clone()
    for row, distance in enumerate(found["distance"][order].tolist()):
        one = slice(row, row + 1)
        threat = ThreatModel(norm, distance)
        noise[one] = draw(images.oracle, x[one], y[one], threat, keys=keys[one], seed=seed)
    columns: dict[str, np.ndarray] = {}
    for name, shown in (("clean", x), ("noise", noise), ("adv", x_adv)):
        logits = images.oracle.judged(shown, keys) if rows else torch.zeros(0, 2)
        top = logits.softmax(dim=1).max(dim=1)
        columns[f"{name}_pred"] = top.indices.cpu().numpy()
        columns[f"{name}_confidence"] = top.values.cpu().numpy()
    return columns | {
        "index": found["index"][order],
        "label": found["label"][order],
        "eps": found["eps"][order],
        "distance": found["distance"][order],
        "x": x.cpu().numpy(),
        "noise": noise.cpu().numpy(),
        "x_adv": x_adv.cpu().numpy(),
    }
