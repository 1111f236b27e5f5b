"""Freed memory, kept by the C library for the next pass rather than given back to the system."""

from __future__ import annotations

import functools

import torch

# Just below the largest block that glibc's thresholds adapt to (32 MiB); it is never touched.
BLOCK = 31 * 2**20


@functools.cache
def keep_freed_memory() -> None:
    """Allocate one large block and free it.

    glibc gives the free end of its heap back to the system when that is more than twice the
    largest block which was ever freed. A pass's activations come and go at that end: each pass
    would give them back, and the next would fault in every page of them again. After one block of
    31 MiB, up to 62 MiB stay. Where another allocator is in use, or the environment sets
    MALLOC_TRIM_THRESHOLD_, it changes nothing.
    """
    torch.empty(BLOCK, dtype=torch.uint8)
