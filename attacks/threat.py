"""The threat model: a norm and a perturbation budget, and the geometry that follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import ThreatError

NORMS = ("linf", "l2", "l1")

# Rounding x + delta to float32 moves each pixel by up to 3e-8. Aiming a millionth inside the
# sphere keeps the stored image within the verdict's tolerance in the norms that add pixels up.
INSIDE = 1 - 1e-6
ROUNDING = 3e-8


@dataclass(frozen=True)
class ThreatModel:
    """All images within `eps` of the original in `norm`, inside the box [0, 1].

    A grid of budgets is searched with a budget for each example: `eps` is then a tensor that
    broadcasts over images, and `threat[rows]` is the threat model of some of the examples.

    Attributes:
        norm: "linf", "l2" or "l1", over all pixels and channels of an image.
        eps: perturbation budget, >= 0, in units of the [0, 1] pixel range; one number, or one for
            each example as (N, 1, 1, 1).

    Raises:
        ThreatError: for an unknown norm or a budget that is negative or not finite.
    """

    norm: str
    eps: float | Tensor

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ThreatError(f"norm must be one of {', '.join(NORMS)}, got {self.norm!r}")
        if isinstance(self.eps, Tensor):
            if not bool((self.eps.isfinite() & (self.eps >= 0)).all()):
                raise ThreatError(f"every eps must be a number >= 0, got {self.eps.flatten()}")
        elif not (math.isfinite(self.eps) and self.eps >= 0):
            raise ThreatError(f"eps must be a number >= 0, got {self.eps!r}")

    def __getitem__(self, rows: Tensor | slice) -> ThreatModel:
        """The threat model of the examples `rows`; the same one where all share a budget."""
        return ThreatModel(self.norm, self.eps[rows]) if isinstance(self.eps, Tensor) else self

    def unchanged(self, x: Tensor) -> Tensor:
        """The answer of an attack that changes nothing: the images themselves."""
        return x.clone()

    def image(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """The images that an attack's answer stands for: in a ball, the answer itself."""
        return x_adv

    def theta(self, x_adv: Tensor) -> Tensor:
        """The parameters behind an attack's answer: in a ball there are none, (N, 0)."""
        return x_adv.new_zeros(len(x_adv), 0)

    def distance(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """Norm of `x_adv - x` for each image, (N,) float32. Summed in float64."""
        return length((x_adv - x).double(), self.norm).float()

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """The nearest point (Euclidean) of ball and box to each image of `x_adv`.

        The projection is exact on the intersection, not ball first and box after: clipping
        after rescaling gives budget away (Croce and Hein 2021 showed what it costs in L1).
        """
        radius = torch.as_tensor(self.eps, dtype=x.dtype, device=x.device).flatten()
        return project(x_adv, x, self.norm, radius.expand(len(x)))

    def steepest(self, grad: Tensor) -> Tensor:
        """The step of length 1 in the norm that raises a linear function most."""
        if self.norm == "linf":
            return grad.sign()
        if self.norm == "l2":
            return unit(grad)
        flat = grad.flatten(1)
        best = flat.abs().argmax(dim=1, keepdim=True)
        step = torch.zeros_like(flat).scatter(1, best, flat.gather(1, best).sign())
        return step.view_as(grad)


def length(delta: Tensor, norm: str) -> Tensor:
    """The norm of each image, (N,)."""
    flat = delta.flatten(1)
    if norm == "linf":
        return flat.abs().amax(dim=1)
    if norm == "l2":
        return flat.square().sum(dim=1).sqrt()
    return flat.abs().sum(dim=1)


def column(values: Tensor, like: Tensor) -> Tensor:
    """Values (N,) shaped (N, 1, 1, 1) to broadcast over the images of `like`."""
    return values.view(-1, *[1] * (like.dim() - 1))


def unit(direction: Tensor) -> Tensor:
    """Each image of `direction` at Euclidean length 1; a zero stays zero."""
    size = length(direction.double(), "l2").float()
    return direction / column(size.clamp_min(1e-30), direction)


def project(x_adv: Tensor, x: Tensor, norm: str, radius: Tensor) -> Tensor:
    """`ThreatModel.project` with a budget of its own for each image, `radius` (N,)."""
    if norm == "linf":
        reach = column(radius, x)
        low = x - reach  # written over: at this size, a fresh tensor costs more than arithmetic
        return torch.clamp(x_adv, low, x + reach, out=low).clamp_(0, 1)
    reach = radius.double()[:, None] * INSIDE
    if norm == "l2":
        return (x + _scale_into_l2(x_adv - x, x, reach)).clamp(0, 1)
    # In L1 the rounding of every moved pixel adds up, all in one direction where they are equal.
    reach = (reach - ROUNDING * x[0].numel()).clamp_min(0)
    return (x + _shrink_into_l1(x_adv - x, x, reach)).clamp(0, 1)


def _scale_into_l2(delta: Tensor, x: Tensor, radius: Tensor) -> Tensor:
    """Project onto {norm <= radius} and {0 <= x + delta <= 1}.

    The solution is clip(s * delta) for the largest s <= 1 whose norm fits. With u = s^2, the square
    of the norm is a concave, piecewise linear function of u: Newton's method rises to the answer
    from below and ends when no coordinate more is clipped. It runs in float32; the last step, with
    sums in float64, ends inside the ball from whichever side it comes.

    Written without `torch.where`, which takes a CPU as long as thirty multiplications.
    """
    flat, origin = delta.flatten(1), x.flatten(1)
    size = flat.square()
    most = (0.5 + flat.sign() * (0.5 - origin)).square()  # what is left to the wall ahead
    budget = radius.square()

    def stepped(share: Tensor, dtype: torch.dtype) -> Tensor:
        scaled = share.to(flat.dtype) * size
        open_ = (most - scaled).sign_().relu_()
        rate = open_.mul_(size).sum(1, keepdim=True, dtype=dtype)
        norm = torch.minimum(scaled, most, out=scaled).sum(1, keepdim=True, dtype=dtype)
        return share + (budget.to(dtype) - norm) / rate  # infinite where nothing can grow

    share = torch.zeros(len(flat), 1, dtype=flat.dtype, device=flat.device)
    for _ in range(64):
        grown = stepped(share, flat.dtype).nan_to_num(1, 1).clamp_(0, 1)
        rising = grown > share * (1 + 1e-6)
        if not rising.any():
            break
        share = torch.where(rising, grown, share)
    last = stepped(share.double(), torch.float64).nan_to_num(1, 1).clamp_(0, 1)
    # Where all but nothing can grow, rounding alone would otherwise take everything back.
    scale = torch.maximum(last, share.double() * (1 - 1e-5)).sqrt_().to(flat.dtype)
    return (scale * flat).clamp(-origin, 1 - origin).view_as(delta)


def _shrink_into_l1(delta: Tensor, x: Tensor, radius: Tensor) -> Tensor:
    """Project onto {L1 norm <= radius} and {0 <= x + delta <= 1} (Croce and Hein 2021).

    The solution shrinks every coordinate by one threshold and stops at the box; the norm falls
    with the threshold, which is found by bisection to float64 precision.
    """
    wide = delta.flatten(1).double()
    size = wide.abs()
    room = torch.where(wide > 0, 1 - x.flatten(1).double(), x.flatten(1).double()).clamp_min(0)
    low = torch.zeros(len(wide), 1, dtype=wide.dtype, device=wide.device)
    fits = torch.minimum(size, room).sum(1, keepdim=True) <= radius
    high = size.amax(1, keepdim=True)
    for _ in range(60):
        middle = (low + high) / 2
        above = torch.minimum((size - middle).clamp_min(0), room).sum(1, keepdim=True) > radius
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    shrunk = torch.minimum((size - torch.where(fits, 0, high)).clamp_min(0), room)
    return (shrunk * wide.sign()).float().view_as(delta)
