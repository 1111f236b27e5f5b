"""The threat beyond the ball: an image turned, shifted, brightened or flattened, by how much.

An attack answers with parameters θ (N, P), not with an image: the image is rendered from them, so
that nothing but a transformation can be judged, and its size is read from θ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import keyed
from ..errors import ThreatError
from ..threat import INSIDE
from .kinds import KINDS

PART = 128  # images rendered at a time: float64 and the sampling grid take memory


@dataclass(frozen=True)
class Transformation:
    """All images that a transformation of size at most `eps` makes of the original.

    The size of θ is its largest parameter, each in units of its scale in `KINDS`. What a rotation
    or a translation moves into view is black, as in Engstrom et al. (2019, arXiv:1712.02779), who
    found that other paddings change little; between pixels the image is bilinear.

    Attributes:
        norm: "rotation" (eps in degrees), "translation" (share of width and height), "rigid"
            (both at once; eps = 1 is 30 degrees and a tenth of each side), "brightness" (added to
            every pixel), "contrast" (a factor 1 - eps to 1 + eps about the image's own mean, so
            that the brightness stays: about mid-grey, a dark image would be brightened as well).
        eps: the largest size, >= 0; one number, or one for each example as (N, 1).

    Raises:
        ThreatError: for an unknown kind, or an eps that is negative or not finite.
    """

    norm: str
    eps: float | Tensor

    def __post_init__(self) -> None:
        if self.norm not in KINDS:
            raise ThreatError(f"kind must be one of {', '.join(KINDS)}, got {self.norm!r}")
        eps = torch.as_tensor(self.eps)
        if not bool((eps.isfinite() & (eps >= 0)).all()):
            raise ThreatError(f"every eps must be a number >= 0, got {eps.flatten().tolist()}")

    def __getitem__(self, rows: Tensor | slice) -> Transformation:
        """The threat of the examples `rows`; the same one where all share an eps."""
        if isinstance(self.eps, Tensor):
            return Transformation(self.norm, self.eps[rows])
        return self

    @property
    def parameters(self) -> int:
        """P: how many numbers describe one transformation."""
        return len(KINDS[self.norm].scale)

    def unchanged(self, x: Tensor) -> Tensor:
        """The θ that leaves every image as it is: (N, P) zeros."""
        return torch.zeros(len(x), self.parameters, dtype=x.dtype, device=x.device)

    def theta(self, theta: Tensor) -> Tensor:
        """The parameters behind an attack's answer: the answer itself."""
        return theta

    def distance(self, theta: Tensor, x: Tensor) -> Tensor:
        """The smallest eps that allows each θ, (N,) float32."""
        scale = torch.tensor(KINDS[self.norm].scale, dtype=torch.float64, device=theta.device)
        return (theta.double().abs() / scale).amax(dim=1).float()

    def at(self, units: Tensor) -> Tensor:
        """θ (N, P) from a point (N, P) of the cube [-1, 1]^P, which is the threat stretched."""
        scale = torch.tensor(KINDS[self.norm].scale, dtype=units.dtype, device=units.device)
        eps = torch.as_tensor(self.eps, dtype=units.dtype, device=units.device)
        return units.clamp(-1, 1) * (eps * INSIDE) * scale

    def units(self, theta: Tensor) -> Tensor:
        """The point of the cube that is nearest to each θ: what `at` takes."""
        scale = torch.tensor(KINDS[self.norm].scale, dtype=theta.dtype, device=theta.device)
        reach = torch.as_tensor(self.eps, dtype=theta.dtype, device=theta.device) * INSIDE * scale
        return torch.where(reach > 0, theta / reach.clamp_min(1e-30), 0).clamp(-1, 1)

    def random(self, state: Tensor) -> Tensor:
        """θ uniform over the threat, from one state of `keyed.stream` for each example."""
        return self.at(2 * keyed.uniform(state, (self.parameters,)) - 1)

    def image(self, theta: Tensor, x: Tensor) -> Tensor:
        """The images (N, C, H, W) in [0, 1] that θ (N, P) makes of `x`; exactly x where θ = 0.

        Differentiable in θ. Computed in float64 and rounded once, so that a pixel does not depend
        on the company of other images.
        """
        parts = zip(x.split(PART), theta.split(PART), strict=True)
        made = torch.cat([self._made(a.double(), b.double()).to(x.dtype) for a, b in parts])
        still = (theta == 0).all(dim=1).view(-1, *[1] * (x.dim() - 1))
        # The difference is zero, and its gradient is that of the rendering.
        return torch.where(still, x + (made - made.detach()), made)

    def pull(self, theta: Tensor, x: Tensor, grad: Tensor) -> Tensor:
        """The gradient with respect to θ (N, P), from one with respect to the rendered images."""
        with torch.enable_grad():
            given = theta.detach().double().requires_grad_(True)
            made = self._made(x.double(), given)
            (found,) = torch.autograd.grad(made, given, grad.double())
        return found.to(theta.dtype)

    def _made(self, x: Tensor, theta: Tensor) -> Tensor:
        return _RENDER[self.norm](x, theta).clamp(0, 1)


def _rigid(x: Tensor, theta: Tensor) -> Tensor:
    """Turn counter-clockwise by degrees about the image's middle, then shift right and down.

    Each output pixel asks where it came from: the shift is undone, then the turn, in pixels, so
    that a turn stays one where the image is no square.
    """
    height, width = x.shape[-2:]
    angle = theta[:, 0, None, None] * (math.pi / 180)
    right, down = theta[:, 1, None, None] * width, theta[:, 2, None, None] * height
    rows = torch.arange(height, dtype=x.dtype, device=x.device)[:, None] - (height - 1) / 2 - down
    columns = torch.arange(width, dtype=x.dtype, device=x.device) - (width - 1) / 2 - right
    from_column = columns * angle.cos() - rows * angle.sin()
    from_row = columns * angle.sin() + rows * angle.cos()
    # grid_sample counts from -1 to 1, edge to edge.
    where = torch.stack([from_column * (2 / width), from_row * (2 / height)], dim=-1)
    return F.grid_sample(x, where, mode="bilinear", padding_mode="zeros", align_corners=False)


def _rotation(x: Tensor, theta: Tensor) -> Tensor:
    return _rigid(x, F.pad(theta, (0, 2)))


def _translation(x: Tensor, theta: Tensor) -> Tensor:
    return _rigid(x, F.pad(theta, (1, 0)))


def _brightness(x: Tensor, theta: Tensor) -> Tensor:
    return x + theta[:, :, None, None]


def _contrast(x: Tensor, theta: Tensor) -> Tensor:
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (1 + theta[:, :, None, None]) * (x - mean)


_RENDER = {
    "rotation": _rotation,
    "translation": _translation,
    "rigid": _rigid,
    "brightness": _brightness,
    "contrast": _contrast,
}
