"""Random perturbations, with the signature of an attack: what an attack must be compared with.

They look at the model only to keep the draw that breaks, when there is more than one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from . import keyed
from .oracle import Oracle
from .threat import ThreatModel, column, length
from .tries import first_breaking

Draw = Callable[[Tensor, tuple[int, ...], ThreatModel], Tensor]


def uniform(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    keys: Tensor,
    seed: int = 0,
    draws: int = 1,
) -> Tensor:
    """Uniform in the ball, clipped to the box. Returns the first draw that breaks, else the last.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K); not asked when draws = 1.
        x, y: images and labels (N,).
        threat: norm and budget.
        keys: (N,) the examples' indices.
        seed, draws: how many perturbations are drawn for each example, >= 1.
    """
    return _first_breaking(model, x, y, threat, keys, seed, draws, in_ball)


def surface(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    keys: Tensor,
    seed: int = 0,
    draws: int = 1,
) -> Tensor:
    """Uniform on the surface of the ball, clipped to the box; arguments as for `uniform`."""
    return _first_breaking(model, x, y, threat, keys, seed, draws, on_surface)


def corners(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    keys: Tensor,
    seed: int = 0,
    draws: int = 1,
) -> Tensor:
    """Every pixel moved by +eps or -eps (a corner of the L-infinity ball), clipped to the box."""
    return _first_breaking(model, x, y, threat, keys, seed, draws, at_corner)


def gaussian(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    keys: Tensor,
    seed: int = 0,
    draws: int = 1,
) -> Tensor:
    """Gaussian noise scaled to length eps in the norm, clipped to the box."""
    return _first_breaking(model, x, y, threat, keys, seed, draws, scaled_gaussian)


def in_ball(state: Tensor, shape: tuple[int, ...], threat: ThreatModel) -> Tensor:
    """Uniform in the ball of `threat`: (N, *shape), not clipped to the box."""
    if threat.norm == "linf":
        return threat.eps * (2 * keyed.uniform(state, shape) - 1)
    # A uniform direction, at a radius whose d-th power is uniform.
    radius = keyed.uniform(keyed.stream(state, "radius"), (1,)).double()
    shrink = radius[:, 0].pow(1 / torch.Size(shape).numel()).float()
    return on_surface(state, shape, threat) * column(shrink, torch.empty(0, *shape))


def on_surface(state: Tensor, shape: tuple[int, ...], threat: ThreatModel) -> Tensor:
    """Uniform on the surface: of the cube (L-infinity), the sphere (L2), the simplices (L1)."""
    if threat.norm == "linf":
        noise = in_ball(state, shape, threat).flatten(1)
        face = keyed.integers(keyed.stream(state, "face"), noise.shape[1])[:, None]
        side = keyed.signs(keyed.stream(state, "side"), (1,)) * torch.as_tensor(
            threat.eps, device=state.device
        ).view(-1, 1)
        return noise.scatter(1, face, side).view(-1, *shape)
    if threat.norm == "l2":
        return scaled_gaussian(state, shape, threat)
    size = -(1 - keyed.uniform(state, shape).double()).log()
    size = size * keyed.signs(keyed.stream(state, "side"), shape)
    return threat.eps * (size / column(length(size, "l1").clamp_min(1e-30), size)).float()


def at_corner(state: Tensor, shape: tuple[int, ...], threat: ThreatModel) -> Tensor:
    return threat.eps * keyed.signs(state, shape)


def scaled_gaussian(state: Tensor, shape: tuple[int, ...], threat: ThreatModel) -> Tensor:
    noise = keyed.normal(state, shape)
    size = length(noise.double(), threat.norm).float().clamp_min(1e-30)
    return threat.eps * noise / column(size, noise)


def _first_breaking(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    keys: Tensor,
    seed: int,
    draws: int,
    draw: Draw,
) -> Tensor:
    # The direction does not depend on eps: a larger budget scales the same draws, so that curves
    # over eps compare like with like.
    shape = tuple(x.shape[1:])

    def drawn(rows: Tensor, numbers: Tensor) -> Tensor:
        state = keyed.stream(keyed.stream(keys[rows], seed, draw.__name__), numbers)
        near = threat[rows]
        return near.project(x[rows] + draw(state, shape, near), x[rows])

    number = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    if draws > 1:
        number = first_breaking(Oracle.of(model), drawn, y, keys, draws)
    return drawn(torch.arange(len(x), device=x.device), number)
