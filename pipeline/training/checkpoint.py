"""Unfinished training on disk, so that a killed run goes on where it was."""

from __future__ import annotations

import io
import pickle
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..base.packages import ROOT
from ..base.splits import load_checksum
from ..base.starts import IMAGENET
from ..base.store import Place, fingerprint, write_bytes
from ..base.versions import installed

if TYPE_CHECKING:
    from ..base.config import Recipe

SECONDS_BETWEEN_SAVES = 20.0
BASE = ("generators", "history", "networks", "own", "pretrained", "splits", "weights")
"""Of pipeline/base: what decides over images, initial weights and random numbers."""


def training_key(place: Place, recipe: Recipe, device: torch.device, *more: Any) -> str:
    """Fingerprint of all that a training run follows from; `more` as in `store.fingerprint`.

    What was kept of a run under another key must not be taken for a part of this one.
    """
    code = [ROOT / "attacks/threat.py", *sorted(ROOT.glob("pipeline/training/*.py"))]
    code += [ROOT / f"pipeline/base/{name}.py" for name in BASE]
    code += sorted(ROOT.glob("models/*.py"))
    if recipe.weights not in (None, IMAGENET):
        code.append(Path(recipe.weights))
    # What is asked on a CPU and not done there changes no result.
    compiled = recipe.compile and device.type == "cuda"
    asked = recipe.model_dump(mode="json") | {"compile": compiled}
    # torchvision brings architectures and the weights of ImageNet, numpy draws.
    libraries = installed("torchvision", "numpy")
    return fingerprint(asked, load_checksum(place), libraries, device.type, *more, *code)


class Checkpoint:
    """One file with the state of a training run; short runs never write it.

    The name must tell runs apart that may not resume each other (see `training_key`).
    """

    def __init__(self, path: Path, seconds_between: float = SECONDS_BETWEEN_SAVES) -> None:
        self.path = path
        self.seconds_between = seconds_between
        self._saved = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self._saved >= self.seconds_between

    def save(self, state: dict[str, Any]) -> None:
        """Write tensors, numbers, lists and dicts, atomically."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_bytes(self.path, buffer.getvalue())
        self._saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The saved state, on the CPU; None if there is none that can be read."""
        if not self.path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
            return None  # what it saved can be had again
        return state

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
