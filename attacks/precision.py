"""Floating-point rules: a verdict is taken in IEEE float32, never in TF32 or bfloat16."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch

Precision = Literal["fp32", "tf32", "bf16"]


@functools.cache
def warn_if_rows_differ() -> None:
    """Warn, once, where the CPU's matrix products round a row by where in memory it stands."""
    row, weight = torch.linspace(0, 1, 9).sqrt(), torch.linspace(-1, 1, 90).sin().view(10, 9)
    product = torch.nn.functional.linear(row.expand(64, 9).contiguous(), weight)
    if bool((product != product[:1]).any()):
        warnings.warn(
            "torch multiplied matrices before epsball.attacks was imported: the bits of an image's "
            "logits may depend on its place in the batch. Import epsball.attacks first, or set the "
            "environment variable MKL_CBWR=AUTO",
            stacklevel=2,
        )


@contextmanager
def ieee() -> Iterator[None]:
    """Convolutions and matrix products in IEEE float32, on any device; settings are restored.

    cuDNN uses TF32 for convolutions by default, whose 10-bit mantissa moves pixels by an eighth
    of a grey level; benchmark mode may choose another algorithm from one run to the next, and a
    backward pass may add up in any order unless it is asked to be deterministic.
    """
    cudnn: Any = torch.backends.cudnn
    benchmark, deterministic = cudnn.benchmark, cudnn.deterministic
    try:
        cudnn.benchmark, cudnn.deterministic = False, True
        with ExitStack() as settings:
            settings.enter_context(_float32("ieee"))
            for kind in ("cuda", "cpu"):
                if torch.is_autocast_enabled(kind):  # entering costs as much as a small layer
                    settings.enter_context(torch.autocast(kind, enabled=False))
            yield
    finally:
        cudnn.benchmark, cudnn.deterministic = benchmark, deterministic


@contextmanager
def computing(precision: Precision, device: torch.device) -> Iterator[None]:
    """Convolutions and matrix products in `precision`; settings are restored."""
    if precision == "bf16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
    else:
        with _float32("tf32" if precision == "tf32" else "ieee"):
            yield


@contextmanager
def _float32(how: str) -> Iterator[None]:
    """What float32 means for the duration: "ieee", or "tf32" where the hardware has it."""
    backends: Any = torch.backends  # its submodules get their settings at run time
    places = [backends.cudnn.conv, backends.cuda.matmul]
    places += [backends.mkldnn.conv, backends.mkldnn.matmul]
    # "none": nothing was asked for, here or above, which is IEEE. To set what holds already would
    # cost a small network's step as much as one of its layers.
    fits = ("ieee", "none") if how == "ieee" else (how,)
    found = [(place, place.fp32_precision) for place in places]
    changed = [(place, value) for place, value in found if value not in fits]
    try:
        for place, _ in changed:
            place.fp32_precision = how
        yield
    finally:
        for place, value in changed:
            place.fp32_precision = value
