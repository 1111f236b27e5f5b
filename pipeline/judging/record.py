"""What a stage writes of a measurement: verdicts, witnesses, and what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attacks.registry import Attacker

from ..base.device import describe
from ..base.store import write_json, write_npz
from ..base.versions import versions
from .images import Images
from .measure import Measured


def run_record(
    images: Images, measured: Measured, attackers: Sequence[Attacker], seed: int, **named: Any
) -> dict[str, Any]:
    """run.json: what was run, on what, and what it cost."""
    return named | {
        "seconds": measured.seconds,
        "device": describe(images.device),
        "versions": versions(),
        "slots": images.oracle.slots,
        "precision": images.info["precision"],
        "gradients": images.info["gradients"],
        "disputed": measured.disputed,
        "draws": images.oracle.draws,
        "levels": images.oracle.levels,
        "seed": seed,
        "images": len(images.x),
        "parameters": images.info["parameters"],
        "forwards": int(measured.rows["forwards"].sum()),
        "backwards": int(measured.rows["backwards"].sum()),
        "attacks": {a.label: {"attack": a.attack, **a.settings} for a in attackers},
        "errors": measured.errors,
    }


def write_results(
    folder: Path,
    images: Images,
    measured: Measured,
    attackers: Sequence[Attacker],
    grid: Sequence[float],
    record: Mapping[str, Any],
) -> None:
    """Write verdicts.npz, witnesses.npz and run.json; `record` as from `run_record`.

    Args:
        grid: every budget of the verdicts, increasing.
    """
    names = np.array([attacker.label for attacker in attackers])
    about = {"attack_names": names, "norm": np.array(record["norm"])}
    write_npz(
        folder / "verdicts.npz",
        **measured.rows,
        **about,
        suite=np.array(record["suite"]),
        network=np.array(record["network"]),
        eps_grid=np.array(grid),
        shape=np.array(images.x.shape[1:]),
    )
    write_npz(folder / "witnesses.npz", **measured.witnesses, **about)
    write_json(folder / "run.json", record)
