"""The only way an attack asks a model: fixed compute shape, passes counted, model left as found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .errors import ModelError
from .precision import ieee

SLOTS = 128

Distance = Callable[[Tensor, Tensor, Tensor], Tensor]


class Ascent(NamedTuple):
    """What one forward and one backward pass tell: (N, K), (N,) and the shape of x."""

    logits: Tensor
    loss: Tensor
    grad: Tensor


class Oracle:
    """Answers logits and gradients for any number of images, whatever their order and company.

    A kernel may round differently for another batch size, and an image on the boundary then
    changes sides. So every pass has the same shape: `slots` images, the last ones repeated where
    fewer are asked. Each row's answer is then the same bits in any batch.

    Each call runs in IEEE float32 with the model in eval mode, and gives back training flags and
    random state as they were. Parameters' gradients are never computed.

    Args:
        model: maps images (N, C, H, W) in [0, 1] to logits (N, K). Verdicts are this one's.
        slots: images per pass; part of what a result depends on, so it is recorded.
        search: what attacks ask in place of the model: the same function made faster, or made
            differentiable. The model itself if not given.
    """

    def __init__(
        self, model: nn.Module, *, slots: int = SLOTS, search: nn.Module | None = None
    ) -> None:
        self.model = model
        self.search = model if search is None else search
        self.slots = slots
        self._modules = list({*model.modules(), *self.search.modules()})
        self._forwards = torch.zeros(0, dtype=torch.int64)
        self._backwards = torch.zeros(0, dtype=torch.int64)

    @classmethod
    def of(cls, model: nn.Module | Oracle) -> Oracle:
        """The model itself if it is an oracle already, else a new one around it."""
        return model if isinstance(model, Oracle) else cls(model)

    def logits(self, x: Tensor, keys: Tensor | None = None) -> Tensor:
        """Logits (N, K) of images (N, C, H, W), for an attack; `keys` (N,) say whose passes these
        are.

        Without keys nothing is counted, and the caller charges for it.
        """
        if keys is not None:
            self.charge(keys, forwards=1)
        return self._answers(self.search, x)

    def judged(self, x: Tensor, keys: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W) that decide a verdict: the model's own."""
        self.charge(keys, forwards=1)
        return self._answers(self.model, x)

    def _answers(self, model: nn.Module, x: Tensor) -> Tensor:
        answers = []
        with self._as_found(), torch.no_grad():
            for count, (part,) in self._slots(x):
                answers.append(model(part)[:count].clone())
        return torch.cat(answers)

    def ascent(self, x: Tensor, keys: Tensor, loss: Callable[..., Tensor], *rows: Tensor) -> Ascent:
        """Logits, loss and the loss's gradient with respect to the images.

        Args:
            x: images (N, C, H, W).
            keys: (N,) whose passes these are.
            loss: takes logits and `rows`, returns one value per example.
            rows: tensors whose first dimension is N, such as labels or targets.
        """
        answers = []
        with self._as_found(), torch.enable_grad():
            for count, (part, *others) in self._slots(x, *rows):
                images = part.detach().requires_grad_(True)
                logits = self.search(images)
                values = loss(logits, *others)
                found = (logits.detach(), values.detach(), _gradient(values, images))
                answers.append([each[:count].clone() for each in found])
        self.charge(keys, forwards=1, backwards=1)
        return Ascent(*(torch.cat(column) for column in zip(*answers, strict=True)))

    def nearest_gap(
        self, x: Tensor, keys: Tensor, y: Tensor, targets: Tensor, distance: Distance
    ) -> Ascent:
        """The gap (`losses.gap`) to the class whose boundary is nearest, and its gradient.

        One forward pass and one backward pass for each column of `targets`; of the gradients, only
        the nearest class's is kept.

        Args:
            x: images (N, C, H, W).
            keys: (N,) whose passes these are.
            y, targets: labels (N,) and the classes to choose from (N, T), the first wins a tie.
            distance: takes images, gaps (N,) and gradients, returns how far the boundary is (N,).
        """
        answers = []
        with self._as_found(), torch.enable_grad():
            for count, (part, label, aims) in self._slots(x, y, targets):
                images = part.detach().requires_grad_(True)
                logits = self.search(images)
                gaps = logits.gather(1, aims) - logits.gather(1, label[:, None])
                best: list[Tensor] = []
                for aim in range(aims.shape[1]):
                    last = aim + 1 == aims.shape[1]
                    grad = _gradient(gaps[:, aim], images, keep=not last)
                    gap = gaps[:, aim].detach()
                    found = [distance(part, gap, grad), gap, grad]
                    if best:
                        closer = found[0] < best[0]
                        wide = closer.view(-1, *[1] * (grad.dim() - 1))
                        masks = (closer, closer, wide)
                        found = [
                            torch.where(mask, new, old)
                            for mask, new, old in zip(masks, found, best, strict=True)
                        ]
                    best = found
                found = [logits.detach(), *best[1:]]
                answers.append([each[:count].clone() for each in found])
        self.charge(keys, forwards=1, backwards=targets.shape[1])
        return Ascent(*(torch.cat(column) for column in zip(*answers, strict=True)))

    def charge(
        self, keys: Tensor, *, forwards: int | Tensor = 0, backwards: int | Tensor = 0
    ) -> None:
        """Count passes for the examples `keys` (N,): one number for all, or one each (N,)."""
        self._grow(keys)
        keys = keys.cpu()
        for counter, spent in ((self._forwards, forwards), (self._backwards, backwards)):
            each = torch.as_tensor(spent, dtype=torch.int64).cpu().expand(len(keys))
            counter.index_add_(0, keys, each)

    def passes(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Forward and backward passes spent so far on each of `keys`: two (N,) int64 tensors."""
        self._grow(keys)
        keys = keys.cpu()
        return self._forwards[keys], self._backwards[keys]

    def _slots(self, *rows: Tensor) -> Iterator[tuple[int, list[Tensor]]]:
        for start in range(0, len(rows[0]), self.slots):
            parts = [each[start : start + self.slots] for each in rows]
            count = len(parts[0])
            missing = self.slots - count
            if missing:
                parts = [torch.cat([p, p[-1:].expand(missing, *p.shape[1:])]) for p in parts]
            yield count, parts

    @contextmanager
    def _as_found(self) -> Iterator[None]:
        training = [module for module in self._modules if module.training]
        states = [torch.get_rng_state()]
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            states.append(torch.cuda.get_rng_state())
        try:
            for module in training:
                module.training = False
            with ieee():
                yield
        finally:
            for module in training:
                module.training = True
            torch.set_rng_state(states[0])
            if len(states) > 1:
                torch.cuda.set_rng_state(states[1])

    def _grow(self, keys: Tensor) -> None:
        missing = int(keys.max()) + 1 - len(self._forwards) if len(keys) else 0
        if missing > 0:
            room = torch.zeros(missing, dtype=torch.int64)
            self._forwards = torch.cat([self._forwards, room])
            self._backwards = torch.cat([self._backwards, room])


def _gradient(values: Tensor, images: Tensor, *, keep: bool = False) -> Tensor:
    """The gradient of the sum of `values`; zero where the model cuts the graph or overflows."""
    grad = None
    if values.requires_grad:
        (grad,) = torch.autograd.grad(values.sum(), images, retain_graph=keep, allow_unused=True)
    if grad is None:  # the model cuts the graph: no direction to offer
        return torch.zeros_like(images)
    return torch.nan_to_num(grad, 0.0, 0.0, 0.0)


def check_model(oracle: Oracle, x: Tensor, y: Tensor, keys: Tensor) -> Tensor:
    """Refuse a model that cannot be judged; return the clean logits (N, K).

    Raises:
        ModelError: images outside [0, 1], logits of a wrong shape, NaN or infinite logits,
            labels without a logit, or probabilities in place of logits.
    """
    if x.dim() != 4 or not x.is_floating_point():
        raise ModelError(f"images must be float (N, C, H, W), got {x.dtype} {tuple(x.shape)}")
    if len(x) == 0:
        raise ModelError("no images to attack")
    if not (x.min() >= 0 and x.max() <= 1):
        raise ModelError(
            f"images must lie in [0, 1], got [{float(x.min()):g}, {float(x.max()):g}]; "
            "put the normalization inside the model"
        )
    try:
        logits = oracle.judged(x, keys)
    except RuntimeError as error:
        raise ModelError(
            f"the model does not take images of shape {tuple(x.shape[1:])}: {error}"
        ) from error
    if logits.dim() != 2 or logits.shape[1] < 2:
        raise ModelError(f"the model must return logits (N, K >= 2), got {tuple(logits.shape)}")
    if int(y.max()) >= logits.shape[1] or int(y.min()) < 0:
        raise ModelError(
            f"labels go from {int(y.min())} to {int(y.max())}, but the model has "
            f"{logits.shape[1]} outputs"
        )
    if not logits.isfinite().all():
        count = int((~logits.isfinite().all(dim=1)).sum())
        raise ModelError(f"the model returns NaN or infinity for {count} of {len(x)} images")
    sums = logits.sum(dim=1)
    if logits.min() > -1e-5 and logits.max() < 1 + 1e-5 and bool(((sums - 1).abs() < 1e-5).all()):
        raise ModelError(
            "the model returns probabilities (each row sums to 1); return the logits, "
            "before the softmax: gradients through saturated probabilities vanish"
        )
    return logits
