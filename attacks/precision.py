"""Floating-point rules: a verdict is taken in IEEE float32, never in TF32 or bfloat16."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def ieee() -> Iterator[None]:
    """Convolutions and matrix products in IEEE float32, on any device; settings are restored.

    cuDNN uses TF32 for convolutions by default, whose 10-bit mantissa moves pixels by an eighth
    of a grey level; benchmark mode may choose another algorithm from one run to the next, and a
    backward pass may add up in any order unless it is asked to be deterministic.
    """
    backends: Any = torch.backends  # its submodules get their settings at run time
    cudnn, mkldnn = backends.cudnn, backends.mkldnn
    places = [cudnn.conv, backends.cuda.matmul, mkldnn.conv, mkldnn.matmul]
    before = [place.fp32_precision for place in places]
    benchmark, deterministic = cudnn.benchmark, cudnn.deterministic
    try:
        for place in places:
            place.fp32_precision = "ieee"
        cudnn.benchmark, cudnn.deterministic = False, True
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value
        cudnn.benchmark, cudnn.deterministic = benchmark, deterministic
