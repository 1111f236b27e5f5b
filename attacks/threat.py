"""The threat model: a norm and a perturbation budget, and the geometry that follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import ThreatError

NORMS = ("linf", "l2", "l1")

# Rounding x + delta to float32 moves each pixel by up to 3e-8, at worst all of them alike. In the
# norms that add pixels up, projections aim so far inside the sphere that the stored image is
# within the verdict's tolerance, and a millionth more for the rounding of the norm itself.
INSIDE = 1 - 1e-6
ROUNDING = 3e-8

# How many pixels to look at first where the steepest take a whole budget in L1.
FEW = 64

# Of more entries than about twice this, torch shares the sum of a lone image among threads, and not
# those of a batch: the bits would depend on the company.
TOGETHER = 2**14


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
        else:
            object.__setattr__(self, "eps", float(self.eps))  # numpy has numbers of its own

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
        after rescaling gives budget away (Croce and Hein 2021 showed what it costs in L1). It is
        no part of a graph.
        """
        return project(x_adv.detach(), x, self.norm, self._radius(x))

    def around(self, x: Tensor) -> Ball:
        """Ball and box around images `x`, for a path that is projected step after step."""
        if self.norm != "linf":
            return Ball(self, (x,))
        reach = column(self._radius(x), x)
        return Ball(self, ((x - reach).clamp_(min=0), (x + reach).clamp_(max=1)))

    def fill(self, delta: Tensor, x: Tensor, stretch: float) -> Tensor:
        """In L2, the images x + clip(s * delta) that use the whole budget, clipped at the box.

        Where the box cuts nothing off, `delta` at length eps; else the other pixels grow in its
        place, up to `stretch` times that.
        """
        radius = self._radius(x)
        size = length(delta, "l2").clamp_min(1e-12)
        # No budget, however far it stretches, is none.
        most = (stretch * radius / size).nan_to_num(0, math.inf).square()[:, None]
        return _scale_into_l2(delta, x, _within(radius, x, "l2"), most)

    def reach(self, x: Tensor) -> Tensor:
        """How far, in L2 or L1, what is added to `x` may go so that its sum with x, once it is
        rounded, is within the budget: (N, 1, 1, 1)."""
        return column(_within(self._radius(x), x, self.norm), x)

    def _radius(self, x: Tensor) -> Tensor:
        if isinstance(self.eps, Tensor):
            return self.eps.to(x).flatten().expand(len(x))
        return x.new_full((len(x),), self.eps)  # filled where it is: nothing to wait for on a GPU

    def extreme(self, grad: Tensor, x: Tensor) -> Tensor:
        """The images of ball and box at which the linear function `grad` is highest.

        In L2 the whole image goes along the gradient and stops pixel by pixel at the box; in L1
        the steepest pixels go as far as the box lets them, until the budget is used.
        """
        if self.norm == "linf":
            return self.project(x + self.eps * grad.sign(), x)
        if self.norm == "l2":
            return self.fill(unit(grad), x, math.inf)
        slope, origin = grad.flatten(1), x.flatten(1)
        room = torch.where(slope > 0, 1 - origin, origin)
        moved = greedy(slope.abs(), room, self.reach(x).flatten(1), torch.ones_like(room))
        return (x + (moved * slope.sign()).view_as(x)).clamp(0, 1)

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


@dataclass(frozen=True)
class Ball:
    """Ball and box around each of some images (N, C, H, W); `ball[rows]` around some of them.

    Attributes:
        threat: norm and budgets.
        held: the images; in L-infinity the least and the largest value of each pixel: found once,
            they halve what a projection costs.
    """

    threat: ThreatModel
    held: tuple[Tensor, ...]

    def __getitem__(self, rows: Tensor) -> Ball:
        return Ball(self.threat[rows], tuple(each[rows] for each in self.held))

    def project(self, point: Tensor) -> Tensor:
        """`ThreatModel.project`, the same bits."""
        if self.threat.norm == "linf":
            return torch.clamp(point, *self.held)
        return self.threat.project(point, *self.held)


def length(delta: Tensor, norm: str) -> Tensor:
    """The norm of each image, (N,)."""
    flat = delta.flatten(1)
    if norm == "linf":
        return flat.abs().amax(dim=1)
    if norm == "l2":
        return total(flat.square()).sqrt()
    return total(flat.abs())


def total(values: Tensor) -> Tensor:
    """Sums over the last dimension, the same bits in any company and with any number of threads."""
    if values.shape[-1] <= TOGETHER:
        return values.sum(-1)
    return torch.stack([part.sum(-1) for part in values.split(TOGETHER, -1)], -1).sum(-1)


def column(values: Tensor, like: Tensor) -> Tensor:
    """Values (N,) shaped (N, 1, 1, 1) to broadcast over the images of `like`."""
    return values.view(-1, *[1] * (like.dim() - 1))


def unit(direction: Tensor) -> Tensor:
    """Each image of `direction` at Euclidean length 1; a zero stays zero."""
    size = length(direction.double(), "l2").float()
    return direction / column(size.clamp_min(1e-30), direction)


def greedy(size: Tensor, room: Tensor, budget: Tensor, price: Tensor) -> Tensor:
    """How far each pixel moves where the largest of `size` go first, each as far as it has `room`,
    at a `price` for each unit, until the budget (N, 1) is spent; all but that (N, D)."""
    few = min(FEW, size.shape[1])
    # Mostly a few pixels spend it, and finding these takes a quarter of sorting all.
    moved, spent = _spend(size.topk(few, dim=1).indices, room, budget, price)
    more = (spent < budget[:, 0]).nonzero()[:, 0]
    if few < size.shape[1] and len(more):
        order = size[more].argsort(dim=1, descending=True, stable=True)
        moved[more], _ = _spend(order, room[more], budget[more], price[more])
    return moved


