"""What Square proposes: recoloured windows in L-infinity, bumps of moved mass in L2 and L1."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import keyed
from ..threat import INSIDE, ThreatModel, column

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
        height, width = x.shape[2:]
        side = self._sides[age]
        row = corner(keyed.stream(draw, "row"), side, height)
        col = corner(keyed.stream(draw, "column"), side, width)
        colours = keyed.signs(draw, (x.shape[1], 1, 1))
        inside = window(x, row, col, side)
        tried = torch.where(inside, threat.project(x + threat.eps * colours, x), point)
        # A window that had these colours already gets the opposite ones: no query is wasted.
        same = column((tried == point).flatten(1).all(dim=1), x)
        other = threat.project(x - threat.eps * colours, x)
        return torch.where(inside & same, other, tried)


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
        self._bumps = torch.zeros(len(fitting), max(fitting), max(fitting), device=x.device)
        for bump, side in zip(self._bumps, fitting, strict=True):
            bump[:side, :side] = bump_of(side)

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
        dots = (self._sides[age] <= 3) & (keyed.uniform(keyed.stream(draw, "dot"), ()) < DOTS)
        age = torch.where(dots, len(self._sides) - 1, age)
        side = self._sides[age]
        row, col, row_2, col_2 = (
            corner(keyed.stream(draw, purpose), side, extent)
            for purpose, extent in (("r", height), ("c", width), ("r2", height), ("c2", width))
        )
        to, source = window(x, row, col, side), window(x, row_2, col_2, side)
        delta = point - x
        bump = self._placed(x, row, col, age, keyed.signs(keyed.stream(draw, "turn"), (1,)) > 0)
        bump = bump * keyed.signs(draw, (x.shape[1], 1, 1))
        # The bump is added to what the window holds, both at length 1; the window's new length
        # is that of both windows and of what the whole image leaves of its budget.
        held = torch.where(to, delta, 0)
        shape = bump + held / self._size(held, (2, 3)).clamp_min(1e-12)
        power = self._power
        left = threat.eps**power - self._size(delta, (1, 2, 3)) ** power
        both = self._size(torch.where(to | source, delta, 0), (2, 3)) ** power
        size = (left.clamp_min(0) / x.shape[1] + both) ** (1 / power)
        shape = shape * (size / self._size(shape, (2, 3)).clamp_min(1e-12))
        moved = torch.where(to, shape, torch.where(source, 0, delta))
        whole = x + self._whole(moved, threat)
        return threat.project(whole, x) if power == 2 else whole.clamp(0, 1)

    def _size(self, delta: Tensor, dims: tuple[int, ...]) -> Tensor:
        power = self._power
        total = delta.abs().pow(power).sum(dims, keepdim=True, dtype=torch.float64)
        return total.pow(1 / power).float()

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
        most = self._bumps.shape[1]
        down = torch.arange(x.shape[2], device=x.device) - row[:, None]
        across = torch.arange(x.shape[3], device=x.device) - col[:, None]
        inside = ((down >= 0) & (down < most))[:, :, None] & ((across >= 0) & (across < most))[
            :, None, :
        ]
        down, across = down.clamp(0, most - 1)[:, :, None], across.clamp(0, most - 1)[:, None, :]
        bumps = torch.where(
            turned[:, :, None],
            self._bumps[age[:, None, None], across, down],
            self._bumps[age[:, None, None], down, across],
        )
        return torch.where(inside, bumps, 0)[:, None]


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


def corner(draw: Tensor, side: Tensor, extent: int) -> Tensor:
    """The first of `side` lines among `extent`, the last ones included: (N,)."""
    return keyed.integers(draw, (extent - side).clamp_min(0) + 1)


def window(x: Tensor, row: Tensor, col: Tensor, side: Tensor) -> Tensor:
    """Which pixels lie in each example's window: (N, 1, H, W) bool."""
    down = torch.arange(x.shape[2], device=x.device) - row[:, None]
    across = torch.arange(x.shape[3], device=x.device) - col[:, None]
    down, across = ((d >= 0) & (d < side[:, None]) for d in (down, across))
    return down[:, None, :, None] & across[:, None, None, :]
