"""Models that draw their answer at random: gradients in expectation, verdicts by majority.

Expectation over transformations (Athalye et al. 2018, arXiv:1802.00420): what an attack climbs is
the mean over many draws. What decides is the majority over other draws, so that a lucky one counts
neither for the attack nor for the model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from .. import keyed
from ..check import SAME
from ..errors import ModelError, ThreatError
from ..generators import kept
from ..losses import LEAD, lead
from ..oracle import SLOTS, Ascent, Losses, Oracle, Rank, lowest

Answer = TypeVar("Answer")

# A wrong class is taken for found when it leads the mean over draws by so many standard errors.
# Of 100 digits behind noise (L-infinity 0.09, 20 draws) 41 fall by 600 other draws; 39 with 0.
CLEARLY = 2.0
# How a model draws is seen from so many passes; where their means differ by more than this many
# times what independent copies explain, a pass shares its draws. Chance: below one in 100,000.
_PASSES, _SHARED = 16, 4.0


class Randomized(Oracle):
    """An oracle whose answers are taken over `draws` keyed draws.

    A pass holds copies of one image, with torch's generators seeded by (seed, key, purpose, image)
    and restored afterwards: an image's answer is the same in any company, an attack's draws tell
    nothing of the judge's, and two images never share theirs. A model that draws once for a whole
    pass is seen as such, and asked copy by copy; one that draws from other generators than torch's
    global ones is refused when it is asked first.

    `judged` returns log((votes + 1/2) / (draws + K/2)): each draw votes for the class that clearly
    leads, a class with more votes than the label breaks an example, and a softmax tells the share
    of votes. All passes are counted, `draws` for each answer.

    Args:
        model: maps images (N, C, H, W) in [0, 1] to logits (N, K), differently each time.
        draws: how many, >= 2.
        seed: of every draw.
        slots: images per pass, at most.
        search: what attacks ask in place of the model.

    Raises:
        ThreatError: if `draws` is less than 2.
    """

    def __init__(
        self,
        model: nn.Module,
        draws: int,
        *,
        seed: int = 0,
        slots: int = SLOTS,
        search: nn.Module | None = None,
    ) -> None:
        if isinstance(draws, bool) or not isinstance(draws, int) or draws < 2:
            raise ThreatError(f"draws must be a whole number from 2 on, got {draws!r}")
        super().__init__(model, slots=min(draws, slots), search=search)
        self.draws: int = draws
        self._seed = seed
        self._probed = False

    def logits(self, x: Tensor, keys: Tensor, *, count: bool = True) -> Tensor:
        """`Oracle.logits`: means over draws, where classes that these do not tell apart tie."""
        if count:
            self.charge(keys, forwards=1)

        def mean(copies: Tensor) -> Tensor:
            return _told_apart(self._answers(self.search, copies))

        return torch.stack(self._of_each("search", keys, mean, x))

    def judged(self, x: Tensor, keys: Tensor) -> Tensor:
        self.charge(keys, forwards=1)

        def votes(copies: Tensor) -> Tensor:
            return _log_votes(self._answers(self.model, copies))

        return torch.stack(self._of_each("verdict", keys, votes, x))

    def ascent(self, x: Tensor, keys: Tensor, loss: Callable[..., Tensor], *rows: Tensor) -> Ascent:
        """`Oracle.ascent`: means over draws of the loss and of its gradient."""
        self.charge(keys, forwards=1, backwards=1)

        def mean(copies: Tensor, *rows: Tensor) -> Ascent:
            seen = self._ascent(copies, loss, *rows)
            return Ascent(_told_apart(seen.logits), seen.loss.mean(), seen.grad.mean(dim=0))

        answers = self._of_each("search", keys, mean, x, *rows)
        return Ascent(*(torch.stack(column) for column in zip(*answers, strict=True)))

    def first_ranked(
        self, x: Tensor, keys: Tensor, losses: Losses, rank: Rank, *rows: Tensor
    ) -> Ascent:
        """`Oracle.first_ranked` of means over draws; one forward pass for each loss."""

        def one(logits: Tensor, number: Tensor, *rows: Tensor) -> Tensor:
            return losses(logits, *rows).gather(1, number[:, None])[:, 0]

        count = losses(self.plain(x[:1]), *[row[:1] for row in rows]).shape[1]
        numbers = torch.arange(count, device=x.device)[:, None].expand(-1, len(x))
        return lowest((self.ascent(x, keys, one, number, *rows) for number in numbers), rank)

    def charge(
        self, keys: Tensor, *, forwards: int | Tensor = 0, backwards: int | Tensor = 0
    ) -> None:
        super().charge(keys, forwards=forwards * self.draws, backwards=backwards * self.draws)

    def _of_each(
        self, purpose: str, keys: Tensor, ask: Callable[..., Answer], x: Tensor, *rows: Tensor
    ) -> list[Answer]:
        """What `ask` finds from `draws` copies of each image and row, the generators seeded."""
        if not self._probed:
            self._probed = True
            if self._drawn_once_per_pass(x):
                self.slots = 1
        answers = []
        states = keyed.stream(keys, self._seed, purpose, keyed.digest(x)).tolist()
        for number, state in enumerate(states):
            copies = [row[number].expand(self.draws, *row.shape[1:]) for row in (x, *rows)]
            with kept(x.device, state):
                answers.append(ask(*copies))
        return answers

    def _drawn_once_per_pass(self, x: Tensor) -> bool:
        """Whether copies in one pass agree more than copies in different passes.

        Asked of noise shaped like `x`, so that it does not depend on which images come first.

        Raises:
            ModelError: if the same seed gives another answer.
        """
        noise = keyed.uniform(keyed.stream(torch.zeros(1), "probe"), x.shape[1:]).to(x)
        copies = noise.expand(self.slots, *x.shape[1:])
        passes = []
        for seed in (0, *range(_PASSES)):
            with kept(x.device, seed):
                passes.append(self._answers(self.model, copies).double())
        if bool(((passes[0] - passes[1]).abs() > SAME * passes[0].abs().amax()).any()):
            raise ModelError(
                "the model draws from another generator than torch's (numpy's, Python's, its "
                "own?), so that no verdict could be repeated; let it draw from torch's global ones"
            )
        logits = torch.stack(passes[1:])
        within = logits.var(dim=1).sum()
        between = logits.mean(dim=1).var(dim=0).sum() * self.slots
        return bool(between > _SHARED * within)


def _told_apart(drawn: Tensor) -> Tensor:
    """The mean logits (K,) of draws (draws, K), the leader's lowered by what may be luck.

    Its lead over the next class shrinks by two standard errors, to a tie at most. An attack then
    goes on until a wrong class leads clearly, in place of stopping at the first lucky mean.
    """
    mean = drawn.mean(dim=0)
    first, second = mean.topk(2).indices
    lead = drawn[:, first] - drawn[:, second]
    luck = CLEARLY * lead.std() / len(drawn) ** 0.5
    mean[first] -= torch.minimum(luck, lead.mean())
    return mean


def _log_votes(drawn: Tensor) -> Tensor:
    """Log shares of the votes (K,) of draws (draws, K); NaN where a draw is not finite."""
    draws, classes = drawn.shape
    if not bool(drawn.isfinite().all()):
        return torch.full((classes,), torch.nan, device=drawn.device)
    top = drawn.topk(2, dim=1)
    clear = lead(top.values[:, 0], top.values[:, 1]) > LEAD
    votes = top.indices[clear, 0].bincount(minlength=classes)
    return ((votes + 0.5) / (draws + classes / 2)).log()
