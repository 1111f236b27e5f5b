"""Random numbers that belong to an example, not to a batch.

Every draw is a hash of (seed, example, purpose, coordinate), so an example gets the same noise
alone, in any batch, in any order, on any number of processes. The global generator of torch is
never read nor moved. The hash is SplitMix64's finalizer (Steele, Lea and Flood, OOPSLA 2014),
in int64 arithmetic that wraps around alike on CPU and GPU.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor


def _signed(value: int) -> int:
    """The int64 with the bits of an unsigned 64-bit constant."""
    return value - 2**64 if value >= 2**63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX1 = _signed(0xBF58476D1CE4E5B9)
_MIX2 = _signed(0x94D049BB133111EB)


def _shift(z: Tensor, bits: int) -> Tensor:
    # torch shifts int64 arithmetically; the mask makes it the logical shift of the algorithm.
    return (z >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _mix(z: Tensor) -> Tensor:
    """The finalizer; `z` is written over."""
    z = z.bitwise_xor_(_shift(z, 30)).mul_(_MIX1)
    z = z.bitwise_xor_(_shift(z, 27)).mul_(_MIX2)
    return z.bitwise_xor_(_shift(z, 31))


def stream(keys: Tensor, *purpose: int | str | Tensor) -> Tensor:
    """One 64-bit state for each example, (N,) int64, from its key and what the draw is for.

    Args:
        keys: (N,) integers, the examples' indices in the data set.
        purpose: the seed, the attack's name, restart, step: whatever tells this draw from others;
            a tensor (N,) of integers where it differs by example.
    """
    state = _mix(keys.to(torch.int64) + _GOLDEN)
    for part in purpose:
        number = zlib.crc32(part.encode()) + 2**32 if isinstance(part, str) else part
        state = _mix((state ^ number) + _GOLDEN)
    return state


def digest(images: Tensor) -> Tensor:
    """A hash of each float32 image's bits, (N,) int64: what a draw may belong to beside a key."""
    bits = images.flatten(1).contiguous().view(torch.int32).to(torch.int64)
    place = torch.arange(1, bits.shape[1] + 1, dtype=torch.int64, device=bits.device)
    return _mix(bits ^ (place * _GOLDEN)).sum(dim=1)


def _bits(state: Tensor, count: int) -> Tensor:
    counter = torch.arange(1, count + 1, dtype=torch.int64, device=state.device)
    return _mix(state[:, None] + counter * _GOLDEN)


def uniform(state: Tensor, shape: Sequence[int]) -> Tensor:
    """Uniform on [0, 1) with 24 bits: (N, *shape) float32."""
    bits = _shift(_bits(state, math.prod(shape)), 40)
    return (bits.to(torch.float32) * 2.0**-24).view(len(state), *shape)


def normal(state: Tensor, shape: Sequence[int]) -> Tensor:
    """Standard normal by Box and Muller, computed in float64: (N, *shape) float32."""
    count = math.prod(shape)
    bits = _bits(state, 2 * count)
    first = (_shift(bits[:, :count], 11).double() + 1) * 2.0**-53  # (0, 1]: log stays finite
    angle = _shift(bits[:, count:], 11).double() * (2.0**-53 * 2 * math.pi)
    return ((-2 * first.log()).sqrt() * angle.cos()).float().view(len(state), *shape)


def signs(state: Tensor, shape: Sequence[int]) -> Tensor:
    """-1 or +1 with equal probability: (N, *shape) float32."""
    bits = _shift(_bits(state, math.prod(shape)), 63)
    return (bits.to(torch.float32) * 2 - 1).view(len(state), *shape)


def integers(state: Tensor, high: int | Tensor) -> Tensor:
    """One integer in [0, high) for each example, (N,) int64; `high` may differ by example."""
    draw = _shift(_bits(state, 1)[:, 0], 11).double() * 2.0**-53
    return (draw * high).to(torch.int64)
