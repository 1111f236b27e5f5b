"""Every transformation of a lattice, the smallest first (Engstrom et al. 2019, arXiv:1712.02779).

With two or three parameters, looking everywhere is affordable, and finds more than gradients do.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..oracle import Oracle
from ..tries import first_breaking
from ..verdict import TOLERANCE
from .kinds import KINDS
from .transformation import Transformation


def grid(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    threat: Transformation,
    *,
    keys: Tensor,
    seed: int = 0,
    spacing: float = 1.0,
) -> Tensor:
    """The smallest transformation of a lattice that breaks each image, else one of the largest.

    The lattice has its origin at 0 and a fixed spacing, so that a smaller eps holds a part of the
    points of a larger one. After it come the largest transformations, at plus and minus eps, which
    every eps has of its own: one that is smaller than the spacing has nothing else.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K); no gradients are asked.
        x, y: images and labels (N,).
        threat: kind of transformation and eps.
        keys: (N,) the examples' indices, by which passes are counted.
        seed: taken by every attack, not used: nothing is random.
        spacing: of the lattice, in units of the kind's own (`kinds.KINDS`: 1 degree of rotation;
            2 degrees and a twentieth of each side where both are varied).

    Returns:
        Parameters θ (N, P) inside the threat.
    """
    if len(x) == 0:
        return threat.unchanged(x)
    eps = torch.as_tensor(threat.eps, device=x.device).flatten().double().expand(len(x))
    theta = lattice(threat.norm, float(eps.max()), spacing).to(x)
    size = threat.distance(theta, x).double()
    # Half of what the verdict tolerates: what float32 rounded up is inside.
    count = torch.searchsorted(size, eps + TOLERANCE / 2, right=True)

    signs = torch.tensor([0.0, -1.0, 1.0], device=x.device)
    rim = torch.cartesian_prod(*[signs] * theta.shape[1]).view(-1, theta.shape[1])[1:]

    def at(rows: Tensor, numbers: Tensor) -> Tensor:
        beyond = numbers - count[rows]
        largest = threat[rows].at(rim[beyond.clamp_min(0)])
        return torch.where(beyond[:, None] < 0, theta[numbers.clamp_max(len(theta) - 1)], largest)

    def images(rows: Tensor, numbers: Tensor) -> Tensor:
        return threat.image(at(rows, numbers), x[rows])

    found = first_breaking(Oracle.of(model), images, y, keys, count + len(rim))
    return at(torch.arange(len(x), device=x.device), found)


def lattice(norm: str, eps: float, spacing: float) -> Tensor:
    """Points θ (L, P) of size at most eps, ordered by size; the first is 0."""
    kind = KINDS[norm]
    axes = []
    for scale, apart in zip(kind.scale, kind.spacing, strict=True):
        reach = math.floor((eps + TOLERANCE / 2) * scale / (apart * spacing))
        axes.append(torch.arange(-reach, reach + 1, dtype=torch.float64) * (apart * spacing))
    points = torch.cartesian_prod(*axes).view(-1, len(axes)).float()
    size = Transformation(norm, eps).distance(points, points)
    # Of equal size, the one that changes less in all.
    units = points.abs() / torch.tensor(kind.scale)
    order = units.sum(dim=1).argsort(stable=True)
    return points[order][size[order].argsort(stable=True)]
