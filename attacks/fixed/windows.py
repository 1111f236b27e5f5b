"""What Square proposes: recoloured windows in L-infinity, bumps of moved mass in L2 and L1."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import keyed
from ..threat import INSIDE, ThreatModel

# Where the share of pixels in a window halves, in queries of a run of 10,000.
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
# Once bumps are this small, so many of the proposals move a single pixel. Measured in L2: the
# digits network kept 202 images of 360 where it kept 210 without.
DOTS = 0.25


class Stripes:
    """L-infinity: each channel of a window at +eps or -eps, from vertical stripes."""

    def __init__(self, x: Tensor, share: float) -> None:
        self._sides = torch.tensor([max(round(s), 1) for s in sides(x, share)], device=x.device)

    def first(self, state: Tensor, shape: tuple[int, ...], threat: ThreatModel) -> Tensor:
        return threat.eps * keyed.signs(state, (shape[0], 1, shape[2])).expand(-1, *shape)

    def propose(
        self, x: Tensor, point: Tensor, threat: ThreatModel, draw: Tensor, age: Tensor
    ) -> Tensor:
        drawn = keyed.uniform(draw, (2 + x.shape[1],))
        side = self._sides[age]
        row, col = corner(drawn[:, 0], side, x.shape[2]), corner(drawn[:, 1], side, x.shape[3])
        step = threat.eps * signs_of(drawn[:, 2:])
        inside = window(x, row, col, side) > 0
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
        # Lying, then standing, of each age; each with a rim of zeros for the pixels around it.
        wide = max(fitting) + 2
        self._bumps = torch.zeros(2, len(fitting), wide, wide, device=x.device)
        for age, side in enumerate(fitting):
            self._bumps[0, age, 1 : side + 1, 1 : side + 1] = bump_of(side)
        self._bumps[1] = self._bumps[0].mT

    def first(self, state: Tensor, shape: tuple[int, ...], threat: ThreatModel) -> Tensor:
        channels, height, width = shape
        down, across = height // self._cell, width // self._cell
        signs = keyed.signs(state, (channels, down, across))
        cells = signs.repeat_interleave(self._cell, 2).repeat_interleave(self._cell, 3)
        grid = cells * bump_of(self._cell).to(state.device).repeat(down, across)
        top, left = (height - grid.shape[2]) // 2, (width - grid.shape[3]) // 2
        right, bottom = width - grid.shape[3] - left, height - grid.shape[2] - top
        return self._whole(F.pad(grid, (left, right, top, bottom)), threat)

    def propose(
        self, x: Tensor, point: Tensor, threat: ThreatModel, draw: Tensor, age: Tensor
    ) -> Tensor:
        height, width = x.shape[2:]
        drawn = keyed.uniform(draw, (6 + x.shape[1],))
        dots = (self._sides[age] <= 3) & (drawn[:, 4] < DOTS)
        age = torch.where(dots, len(self._sides) - 1, age)
        side = self._sides[age]
        row, row_2 = (corner(drawn[:, number], side, height) for number in (0, 1))
        col, col_2 = (corner(drawn[:, number], side, width) for number in (2, 3))
        to, source = window(x, row, col, side), window(x, row_2, col_2, side)
        delta = point - x
        bump = self._placed(x, row, col, age, drawn[:, 5] < 0.5) * signs_of(drawn[:, 6:])
        # The bump is added to what the window holds, both at length 1; the window's new length
        # is that of both windows and of what the whole image leaves of its budget.
        held, windows = to * delta, torch.maximum(to, source)
        shape = bump + held / self._size(held, (2, 3)).clamp_min(1e-12)
        power = self._power
        left = threat.eps**power - self._size(delta, (1, 2, 3)) ** power
        both = self._size(windows * delta, (2, 3)) ** power
        size = (left.clamp_min(0) / x.shape[1] + both) ** (1 / power)
        shape *= size / self._size(shape, (2, 3)).clamp_min(1e-12)
        whole = x + self._whole(shape + (1 - windows) * delta, threat)
        return threat.project(whole, x) if power == 2 else whole.clamp(0, 1)

    def _size(self, delta: Tensor, dims: tuple[int, ...]) -> Tensor:
        return torch.linalg.vector_norm(delta, self._power, dims, keepdim=True)

    def _whole(self, delta: Tensor, threat: ThreatModel) -> Tensor:
        """`delta` at length eps; longer in L2, where the projection cuts back to what fits.

        So the other pixels take over what the box cuts off. (In L1 it would sparsify instead, and
        a perturbation that fits need only be clipped.)
        """
        if self._power == 2:
            reach = torch.as_tensor(5 * threat.eps)
        else:  # adding to an image rounds each pixel by up to 3e-8, and many may round alike
            rounding = 3e-8 * delta[0].numel()
            reach = torch.as_tensor(threat.eps * INSIDE - rounding).clamp_min(0)
        return delta * (reach / self._size(delta, (1, 2, 3)).clamp_min(1e-12))

    def _placed(self, x: Tensor, row: Tensor, col: Tensor, age: Tensor, turned: Tensor) -> Tensor:
        """Each example's bump at its window's place, lying or standing: (N, 1, H, W)."""
        wide = self._bumps.shape[-1]
        down = torch.arange(1, x.shape[2] + 1, device=x.device) - row[:, None]
        across = torch.arange(1, x.shape[3] + 1, device=x.device) - col[:, None]
        down = (turned * len(self._sides) + age)[:, None] * wide + down.clamp_(0, wide - 1)
        place = (down * wide)[:, None, :, None] + across.clamp_(0, wide - 1)[:, None, None, :]
        return self._bumps.take(place)


def bump_of(side: int) -> Tensor:
    """Two half windows of opposite sign, each highest in its middle, of Euclidean length 1."""

    def half(height: int) -> Tensor:
        rows, cols = torch.arange(height), torch.arange(side)
        # Nested rectangles around the middle, the k-th adding 1 / k^2 to all that it holds.
        ring = torch.maximum((rows - height // 2).abs()[:, None], (cols - side // 2).abs())
        count = max(height // 2, side // 2) + 1
        added = 1 / torch.arange(1, count + 1).double().square()
        pile = added.flip(0).cumsum(0).flip(0)[ring]
        return pile / pile.square().sum().sqrt()

    upper = [half(side // 2)] if side > 1 else []
    bump = torch.cat([*upper, -half(side - side // 2)])
    return (bump / bump.square().sum().sqrt()).float()


def sides(x: Tensor, share: float) -> list[float]:
    """The side of a window for each age: its area is `share` of the image, halved each time."""
    pixels = x.shape[2] * x.shape[3]
    return [math.sqrt(share * pixels / 2**age) for age in range(len(HALVINGS) + 1)]


def corner(drawn: Tensor, side: Tensor, extent: int) -> Tensor:
    """The first of `side` lines among `extent`, the last ones included: (N,), from [0, 1)."""
    return (drawn * ((extent - side).clamp_min(0) + 1)).long()


def signs_of(drawn: Tensor) -> Tensor:
    """-1 or 1 for each channel, (N, C, 1, 1), from numbers (N, C) in [0, 1)."""
    return ((drawn < 0.5) * 2.0 - 1)[:, :, None, None]


def window(x: Tensor, row: Tensor, col: Tensor, side: Tensor) -> Tensor:
    """1 for the pixels in each example's window, else 0: (N, 1, H, W)."""
    down = torch.arange(x.shape[2], device=x.device) - row[:, None]
    across = torch.arange(x.shape[3], device=x.device) - col[:, None]
    down, across = (((d >= 0) & (d < side[:, None])).to(x.dtype) for d in (down, across))
    return down[:, None, :, None] * across[:, None, None, :]


def unmoved(tried: Tensor, point: Tensor) -> Tensor:
    """Which proposals are the point itself, (N,) bool."""
    return (tried - point).flatten(1).abs_().amax(dim=1) == 0
