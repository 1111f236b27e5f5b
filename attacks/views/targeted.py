"""Targeted attacks: drive an image into a class that was chosen, with every attack there is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import ModelError
from ..oracle import Ascent, Losses, Oracle, Rank
from .view import View


class Targeted(View):
    """The two-class problem "the target or not", on which an untargeted attack is a targeted one.

    Its logits are (the largest of the other classes, the target's), its label is always 0: the
    label does not lead where the target does. Misread as a third class is not broken; read as the
    target without any change is broken, at distance 0.

        targeted = Targeted(Oracle(model), keys, targets)
        x_adv = pgd(targeted, x, torch.zeros_like(targets), threat, keys=keys)

    Args:
        inner: the oracle that is asked.
        keys: (N,) indices of all examples that will be asked about.
        targets: (N,) the class that each is to be driven into.
    """

    def __init__(self, inner: Oracle, keys: Tensor, targets: Tensor) -> None:
        super().__init__(inner)
        self._target = torch.full((int(keys.max()) + 1,), -1, device=targets.device)
        self._target[keys.to(targets.device)] = targets

    def logits(self, x: Tensor, keys: Tensor, *, count: bool = True) -> Tensor:
        return against(self.inner.logits(x, keys, count=count), self._target[keys])

    def problem(self, logits: Tensor, y: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """`Oracle.problem`, whose logits are now two and whose labels are 0.

        Raises:
            ModelError: if a target is no class of the model.
        """
        logits, y = self.inner.problem(logits, y, keys)
        target = self._target[keys]
        if int(target.min()) < 0 or int(target.max()) >= logits.shape[1]:
            raise ModelError(
                f"targets go from {int(target.min())} to {int(target.max())}, but the model has "
                f"{logits.shape[1]} outputs"
            )
        return against(logits, target), torch.zeros_like(y)

    def ascent(self, x: Tensor, keys: Tensor, loss: Callable[..., Tensor], *rows: Tensor) -> Ascent:
        def posed(logits: Tensor, target: Tensor, *rows: Tensor) -> Tensor:
            return loss(against(logits, target), *rows)

        target = self._target[keys]
        seen = self.inner.ascent(x, keys, posed, target, *rows)
        return seen._replace(logits=against(seen.logits, target))

    def first_ranked(
        self, x: Tensor, keys: Tensor, losses: Losses, rank: Rank, *rows: Tensor
    ) -> Ascent:
        def posed(logits: Tensor, target: Tensor, *rows: Tensor) -> Tensor:
            return losses(against(logits, target), *rows)

        target = self._target[keys]
        seen = self.inner.first_ranked(x, keys, posed, rank, target, *rows)
        return seen._replace(logits=against(seen.logits, target))


def against(logits: Tensor, target: Tensor) -> Tensor:
    """The largest logit of the other classes, and the target's: (N, 2)."""
    others = logits.scatter(1, target[:, None], -torch.inf).amax(dim=1)
    return torch.stack([others, logits.gather(1, target[:, None])[:, 0]], dim=1)
