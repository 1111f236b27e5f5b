"""What the other stages found, arranged for questions. Read from files by `loading`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attacks.diagnosis.alone import Diagnosis

from .transferred import Transferred

RUN = 0
SURVIVED, BROKEN, ERROR = 0, 1, 2
WORST_OF = "_x"  # "uniform_x100" is the worst of 100 draws of "uniform"


@dataclass(frozen=True)
class Verdicts:
    """One verdict table, from long rows to cubes over (attack, eps, example).

    Attributes:
        attacks: names, length A.
        eps: the grid, increasing, length E.
        index, label, clean_pred: one entry per example, length N.
        outcome: (A, E, N); a row that is absent from the table is survived.
        rows: the long table as stored, one array per column.
    """

    attacks: list[str]
    eps: np.ndarray
    index: np.ndarray
    label: np.ndarray
    clean_pred: np.ndarray
    outcome: np.ndarray
    rows: dict[str, np.ndarray] = field(repr=False)

    @property
    def right(self) -> np.ndarray:
        """(N,) bool: classified rightly before anything was added to the image."""
        return self.clean_pred == self.label

    def at_each(self, *outcomes: int, attacks: list[str] | None = None) -> np.ndarray:
        """(N, E) bool: had any of `attacks` any of `outcomes` at exactly this eps.

        True everywhere where the clean image is already misread.
        """
        chosen = [self.attacks.index(a) for a in (self.attacks if attacks is None else attacks)]
        hit = np.isin(self.outcome[chosen], outcomes).any(axis=0)
        return (hit | ~self.right).T

    def smallest(self, *outcomes: int) -> np.ndarray:
        """(N,) the smallest eps of the grid at which any attack had any of `outcomes`.

        0 where the clean image is already misread, infinite where it never happened.
        """
        hit = self.at_each(*outcomes)
        first = np.where(hit.any(axis=1), self.eps[hit.argmax(axis=1)], np.inf)
        return np.where(self.right, first, 0.0)

    def mean_distance(self, attack: str) -> np.ndarray:
        """(E,) mean distance that the images of `attack` really have at each eps; nan if unknown.

        What the box cuts off makes a perturbation smaller than the eps it was drawn at.
        """
        rows = self.rows
        judged = (rows["attack"] == self.attacks.index(attack)) & (rows["how"] == RUN)
        judged &= np.isfinite(rows["distance"])
        level = np.abs(rows["eps"][judged][:, None] - self.eps[None, :]).argmin(axis=1)
        number = np.bincount(level, minlength=len(self.eps))
        total = np.bincount(level, rows["distance"][judged], minlength=len(self.eps))
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)


@dataclass(frozen=True)
class Cell:
    """One network judged by one suite: attack and noise over the same images.

    `diagnosis` and `signs` are empty where evaluation.diagnosis is 0.
    """

    network: str
    suite: str
    norm: str
    attack: Verdicts
    noise: Verdicts
    gallery: dict[str, np.ndarray] = field(repr=False)
    diagnosis: Diagnosis
    signs: dict[str, int | None]
    transfer: Transferred
    run: dict[str, Any]
    noise_run: dict[str, Any]


@dataclass(frozen=True)
class DataSet:
    name: str
    checksum: str
    classes: list[str]
    levels: int
    sizes: dict[str, int]
    leaked: int  # test images that are a training or validation image, byte for byte
    test_label_hash: str


@dataclass(frozen=True)
class Results:
    """All results. `cells` holds those of each network's first seed, and `further` those of the
    others by (network, suite, seed), which have no gallery, no diagnosis and no signs."""

    data: DataSet
    cells: dict[tuple[str, str], Cell]
    further: dict[tuple[str, str, int], Cell]
    seeds: dict[str, list[int]]
    training: dict[str, dict[str, Any]]
    memorize: list[dict[str, Any]]

    @property
    def networks(self) -> list[str]:
        return list(self.training)

    @property
    def trained(self) -> dict[str, dict[str, Any]]:
        """What is known of the training of those that were trained here."""
        return {name: info for name, info in self.training.items() if "own" not in info}

    @property
    def trained_to_resist(self) -> dict[str, dict[str, Any]]:
        """Of these, the ones that were watched under attack: trained adversarially."""
        return {k: info for k, info in self.trained.items() if info.get("robust_acc_validation")}

    @property
    def without_gradients(self) -> list[str]:
        """Networks that were attacked by random search alone."""
        weak = {cell.network for cell in self.cells.values() if not cell.run.get("gradients", True)}
        return [name for name in self.networks if name in weak]

    @property
    def own(self) -> dict[str, dict[str, Any]]:
        """Models of the user's own, which came as they are."""
        return {name: info for name, info in self.training.items() if "own" in info}
