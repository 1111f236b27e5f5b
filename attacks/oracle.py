"""The only way an attack asks a model: fixed compute shape, passes counted, model left as found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from .allocator import keep_freed_memory
from .errors import ModelError
from .few_channels import faster_backward, of_few_channels
from .generators import kept
from .precision import ieee, warn_if_rows_differ
from .sizes import Sizes, resized

# A compromise for a CPU: the smallest networks want more, as each pass costs its Python, and larger
# ones fewer, which waste less where few images are left (docs/attacks.md). A GPU wants hundreds.
SLOTS = 128

Answer = TypeVar("Answer", bound=Sequence[Tensor])
Losses = Callable[..., Tensor]
Rank = Callable[[Tensor, Tensor], Tensor]


class Ascent(NamedTuple):
    """What one forward and one backward pass tell: (N, K), (N,) and the shape of x."""

    logits: Tensor
    loss: Tensor
    grad: Tensor


class Oracle:
    """Answers logits and gradients for any number of images, whatever their order and company.

    A kernel may round differently for another batch size, and an image on the boundary then
    changes sides. So every pass has the same shape: `slots` images, the last ones repeated where
    fewer are asked, or another one that was seen to give the same bits (see `Sizes`). Each row's
    answer is then the same bits in any batch.

    Each call runs in IEEE float32 with the model in eval mode, and gives back training flags and
    random state as they were. Parameters' gradients are never computed.

    Args:
        model: maps images (N, C, H, W) in [0, 1] to logits (N, K). Verdicts are this one's.
        slots: images per pass; part of what a result depends on, so it is recorded.
        search: what attacks ask in place of the model: the same function made faster, or made
            differentiable. The model itself if not given.
        repair: what is not finite in a gradient becomes 0; False leaves it, to be seen.

    Attributes:
        draws: over how many random draws an answer is taken; None for a deterministic model.
        levels: how many values a pixel can have; None where any in [0, 1] will do.
    """

    draws: int | None = None
    levels: int | None = None

    def __init__(
        self,
        model: nn.Module,
        *,
        slots: int = SLOTS,
        search: nn.Module | None = None,
        repair: bool = True,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise ModelError(f"the model must be an nn.Module, got {type(model).__name__}")
        if not isinstance(slots, int) or slots < 1:
            raise ModelError(f"slots must be a whole number >= 1, got {slots!r}")
        warn_if_rows_differ()
        keep_freed_memory()
        self.model = model
        self._repair = repair
        self.search = model if search is None else search
        self.slots = slots
        self._modules = list({*model.modules(), *self.search.modules()})
        # What is compiled is made for one size of pass: each other one takes minutes of making.
        compiled = any(
            hasattr(module, "_orig_mod")
            or getattr(module, "one_size", False)
            or module._compiled_call_impl is not None  # by `module.compile()`
            for module in self._modules
        )
        self._sizes = Sizes(whole=compiled)
        self._first = [] if compiled else of_few_channels(self.search.modules())
        self._spent = torch.zeros(0, 2, dtype=torch.int64)  # forward and backward passes

    @classmethod
    def of(cls, model: nn.Module | Oracle) -> Oracle:
        """The model itself if it is an oracle already, else a new one around it."""
        return model if isinstance(model, Oracle) else cls(model)

    def logits(self, x: Tensor, keys: Tensor, *, count: bool = True) -> Tensor:
        """Logits (N, K) of images (N, C, H, W), for an attack.

        Args:
            x: images (N, C, H, W).
            keys: (N,) whose passes these are.
            count: False where the caller charges for them.
        """
        if count:
            self.charge(keys, forwards=1)
        return self._answers(self.search, x)

    def judged(self, x: Tensor, keys: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W) that decide a verdict: the model's own."""
        self.charge(keys, forwards=1)
        return self._answers(self.model, x)

    def plain(self, x: Tensor) -> Tensor:
        """What the model itself returns for `x`, whatever a view makes of it; not counted."""
        return self._answers(self.model, x)

    def problem(self, logits: Tensor, y: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """The problem that attacks solve: an example is broken where the label does not lead.

        Args:
            logits: (N, K) of the model, such as `judged` gives.
            y, keys: true labels and indices (N,).

        Returns:
            Logits and labels; here, the same.
        """
        return logits, y

    def within(self, keys: Tensor, x: Tensor, norm: str, eps: Tensor) -> Oracle:
        """The oracle for an attack that must stay in a ball; here, this one.

        Args:
            keys, x: indices (N,) and originals (N, C, H, W).
            norm, eps: of the threat, with a budget for each example (N,).
        """
        return self

    def settle(self, answer: Tensor, x: Tensor, norm: str, eps: float | Tensor) -> Tensor:
        """What is judged and kept of an attack's answer; here, all of it.

        Args:
            answer: perturbed images like x; of a transformation, its parameters.
            x: originals (N, C, H, W).
            norm, eps: of the threat; one budget, or one for each example (N,).
        """
        return answer

    def ascent(self, x: Tensor, keys: Tensor, loss: Callable[..., Tensor], *rows: Tensor) -> Ascent:
        """Logits, loss and the loss's gradient with respect to the images.

        Args:
            x: images (N, C, H, W).
            keys: (N,) whose passes these are.
            loss: takes logits and `rows`, returns one value per example.
            rows: tensors whose first dimension is N, such as labels or targets.
        """
        self.charge(keys, forwards=1, backwards=1)
        return self._ascent(x, loss, *rows)

    def first_ranked(
        self, x: Tensor, keys: Tensor, losses: Losses, rank: Rank, *rows: Tensor
    ) -> Ascent:
        """Of several losses from one forward pass, the one that ranks lowest, and its gradient.

        One backward pass for each loss; of the gradients, only that of the lowest is kept.

        Args:
            x: images (N, C, H, W).
            keys: (N,) whose passes these are.
            losses: takes logits and `rows`, returns values (N, T).
            rank: takes the values (N,) and gradients of one loss, returns numbers (N,) to compare;
                the first loss wins a tie.
            rows: tensors whose first dimension is N.
        """
        backwards = 0

        def ask(part: Tensor, *others: Tensor) -> Ascent:
            nonlocal backwards
            images = part.detach().requires_grad_(True)
            logits = answer(self.search, images)
            values = losses(logits, *others)
            backwards = values.shape[1]
            found = (
                Ascent(
                    logits.detach(),
                    values[:, number].detach(),
                    _finite(_gradient(values[:, number], images, keep=number < backwards - 1)),
                )
                for number in range(backwards)
            )
            return lowest(found, rank)

        with self._climbing(x.device):
            answers = [
                [each[:count].clone() for each in found]
                for count, found in self._passes(ask, self.search, x, *rows)
            ]
        self.charge(keys, forwards=1, backwards=backwards)
        return Ascent(*map(_joined, zip(*answers, strict=True)))

    def charge(
        self, keys: Tensor, *, forwards: int | Tensor = 0, backwards: int | Tensor = 0
    ) -> None:
        """Count passes for the examples `keys` (N,): one number for all, or one each (N,)."""
        self._grow(keys)
        keys = keys.cpu()
        if isinstance(forwards, int) and isinstance(backwards, int):
            spent = torch.tensor((forwards, backwards)).expand(len(keys), 2)
        else:
            both = (torch.as_tensor(each).cpu() for each in (forwards, backwards))
            spent = torch.stack([each.expand(len(keys)) for each in both], dim=1)
        self._spent.index_add_(0, keys, spent)

    def passes(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Forward and backward passes spent so far on each of `keys`: two (N,) int64 tensors."""
        self._grow(keys)
        forwards, backwards = self._spent[keys.cpu()].unbind(dim=1)
        return forwards, backwards

    def _answers(self, model: nn.Module, x: Tensor) -> Tensor:
        def ask(part: Tensor) -> tuple[Tensor]:
            return (answer(model, part),)

        with self._as_found(x.device), torch.no_grad():
            answers = [found[:count].clone() for count, (found,) in self._passes(ask, model, x)]
        return _joined(answers)

    def _ascent(self, x: Tensor, loss: Callable[..., Tensor], *rows: Tensor) -> Ascent:
        def ask(part: Tensor, *others: Tensor) -> Ascent:
            images = part.detach().requires_grad_(True)
            logits = answer(self.search, images)
            values = loss(logits, *others)
            return Ascent(logits.detach(), values.detach(), _gradient(values, images))

        answers = []
        grads = torch.empty_like(x)  # filled pass by pass: what joins them at the end copies them
        start = 0
        with self._climbing(x.device):
            for count, found in self._passes(ask, self.search, x, *rows):
                answers.append([found.logits[:count].clone(), found.loss[:count].clone()])
                out = grads[start : start + count]
                start += count
                if self._repair:
                    _finite(found.grad[:count], out=out)
                else:
                    out.copy_(found.grad[:count])
        logits, values = map(_joined, zip(*answers, strict=True))
        return Ascent(logits, values, grads)

    def _passes(
        self, ask: Callable[..., Answer], model: nn.Module, x: Tensor, *rows: Tensor
    ) -> Iterator[tuple[int, Answer]]:
        """What `ask` finds pass by pass, and how many rows of it were asked for."""
        kind = (model, torch.is_grad_enabled(), x.shape[1:], self.slots)
        start = 0
        if len(x) == 0:  # what it would return for none: of a blank image, no row
            yield 0, ask(*(each.new_zeros(1, *each.shape[1:]) for each in (x, *rows)))
        while start < len(x):
            size, untried = self._sizes.of(kind, len(x) - start, self.slots, x[0].numel())
            parts = [each[start : start + size] for each in (x, *rows)]
            count = len(parts[0])
            given = padded(parts, size)
            if untried is None:
                found = ask(*given)
            else:
                tried = _tried(ask, given, untried, x.device)
                found = ask(*given)
                self._sizes.learn(kind, untried, found, tried)
            yield count, found
            start += count

    @contextmanager
    def _as_found(self, device: torch.device) -> Iterator[None]:
        training = [module for module in self._modules if module.training]
        try:
            for module in training:
                module.training = False
            with kept(device), ieee():
                yield
        finally:
            for module in training:
                module.training = True

    @contextmanager
    def _climbing(self, device: torch.device) -> Iterator[None]:
        with self._as_found(device), faster_backward(self._first), torch.enable_grad():
            yield

    def _grow(self, keys: Tensor) -> None:
        missing = int(keys.max()) + 1 - len(self._spent) if len(keys) else 0
        if missing > 0:
            self._spent = torch.cat([self._spent, self._spent.new_zeros(missing, 2)])


def usable(given: Tensor, called: str) -> Tensor:
    """What a caller gave, without its graph, and copied if it cannot take part in a gradient.

    Raises:
        ModelError: if it is no tensor; `called` is what the caller calls it.
    """
    if not isinstance(given, Tensor):
        raise ModelError(f"{called} must be a torch tensor, got {type(given).__name__}")
    return given.clone() if given.is_inference() else given.detach()


def answer(model: nn.Module, images: Tensor) -> Tensor:
    """What the model returns for images, in their own precision: it may compute in a lower one.

    Raises:
        ModelError: for anything but one row of logits for each image.
    """
    logits = model(images)
    if not isinstance(logits, Tensor):
        raise ModelError(
            f"the model must return a tensor of logits (N, K), returns {type(logits).__name__}"
        )
    if logits.dim() != 2 or len(logits) != len(images) or logits.shape[1] < 2:
        raise ModelError(
            f"the model must return logits (N, K >= 2), returns {tuple(logits.shape)} for "
            f"{len(images)} images"
        )
    return logits.to(images.dtype)


def lowest(found: Iterable[Ascent], rank: Rank) -> Ascent:
    """Of ascents from the same images, for each image the one that ranks lowest, the first of
    equals. Holds two at a time."""
    ascents = iter(found)
    best = next(ascents)
    least = rank(best.loss, best.grad)
    for other in ascents:
        score = rank(other.loss, other.grad)
        closer = score < least
        wide = closer.view(-1, *[1] * (other.grad.dim() - 1))
        least = torch.where(closer, score, least)
        best = Ascent(
            best.logits,
            torch.where(closer, other.loss, best.loss),
            torch.where(wide, other.grad, best.grad),
        )
    return best


def padded(parts: list[Tensor], size: int) -> list[Tensor]:
    """`parts` with their last row repeated, as far as they are shorter than `size`."""
    missing = size - len(parts[0])
    if missing == 0:
        return parts
    return [torch.cat([part, part[-1:].expand(missing, *part.shape[1:])]) for part in parts]


def _tried(
    ask: Callable[..., Answer], given: list[Tensor], size: int, device: torch.device
) -> list[Tensor] | None:
    """What a pass of `size` finds, None if it fails: a model may be made for one size of batch.

    Copied, as a model may answer in the same memory each time; and nothing is drawn by it.
    """
    try:
        with kept(device):
            return [each.clone() for each in ask(*(resized(each, size) for each in given))]
    except Exception:
        return None


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """The rows of all `parts`; of a lone one, itself."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _gradient(values: Tensor, images: Tensor, *, keep: bool = False) -> Tensor:
    """The gradient of the sum of `values`; zero where the model cuts the graph."""
    grad = None
    if values.requires_grad:
        ones = torch.ones_like(values)
        (grad,) = torch.autograd.grad(values, images, ones, retain_graph=keep, allow_unused=True)
    # If the model cuts the graph, there is no direction to offer.
    return torch.zeros_like(images) if grad is None else grad


def _finite(grad: Tensor, out: Tensor | None = None) -> Tensor:
    """`grad` with zeros where it overflows."""
    return torch.nan_to_num(grad, 0.0, 0.0, 0.0, out=out)
