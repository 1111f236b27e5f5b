"""Images as they are stored: whole numbers of grey levels, such as the 256 of a PNG file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ThreatError
from ..oracle import Ascent, Losses, Oracle, Rank
from ..registry import off_levels
from ..threat import NORMS
from .view import View

# Images are on the grid when they miss it by no more than this share of a level.
_NEAR = 1e-3
# Half of what a verdict tolerates.
_SLACK = 5e-7


class Levels(View):
    """An oracle that sees images rounded to k / (levels - 1), and keeps them so.

    The gradient passes the rounding straight (BPDA). An image is rounded to the nearest level;
    where that leaves the ball, as many pixels as necessary are rounded towards the original
    instead, those first that rounding had moved away furthest. An attack that is held `within` a
    ball sees what will be judged, to the bit; any other sees the nearest level.

    Args:
        inner: the oracle that is asked.
        levels: how many, 256 for 8 bits.
    """

    def __init__(self, inner: Oracle, levels: int) -> None:
        super().__init__(inner)
        self.levels: int = levels
        self._ball: _Ball | None = None

    def within(self, keys: Tensor, x: Tensor, norm: str, eps: Tensor) -> Oracle:
        view = super().within(keys, x, norm, eps)
        if isinstance(view, Levels) and norm != "linf":  # there the nearest level is inside
            row = torch.zeros(int(keys.max()) + 1, dtype=torch.int64, device=x.device)
            row[keys] = torch.arange(len(keys), device=x.device)
            view._ball = _Ball(row, x, norm, eps)
        return view

    def logits(self, x: Tensor, keys: Tensor, *, count: bool = True) -> Tensor:
        return self.inner.logits(self._seen(x, keys), keys, count=count)

    def ascent(self, x: Tensor, keys: Tensor, loss: Callable[..., Tensor], *rows: Tensor) -> Ascent:
        return self.inner.ascent(self._seen(x, keys), keys, loss, *rows)

    def first_ranked(
        self, x: Tensor, keys: Tensor, losses: Losses, rank: Rank, *rows: Tensor
    ) -> Ascent:
        return self.inner.first_ranked(self._seen(x, keys), keys, losses, rank, *rows)

    def settle(self, answer: Tensor, x: Tensor, norm: str, eps: float | Tensor) -> Tensor:
        return rounded_inside(self.inner.settle(answer, x, norm, eps), x, norm, eps, self.levels)

    def _seen(self, x: Tensor, keys: Tensor) -> Tensor:
        ball = self._ball
        if ball is None:
            return rounded(x, self.levels)
        parts = []
        for part, whose in zip(x.split(self.slots), keys.split(self.slots), strict=True):
            row = ball.row[whose]
            parts.append(rounded_inside(part, ball.x[row], ball.norm, ball.eps[row], self.levels))
        return torch.cat(parts)


class _Ball(NamedTuple):
    """Where the examples are held: a key's row, originals, norm and budgets (N,)."""

    row: Tensor
    x: Tensor
    norm: str
    eps: Tensor


def rounded(x: Tensor, levels: int) -> Tensor:
    """The nearest of k / (levels - 1), with the bits that dividing the stored integer k gives."""
    top = torch.tensor(levels - 1.0, device=x.device)  # a plain number would be multiplied by 1 / k
    return (x * top).round() / top


def rounded_inside(x_adv: Tensor, x: Tensor, norm: str, eps: float | Tensor, levels: int) -> Tensor:
    """`rounded`, but inside the ball where `x_adv` is; `x` must be on the grid.

    Args:
        x_adv, x: perturbed images and originals (N, C, H, W).
        norm, eps: the ball; one budget, or one for each example (N,).
        levels: of the grid.
    """
    top = levels - 1
    original = (x.flatten(1).double() * top).round()
    wanted = x_adv.flatten(1).double() * top - original
    near, short = wanted.round(), wanted.trunc()
    reach = (torch.as_tensor(eps, device=x.device).double() + _SLACK).expand(len(x)) * top
    if norm == "linf":
        kept = torch.where(near.abs() > reach[:, None], short, near)
    else:
        power = 1 if norm == "l1" else 2
        outward = (near.abs() - wanted.abs()).clamp_min(0)
        order = outward.argsort(dim=1, descending=True, stable=True)
        size = near.abs().pow(power)
        spared = (size - short.abs().pow(power)).where(outward > 0, 0).gather(1, order)
        # A pixel is rounded back while those before it in the order did not spare enough.
        excess = size.sum(dim=1, keepdim=True) - reach[:, None].pow(power)
        back = spared.cumsum(dim=1) - spared < excess
        kept = torch.where(torch.empty_like(back).scatter(1, order, back), short, near)
    return rounded(((original + kept) / top).float().view_as(x), levels)


def check_grid(x: Tensor, norm: str, eps: Sequence[float], levels: int) -> None:
    """Refuse what has no place on the grid.

    Raises:
        ThreatError: if `levels` is no number of levels; if images or, in L-infinity, a budget are
            not on the grid; or if the threat is a transformation, whose images never are.
    """
    if isinstance(levels, bool) or not isinstance(levels, int) or levels < 2:
        raise ThreatError(f"levels must be a whole number from 2 on, got {levels!r}")
    if norm not in NORMS:
        raise ThreatError(f"levels: a {norm} moves every pixel off the grid; leave levels out")
    top = levels - 1
    if bool(((x - rounded(x, levels)).abs() * top > _NEAR).any()):
        raise ThreatError(
            f"the images are not on the grid k/{top} of {levels} levels; digits of 17 levels, for "
            "instance, lie on k/16 (levels=17)"
        )
    for budget in eps:
        reason = off_levels(norm, budget, levels)
        if reason:
            raise ThreatError(f"eps {reason}")
