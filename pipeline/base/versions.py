"""Versions of what a number depends on."""

from __future__ import annotations

import platform
from importlib.metadata import version

import numpy as np
import torch


def versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "cuda": torch.version.cuda or "none",
    }


def installed(*packages: str) -> dict[str, str]:
    """Their versions, without importing them; torch's says for which device it was built."""
    return {"torch": str(torch.__version__)} | {name: version(name) for name in packages}
