"""Where the work runs: chosen at run time and recorded, never part of what DVC hashes."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from .errors import UserError

VARIABLE = "EPSBALL_DEVICE"


def choose_device() -> torch.device:
    """cuda if it is there, else the CPU; `EPSBALL_DEVICE` names another.

    Never Apple's mps: distances and projections are computed in float64, which it does not have.

    Raises:
        UserError: if `EPSBALL_DEVICE` is not a device, not one of this machine, or mps.
    """
    wanted = os.environ.get(VARIABLE)
    if wanted:
        return _named(wanted)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe(device: torch.device) -> dict[str, str | int]:
    """What a result was computed on: `type`, `name`, and `threads` (CPU) or `memory_gib` (GPU)."""
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        memory = round(about.total_memory / 2**30)
        return {"type": "cuda", "name": about.name, "memory_gib": memory}
    return {"type": device.type, "name": _processor(), "threads": torch.get_num_threads()}


def _named(name: str) -> torch.device:
    allowed = f"allowed here: {', '.join(_available())}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"{VARIABLE}={name}: not a device of torch; {allowed}") from None
    if device.type == "mps":
        raise UserError(f"{VARIABLE}={name}: attacks need float64, which mps lacks; {allowed}")
    present = {"cpu": 1, "cuda": torch.cuda.device_count()}
    if (device.index or 0) >= present.get(device.type, 0):
        raise UserError(f"{VARIABLE}={name}: this machine has none; {allowed}")
    return device


def _available() -> list[str]:
    return ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]


def _processor() -> str:
    """The processor's name; Linux tells it in /proc/cpuinfo alone."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
