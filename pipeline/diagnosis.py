"""The diagnosis of an attack stage: each attack alone on a keyed subset of the images, and signs
of hidden gradients.

The report's checks of the attacks rest on it. The cascade cannot answer them: it spares every
attack what another one broke.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from attacks.diagnosis.flags import Counts
from attacks.diagnosis.observe import broken, observe
from attacks.diagnosis.plan import is_single_step, plan
from attacks.registry import L_NORMS, Attacker

from .base.errors import UserError
from .base.store import Place, fingerprint, read_npz, write_json, write_npz
from .judging.images import Images, subset
from .judging.measure import Cascade, Measured, measure

if TYPE_CHECKING:
    from .base.config import Evaluation, Suite

COLUMNS = ("index", "label", "clean_pred", "attack", "eps", "outcome", "margin")


class Diagnosis:
    """A diagnosis in two steps: `run` the attacks, then `write` with what the suite found.

    What `run` took is kept until `discard`: a stage that is killed does not run it again.

    Args:
        name: what progress calls it.
        images: all that the suite attacks.
        attackers, suite: of the stage.
        evaluation: how many images, and the seed.
        key: fingerprint of everything that the suite's result depends on.
    """

    def __init__(
        self,
        place: Place,
        name: str,
        images: Images,
        attackers: Sequence[Attacker],
        suite: Suite,
        evaluation: Evaluation,
        key: str,
    ) -> None:
        self.samples = min(evaluation.diagnosis, len(images.x))
        self.seed, self.norm, self.attackers = evaluation.seed, suite.norm, attackers
        chosen = subset(images.keys.cpu().numpy(), self.samples, self.seed)
        rows = torch.from_numpy(chosen).to(images.device)
        self.images = replace(images, x=images.x[rows], y=images.y[rows], keys=images.keys[rows])
        self.plan = plan(attackers, suite.norm, suite.eps)
        if not images.info["gradients"]:
            free = [solo for solo in self.plan.solos if not solo.attacker.entry.gradients]
            self.plan = self.plan._replace(solos=free)
        self._key = fingerprint(key, Path(__file__))
        self._place, self._name = place, name
        self._kept = place.work / f"{name.replace(' ', '-')}-{self._key}.npz"

    def run(self) -> None:
        """Run the attacks, unless an interrupted stage did.

        Raises:
            UserError: if the model cannot be judged.
        """
        if self.samples == 0 or self._read() is not None:
            return
        cascades = [
            Cascade([solo.attacker], grid, code)
            for code, solo in enumerate(self.plan.solos)
            if not self._known(code)
            for grid in solo.runs
        ]
        measured = measure(
            self._place, self._name, self.images, cascades, self.norm, self.seed, self._key
        )
        write_npz(self._kept, **{name: measured.rows[name] for name in COLUMNS})
        measured.discard()

    def write(self, folder: Path, suite: Measured) -> None:
        """Write diagnosis.npz, verdicts and what they are of, and signs.json, counts of images."""
        table = self._read()
        if table is None:
            return
        write_npz(folder / "diagnosis.npz", **self._joined(table, suite), **self._about())
        write_json(folder / "signs.json", self._signs(suite))

    def discard(self) -> None:
        """Remove what `run` kept; to be called when the stage's folder is in its place."""
        self._kept.unlink(missing_ok=True)

    def _read(self) -> dict[str, np.ndarray] | None:
        try:
            return read_npz(self._kept)
        except UserError:  # missing or damaged
            return None

    def _known(self, code: int) -> bool:
        """Is it the suite's first attack, of minimum norm? Then the cascade ran it alone too."""
        others = len(self.plan.solos) > 1
        return code == 0 and others and self.attackers[0].entry.kind == "minimum"

    def _joined(self, table: dict[str, np.ndarray], suite: Measured) -> dict[str, np.ndarray]:
        if not self._known(0):
            return table
        rows = suite.rows
        first = (rows["attack"] == 0) & np.isin(rows["eps"], self.plan.solos[0].grid)
        first &= np.isin(rows["index"], self.images.keys.cpu().numpy())
        return {name: np.concatenate([rows[name][first], table[name]]) for name in COLUMNS}

    def _about(self) -> dict[str, np.ndarray]:
        solos = self.plan.solos
        labels = [solo.attacker.label for solo in solos]
        about: dict[str, Any] = {
            "compared_at": self.plan.eps,
            "ball": self.norm in L_NORMS,
            "attack_names": labels,
            "role": [solo.role for solo in solos],
            "gradients": [solo.attacker.entry.gradients for solo in solos],
            "single_step": [is_single_step(solo.attacker) for solo in solos],
        }
        for ladder, rungs in self.plan.ladders.items():
            about[ladder] = [number for number, _ in rungs]
            about[f"{ladder}_attack"] = [labels.index(label) for _, label in rungs]
        return {name: np.array(value) for name, value in about.items()}

    def _signs(self, suite: Measured) -> Counts:
        images = self.images
        right = suite.rows["index"][suite.rows["clean_pred"] == suite.rows["label"]]
        chosen = torch.from_numpy(np.isin(images.keys.cpu().numpy(), right)).to(images.device)
        x, y, keys = images.x[chosen], images.y[chosen], images.keys[chosen]
        witnesses = suite.witnesses  # images in a file: only those that are needed are read
        rows = np.isin(witnesses["index"], keys.cpu().numpy())
        found = broken(self.norm, x, keys, y, lambda name: torch.tensor(witnesses[name][rows]))
        counts = observe(
            images.oracle,
            x,
            y,
            keys,
            self.norm,
            self.plan.eps,
            self.attackers,
            found,
            seed=self.seed,
        )
        if not images.info["gradients"]:  # that there are none was told, and is no sign
            counts |= {"zero": None, "saturated": None}
        return counts
