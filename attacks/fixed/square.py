"""Square: random search with square windows (Andriushchenko et al. 2020, arXiv:1912.00049).

It asks for logits alone, so that a network which hides its gradients gains nothing by it. Each
example draws windows and colours of its own. The L1 form is that of Croce and Hein 2021
(arXiv:2103.01208).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .. import keyed
from ..losses import is_broken, margin
from ..oracle import Oracle
from ..search import Trail, first_points, share_left, those
from ..threat import ThreatModel
from .windows import HALVINGS, Bumps, Stripes, unmoved

# How often a proposal that changes nothing is drawn anew, before a query is spent on it: one that
# moves no pixel by more than this share of eps. In L1 every proposal rescales the whole image a
# little, and of a run's proposals on digits more than half did no more than that.
_REDRAWS, _NOTHING = 3, 1e-3
# However few rows a proposal and a pass hold, they cost a CPU as much as so many rows more, and as
# so many pixels: so proposals are asked ahead, while they fit its cache, though what follows one
# that is kept is for nothing.
_ROWS, _PIXELS, _CACHE = 32, 2**13, 2**18
_AHEAD = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


class Pace(NamedTuple):
    """What an example must keep up with in a race, in queries of a run of 5,000 or less.

    Attributes:
        most: the share of the clean margin that may be left after so many queries.
        falling: the part of what was left at a mark that may still be left at the next, from
            `STEADY` queries on and unless it is all but 0; of an example that is not ahead of
            what earlier attacks left (see AHEAD), at most BEHIND in any case.
    """

    most: dict[int, float]
    falling: float


# They let through most of what random search breaks in the end, on networks that mask their
# gradients or mislead them; benchmarks/race.py measures what they lose. In L-infinity random search
# comes near early or never, but may rest before the last of it; in L2 it comes slowly and steadily.
_EARLY = {100: 0.68, 200: 0.57, 300: 0.48, 500: 0.36, 700: 0.26, 1000: 0.18}
_LATE = {100: 0.8, 200: 0.71, 300: 0.6, 500: 0.46, 700: 0.42, 1000: 0.28}
PACE = {
    "linf": Pace(_EARLY | {1500: 0.13, 2000: 0.1, 3000: 0.07}, falling=0.999),
    "l2": Pace(_LATE | {1500: 0.19, 2000: 0.17, 3000: 0.13}, falling=0.95),
}
PACE["l1"] = PACE["l2"]
STEADY, ALL_BUT = 1000, 0.03
# Where gradients can be trusted, random search comes to rest at what they left of the margin, to
# three digits; where they cannot, it gets ahead of them, rests, and falls all the same.
AHEAD, BEHIND = 0.9, 0.95
# Of an example that earlier attacks left this far from the boundary, random search must come as
# near as they did, but for a slack in the beginning.
NEAR, SLACK = 0.2, {100: 0.5, 200: 0.28, 300: 0.15, 500: 0.08, 700: 0.04}


def square(
    model: Oracle,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    keys: Tensor,
    start: Tensor | None = None,
    closest: Tensor | None = None,
    seed: int = 0,
    queries: int = 5000,
    restarts: int = 1,
    share: float = 0.8,
    rescale: bool = True,
    race: bool = False,
) -> Tensor:
    """Recolour a window, keep it if the margin rose; windows shrink as the queries are spent.

    An example is done at the first point that is misclassified, and that point is returned; for
    the others, the point of highest margin.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K); asked for no gradient.
        x, y: images and labels (N,).
        threat: norm and budget.
        keys: (N,) the examples' indices, from which every proposal follows.
        start: images to begin the first run from, in place of its random start; NaN for an
            example that has none. A race has no use for them: its pace is that from the stripes.
        closest: for each example the unbroken image of least margin that is known, NaN where none
            is; looked at in a race.
        seed: changes every random draw.
        queries: forward passes of each run, the start's included.
        restarts: runs, each with draws of its own.
        share: of the pixels in the first windows (p_init of the paper).
        rescale: windows shrink as the queries are spent; False: as in the first of 10,000.
        race: give an example up where it falls behind the pace of those that random search
            breaks (see PACE). Most examples are far from the boundary and known to be after a few
            hundred queries; where gradients are masked, those that can be broken go on.

    Returns:
        Perturbed images (N, C, H, W) inside ball and box.
    """
    oracle = Oracle.of(model)
    trail = Trail(x)
    search = Stripes(x, share) if threat.norm == "linf" else Bumps(x, share, threat.norm)
    if race:
        start, (clean, known, _) = None, share_left(oracle, x, y, keys, closest)
    for run in range(restarts):
        rows = trail.unbroken()
        if len(rows) == 0:
            break
        state = keyed.stream(keys, seed, "square", run)
        begin = start[rows] if start is not None and run == 0 else None
        point = first_points(begin, x[rows], threat[rows], state[rows], search.first)
        scale = queries if rescale else 10_000
        walk = _Walk(oracle, search, trail, x, y, threat, keys, rows, state[rows], point, scale)
        if race:
            _race(walk, clean, known, queries)
        walk.advance(queries)
    return trail.x_adv


def _race(walk: _Walk, clean: Tensor, known: Tensor, queries: int) -> None:
    """Advance along the pace of the norm, and forget the examples that fall behind it.

    `clean` (N,) are the margins at first, `known` (N,) the shares that earlier attacks left of
    them, infinite where there were none.
    """
    before = torch.full_like(clean, torch.inf)
    # A random start may lie far behind the image, or the image almost on the boundary.
    lowest = clean.clone()
    lowest[walk.rows] = torch.minimum(clean[walk.rows], walk.highest)
    pace = PACE[walk.norm]
    for asked, most in pace.most.items():
        goal = max(asked, asked * queries // 5000)
        if goal >= queries:
            return
        walk.advance(goal)
        rows = walk.rows
        left = torch.where(lowest[rows] < 0, walk.highest / lowest[rows], 0)
        near = (known[rows] <= NEAR) | (left <= known[rows] + SLACK.get(asked, 0.0))
        stay = near & (left <= most)
        if asked >= STEADY:
            resting = (pace.falling * before[rows]).clamp_min(ALL_BUT)
            ahead = left <= AHEAD * known[rows]
            stay &= left <= torch.where(ahead, resting, BEHIND * before[rows])
        before[rows] = left
        walk.keep(stay)


class _Walk:
    """One run of random search: where each example stands, and how far it has come.

    Attributes:
        norm: of the threat.
        rows: (M,) positions of the examples that are still searched.
        highest: (M,) margin of the point that each stands at.
    """

    def __init__(
        self,
        oracle: Oracle,
        search: Stripes | Bumps,
        trail: Trail,
        x: Tensor,
        y: Tensor,
        threat: ThreatModel,
        keys: Tensor,
        rows: Tensor,
        state: Tensor,
        point: Tensor,
        scale: int,
    ) -> None:
        self._oracle, self._search, self._trail = oracle, search, trail
        self._x, self._y, self._threat, self._keys = x, y, threat, keys
        self._halvings = torch.tensor(HALVINGS, device=x.device)
        self._scale, self.norm = scale, threat.norm
        self.rows, self._state, self._point = rows, state, point
        logits = oracle.logits(point, keys[rows])
        self.highest = margin(logits, y[rows])
        self._asked = torch.ones_like(rows)
        self._rate = 1.0  # how many of the last proposals were kept; 0 to 1
        self.keep(trail.see(rows, point, logits, y[rows], self.highest))
        room = torch.as_tensor(threat[self.rows].eps > 0, device=x.device).flatten()
        self.keep(room.expand(len(self.rows)))

    def keep(self, stay: Tensor | None) -> None:
        """Forget the examples that are not among `stay`, (M,) bool; None: forget none."""
        self.rows, self.highest, self._state, self._point, self._asked = those(
            stay, self.rows, self.highest, self._state, self._point, self._asked
        )

    def advance(self, goal: int) -> None:
        """Go on until each example is broken and forgotten, or has asked `goal` queries."""
        while True:
            busy = (self._asked < goal).nonzero()[:, 0]
            if len(busy) == 0:
                return
            fell = self._ask(busy, goal)
            if fell.any():
                stay = torch.ones_like(self.rows, dtype=torch.bool)
                stay[busy[fell]] = False
                self.keep(stay)

    def _ask(self, busy: Tensor, goal: int) -> Tensor:
        """Ask about the next proposals of the walkers `busy` (B,); which of them fell, (B,) bool.

        A proposal depends on the point and its number alone. So a walker's next ones are asked at
        once, and those after the first that is kept are forgotten: the path is that of one query
        after another, and so is what is charged.
        """
        oracle, group = self._oracle, self._ahead(busy, goal)
        number = torch.arange(group, device=busy.device).repeat(len(busy))
        which = busy.repeat_interleave(group)
        number += self._asked[which]
        row = self.rows[which]
        y, keys, point = self._y[row], self._keys[row], self._point[which]
        draw = keyed.stream(self._state[which], number)
        age = torch.bucketize(number * 10_000 // self._scale, self._halvings)
        tried = _redrawn(self._search, self._x[row], point, self._threat[row], draw, age)
        logits = oracle.logits(tried, keys, count=False)
        value = margin(logits, y)
        kept = (value > self.highest[which]) | is_broken(logits, y)
        kept = (kept & (number < goal)).view(-1, group)
        risen = kept.any(dim=1)
        first = torch.where(risen, kept.int().argmax(dim=1), group - 1)
        spent = torch.minimum(first + 1, goal - self._asked[busy])
        oracle.charge(self._keys[self.rows[busy]], forwards=spent)
        self._asked[busy] += spent
        self._rate += 0.1 * (float(risen.sum() / spent.sum()) - self._rate)
        taken = (torch.arange(len(busy), device=busy.device) * group + first)[risen]
        up, row = busy[risen], self.rows[busy[risen]]
        self._point[up], self.highest[up] = tried[taken], value[taken]
        fell = torch.zeros_like(risen)
        stay = self._trail.see(row, tried[taken], logits[taken], self._y[row], value[taken])
        if stay is not None:
            fell[risen] = ~stay
        return fell

    def _ahead(self, busy: Tensor, goal: int) -> int:
        """How many proposals of each walker to ask at once: most progress for what it costs.

        The walk is the same with any number.
        """
        count, pixels = len(busy), self._x[0].numel()
        most = min(
            max(self._oracle.slots, _CACHE // pixels) // count,
            int((goal - self._asked[busy]).max()),
        )
        once = _ROWS + _PIXELS // pixels if self._x.device.type == "cpu" else self._oracle.slots
        refused = 1 - self._rate

        def worth(ahead: int) -> float:  # proposals up to the first that is kept, over rows
            return sum(refused**number for number in range(ahead)) / (once + ahead * count)

        return max((ahead for ahead in _AHEAD if ahead <= max(1, most)), key=worth)


def _redrawn(
    search: Stripes | Bumps,
    x: Tensor,
    point: Tensor,
    threat: ThreatModel,
    draw: Tensor,
    age: Tensor,
) -> Tensor:
    """A proposal for each example, drawn anew where it would change nothing."""
    tried = search.propose(x, point, threat, draw, age)
    for again in range(_REDRAWS):
        same = unmoved(tried, point, _NOTHING * threat.eps).nonzero()[:, 0]
        if len(same) == 0:
            break
        anew = keyed.stream(draw[same], again)
        tried[same] = search.propose(x[same], point[same], threat[same], anew, age[same])
    return tried