def _spend(order: Tensor, room: Tensor, budget: Tensor, price: Tensor) -> tuple[Tensor, Tensor]:
    """`greedy` of the pixels `order` (N, M) alone, and what all of them would cost, (N,)."""
    some, each = room.gather(1, order), price.gather(1, order)
    costs = (each * some).cumsum(dim=1)
    left = (budget - (costs - each * some)).clamp_min(0)
    moved = torch.minimum(left / each.clamp_min(1e-30), some)
    return torch.zeros_like(room).scatter(1, order, moved), costs[:, -1]


def project(x_adv: Tensor, x: Tensor, norm: str, radius: Tensor) -> Tensor:
    """`ThreatModel.project` with a budget of its own for each image, `radius` (N,)."""
    if norm == "linf":
        reach = column(radius, x)
        low = x - reach  # written over: at this size, a fresh tensor costs more than arithmetic
        return torch.clamp(x_adv, low, x + reach, out=low).clamp_(0, 1)
    into = _scale_into_l2 if norm == "l2" else _shrink_into_l1
    return into(x_adv - x, x, _within(radius, x, norm))


def _within(radius: Tensor, x: Tensor, norm: str) -> Tensor:
    """What to aim at, (N, 1), so that the image as it is stored is within `radius` (N,)."""
    pixels = math.prod(x.shape[1:])
    rounding = ROUNDING * (pixels if norm == "l1" else math.sqrt(pixels))
    return (radius[:, None] * INSIDE - rounding).clamp_min(0)


def _scale_into_l2(delta: Tensor, x: Tensor, radius: Tensor, most: Tensor | float = 1) -> Tensor:
    """The nearest image to x + delta within `radius` (N, 1) of x, and in the box.

    It is x + clip(s * delta) for the largest s <= 1 whose norm fits; `most`, (N, 1), is what s^2
    may be in place of 1. With u = s^2, the square of the norm is a concave, piecewise linear
    function of u: Newton's method rises to the answer from below, from where it were if the box
    cut nothing off, and ends when no coordinate more is clipped. What float32 rounds moves the norm
    by less than what `radius` stands inside the ball.

    Written without `torch.where`, which takes a CPU as long as thirty multiplications, and into
    memory that is there already, which halves the rest.
    """
    flat, origin = delta.flatten(1), x.flatten(1)
    size = flat.square()
    wall = torch.gt(flat, 0, out=torch.empty_like(flat))
    wall.sub_(origin).square_()  # what is left to the wall ahead
    budget = radius.square()
    scaled, open_ = torch.empty_like(size), torch.empty_like(size)
    share = (budget / total(size)[:, None]).nan_to_num(0).clamp_(max=most)
    for _ in range(64):
        torch.mul(size, share, out=scaled)
        torch.gt(wall, scaled, out=open_)
        rate = total(open_.mul_(size))[:, None]
        norm = total(torch.minimum(scaled, wall, out=scaled))[:, None]
        grown = share + (budget - norm) / rate  # infinite where nothing can grow
        grown = grown.nan_to_num(0).clamp_(max=most)
        rising = grown > share * (1 + 1e-6)
        if not rising.any():
            break
        share = torch.where(rising, grown, share)
    # Where all but nothing can grow, rounding alone would otherwise take everything back.
    scale = torch.maximum(grown, share * (1 - 1e-5)).sqrt_()
    return torch.addcmul(origin, scale, flat, out=scaled).clamp_(0, 1).view_as(delta)


def _shrink_into_l1(delta: Tensor, x: Tensor, radius: Tensor) -> Tensor:
    """The nearest image to x + delta within `radius` (N, 1) of x, and in the box (Croce and Hein
    2021).

    The solution shrinks every coordinate by one threshold and stops at the box. The norm falls
    with the threshold, piecewise linearly: Newton's method, and the middle of what is known to
    hold the answer where it would leave that. Written like `_scale_into_l2`.
    """
    flat, origin = delta.flatten(1), x.flatten(1)
    size = flat.abs()
    room = torch.gt(flat, 0, out=torch.empty_like(flat)).sub_(origin).abs_()
    free, moved = torch.empty_like(size), torch.empty_like(size)
    spent = total(torch.minimum(size, room, out=moved))[:, None]
    going = spent > radius
    low, high = torch.zeros_like(spent), size.amax(1, keepdim=True)
    threshold, least = low, radius * (1 - 6e-7)
    for _ in range(64):
        if not going.any():
            break
        # From what moves freely at this threshold follows at which one the norm would fit.
        torch.lt(torch.sub(size, threshold, out=free), room, out=free).mul_(size > threshold)
        ahead = threshold + (spent - (radius + least) / 2) / total(free)[:, None]
        inside = (ahead > low) & (ahead < high)  # not where nothing moves freely
        threshold = torch.where(going, torch.where(inside, ahead, (low + high) / 2), threshold)
        torch.minimum(torch.sub(size, threshold, out=moved).clamp_min_(0), room, out=moved)
        spent = total(moved)[:, None]
        low = torch.where(spent > radius, threshold, low)
        high = torch.where(spent > radius, high, threshold)
        going &= ((spent > radius) | (spent < least)) & (high > low * (1 + 1e-7))
    threshold = torch.where(spent > radius, high, threshold)
    moved = torch.sub(size, threshold, out=moved).clamp_min_(0)  # and stops at the box exactly
    return torch.addcmul(origin, moved, flat.sign()).clamp_(0, 1).view_as(delta)
