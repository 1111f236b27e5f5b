"""What Square proposes: recoloured windows in L-infinity, bumps of moved mass in L2 and L1."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import keyed
from ..threat import TOGETHER, ThreatModel

# Where the share of pixels in a window halves, in queries of a run of 10,000.
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
# Once bumps are this small, so many of the proposals move a single pixel. Measured in L2: the
# digits network kept 202 images of 360 where it kept 210 without.
DOTS = 0.25
# In L2 a pixel that meets the box leaves its share of the budget to others, which may grow to so
# many times what they were without it.
STRETCH = 5


class Lines:
    """The rows and columns of images (N, C, H, W), and where windows stand among them."""

    def __init__(self, x: Tensor) -> None:
        self._every = torch.arange(max(x.shape[2:]), device=x.device)
        self._extents = torch.tensor(2 * x.shape[2:], device=x.device)

    def placed(self, drawn: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
        """The number of every line in its window, and whether it is inside.

        Args:
            drawn: numbers (N, K) in [0, 1): of a window's row and column, of one or of two windows.
                The last rows and columns are reached.
            side: (N,) lines that each example's windows have.

        Returns:
            Two tensors (N, K, max(H, W)): of integers, and bool.
        """
        side = side[:, None]
        extents = self._extents[: drawn.shape[1]]
        corners = (drawn * ((extents - side).clamp_min(0) + 1)).long()
        lines = self._every - corners[:, :, None]
        return lines, (lines >= 0) & (lines < side[:, :, None])


class Stripes:
    """L-infinity: each channel of a window at +eps or -eps, from vertical stripes."""

    def __init__(self, x: Tensor, share: float) -> None:
        self._sides = torch.tensor([max(round(s), 1) for s in sides(x, share)], device=x.device)
        self._lines = Lines(x)

    def first(self, state: Tensor, shape: tuple[int, ...], threat: ThreatModel) -> Tensor:
        return threat.eps * keyed.signs(state, (shape[0], 1, shape[2])).expand(-1, *shape)

    def propose(
        self, x: Tensor, point: Tensor, threat: ThreatModel, draw: Tensor, age: Tensor
    ) -> Tensor:
        drawn = keyed.uniform(draw, (2 + x.shape[1],))
        _, inside = self._lines.placed(drawn[:, :2], self._sides[age])
        inside = outer(inside[:, 0], inside[:, 1], x, torch.logical_and)
        step = threat.eps * signs_of(drawn[:, 2:])
        tried = torch.where(inside, threat.project(x + step, x), point)
        # A window that had these colours already gets the opposite ones: no query is wasted.
        same = unmoved(tried, point)
        if same.any():
            other = threat[same].project(x[same] - step[same], x[same])
            tried[same] = torch.where(inside[same], other, point[same])
        return tried


class Bumps:
    """L2 and L1: mass moves from one window to a bump in another, from a grid of bumps."""

    def __init__(self, x: Tensor, share: float, norm: str) -> None:
        # In L1 bumps shrink to single pixels; in L2 these are too sparse for all of the proposals.
        least, most = (3 if norm == "l2" else 1), min(x.shape[2:])
        odd = [max(round(s), least) // 2 * 2 + 1 for s in sides(x, share)]
        fitting = [min(s, most - 1 + most % 2) for s in odd] + [1]
        self._sides = torch.tensor(fitting, device=x.device)
        self._power = 2 if norm == "l2" else 1
        self._cell = max(most // 5, 1)
        self._lines = Lines(x)
        self._profiles = _profiles(fitting).to(x.device)

    def first(self, state: Tensor, shape: tuple[int, ...], threat: ThreatModel) -> Tensor:
        channels, height, width = shape
        down, across = height // self._cell, width // self._cell
        signs = keyed.signs(state, (channels, down, across))
        cells = signs.repeat_interleave(self._cell, 2).repeat_interleave(self._cell, 3)
        grid = cells * bump_of(self._cell).to(state.device).repeat(down, across)
        top, left = (height - grid.shape[2]) // 2, (width - grid.shape[3]) // 2
        right, bottom = width - grid.shape[3] - left, height - grid.shape[2] - top
        whole = F.pad(grid, (left, right, top, bottom))
        # In L2 longer than the budget: the projection cuts back to what fits, and the other pixels
        # take over what the box cuts off. In L1 it would sparsify instead, and a perturbation that
        # fits need only be clipped.
        size = STRETCH * threat.eps if self._power == 2 else threat.reach(whole)
        return whole * (size / self._size(whole, 1).clamp_min(1e-12))

    def propose(
        self, x: Tensor, point: Tensor, threat: ThreatModel, draw: Tensor, age: Tensor
    ) -> Tensor:
        drawn = keyed.uniform(draw, (6 + x.shape[1],))
        dots = (self._sides[age] <= 3) & (drawn[:, 4] < DOTS)
        age = torch.where(dots, len(self._sides) - 1, age)
        # Row and column of the window that the bump takes, then of the one that gives its mass.
        lines, inside = self._lines.placed(drawn[:, :4], self._sides[age])
        inside = inside.to(x.dtype)
        to, source = (outer(inside[:, at], inside[:, at + 1], x, torch.mul) for at in (0, 2))
        bump = self._placed(lines[:, :2], age, drawn[:, 5] < 0.5, drawn[:, 6:], x)
        delta = point - x
        # The bump is added to what the window holds, both at length 1; the window's new length
        # is that of both windows and of what the whole image leaves of its budget.
        moved = torch.maximum(to, source).mul(delta)
        power = self._power
        left = threat.eps**power - self._size(delta, 1) ** power
        both = self._size(moved, 2) ** power
        size = (left.clamp_min(0) / x.shape[1] + both) ** (1 / power)
        held = to.mul(delta)
        # Divided, not multiplied by an inverse: a single pixel and its opposite must cancel.
        shape = torch.addcdiv(bump, held, self._size(held, 2).clamp_min(1e-12))
        whole = delta.sub_(moved)
        whole = whole.addcmul_(shape, size / self._size(shape, 2).clamp_min(1e-12))
        if power == 2:
            return threat.fill(whole, x, STRETCH)
        most = threat.reach(x) / self._size(whole, 1).clamp_min(1e-12)
        return whole.mul_(most).add_(x).clamp_(0, 1)

    def _size(self, delta: Tensor, first: int) -> Tensor:
        """The norm over the dimensions from `first` on, which stay, of length 1; the same bits in
        any company (see `threat.total`)."""
        flat = delta.flatten(first)
        if flat.shape[-1] > TOGETHER:
            parts = [torch.linalg.vector_norm(p, self._power, -1) for p in flat.split(TOGETHER, -1)]
            flat = torch.stack(parts, -1)
        size = torch.linalg.vector_norm(flat, self._power, -1)
        return size.view(*size.shape, *[1] * (4 - size.dim()))

    def _placed(
        self, lines: Tensor, age: Tensor, turned: Tensor, drawn: Tensor, x: Tensor
    ) -> Tensor:
        """Each example's bump at its window's place, lying or standing, each channel up or down.

        Args:
            lines: (N, 2, max(H, W)), each row's and column's number in the window.
            age, turned: (N,) of the window, and whether the bump stands.
            drawn: (N, C) in [0, 1), for the signs of the channels.
            x: images (N, C, H, W).
        """
        wide = self._profiles.shape[-1]
        axes = (turned[:, None] != torch.arange(2, device=x.device)).long()
        start = (axes * len(self._sides) + age[:, None]) * wide
        place = start[:, :, None] + (lines + 1).clamp_(0, wide - 1)
        high, scale = self._profiles.view(2, -1)[:, place]
        scaled = scale[:, :1] * signs_of(drawn)[:, :, :, 0]
        bump = outer(high[:, 0], high[:, 1], x, torch.minimum)
        bump = bump * scaled[:, :, : x.shape[2], None]
        return bump.mul_(scale[:, 1, None, None, : x.shape[3]])


def bump_of(side: int) -> Tensor:
    """Two half windows of opposite sign, each highest in its middle, of Euclidean length 1."""
    (down, across), (scale, _) = _profile(side)
    return (scale[:, None] * torch.minimum(down[:, None], across)).float()


def _profile(side: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """A bump is scale * min(down, across): for its rows and columns (side,), heights and scales.

    Nested rectangles around the middle of each half pile up, the k-th adding 1 / k^2 to all that it
    holds: a pixel's height is that of its row or of its column, whichever stands further out.
    """
    lines, upper = torch.arange(side), side // 2
    pile = (1 / torch.arange(1, side // 2 + 2).double().square()).flip(0).cumsum(0).flip(0)
    across = pile[(lines - side // 2).abs()]
    middle = torch.where(lines < upper, upper // 2, upper + (side - upper) // 2)
    down = pile[(lines - middle).abs()]
    squares = torch.minimum(down[:, None], across).square().sum(1)
    scale = torch.ones_like(down)
    for half, sign in ((lines < upper, 1), (lines >= upper, -1)):
        scale[half] = sign / squares[half].sum().sqrt()
    return (down, across), (scale / (2 if side > 1 else 1) ** 0.5, torch.ones_like(scale))


def _profiles(fitting: list[int]) -> Tensor:
    """`_profile` of every age: heights and scales, of the halved and the other axis, with a rim of
    zeros for the lines around a window; (2, 2, ages, widest side + 2)."""
    table = torch.zeros(2, 2, len(fitting), max(fitting) + 2)
    for age, side in enumerate(fitting):
        for kind, axes in enumerate(_profile(side)):
            for axis, values in enumerate(axes):
                table[kind, axis, age, 1 : side + 1] = values.float()
    return table


def sides(x: Tensor, share: float) -> list[float]:
    """The side of a window for each age: its area is `share` of the image, halved each time."""
    pixels = x.shape[2] * x.shape[3]
    return [math.sqrt(share * pixels / 2**age) for age in range(len(HALVINGS) + 1)]


def outer(
    down: Tensor, across: Tensor, x: Tensor, of: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """(N, 1, H, W) from one value for each row and one for each column, (N, max(H, W)) each."""
    return of(down[:, None, : x.shape[2], None], across[:, None, None, : x.shape[3]])


def signs_of(drawn: Tensor) -> Tensor:
    """-1 or 1 for each channel, (N, C, 1, 1), from numbers (N, C) in [0, 1)."""
    return ((drawn < 0.5) * 2.0 - 1)[:, :, None, None]


def unmoved(tried: Tensor, point: Tensor, most: float | Tensor = 0.0) -> Tensor:
    """Which proposals move no pixel of the point by more than `most`, (N,) bool.

    `most` is one number, or one for each (N, 1, 1, 1).
    """
    moved = (tried - point).abs_().amax(dim=(1, 2, 3), keepdim=True)
    return (moved <= most).flatten()
