"""Versions of what a number depends on."""

from __future__ import annotations

import platform

import numpy as np
import torch


def versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "cuda": torch.version.cuda or "none",
    }
