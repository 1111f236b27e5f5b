"""How many of this machine's cores a stage takes, and how many stages may run at once."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .base.data_sets import PUBLISHED

if TYPE_CHECKING:
    from .base.config import Config

SMALL = 256  # values of an image
THREADS = "OMP_NUM_THREADS"

# Where the drivers of NVIDIA, of AMD, and of Windows' Linux show a GPU; asking torch takes seconds.
_GPUS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def spare_threads(config: Config) -> None:
    """Images as small as digits are worked on by one thread, unless OMP_NUM_THREADS says otherwise.

    Before torch is imported. Threads hand each other work that takes less time than the handing:
    adversarial training took 13 s with two of them and 5 s with one (2 cores of an AMD EPYC, idle;
    20 s and more where they spin and the machine is busy).
    """
    if _small(config):
        os.environ.setdefault(THREADS, "1")


def stages_at_once(config: Config) -> int:
    """Cores over threads of a stage; 1 where there is a GPU, which one stage fills."""
    wanted = os.environ.get("EPSBALL_DEVICE")
    if wanted != "cpu" and (wanted or any(Path(path).exists() for path in _GPUS)):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get(THREADS, "1" if _small(config) else "").split(",")[0]
    return max(1, (cores or 1) // int(threads)) if threads.isdecimal() and int(threads) else 1


def _small(config: Config) -> bool:
    known = PUBLISHED.get(config.data.name)
    return known is not None and math.prod(known.shape) <= SMALL
