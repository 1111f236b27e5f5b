"""Passes of fewer than all slots, or of twice as many: where the bits are the same, and there
alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from attacks import Oracle
from attacks.losses import margin
from attacks.views.fast import Fast
from networks import trained

SLOTS = 64


class Recording(nn.Module):
    """The model, noting how many images each pass holds; `answer` makes its logits of the model's
    and the images."""

    def __init__(self, model: nn.Module, answer: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.answer = model, answer
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        return self.answer(self.model(x), x)


def plainly(logits: Tensor, x: Tensor) -> Tensor:
    return logits


def by_size(logits: Tensor, x: Tensor) -> Tensor:
    return logits * (1 + 1e-6 * len(x))


BUFFER = torch.empty(2 * SLOTS, 10)


def into_one_buffer(logits: Tensor, x: Tensor) -> Tensor:
    """By size, in the same memory each time; but for gradients, which would not survive it."""
    found = by_size(logits, x)
    return found if found.requires_grad else BUFFER[: len(x)].copy_(found)


def of_one_size(logits: Tensor, x: Tensor) -> Tensor:
    if len(x) != SLOTS:
        raise RuntimeError("made for one size of batch")
    return logits


def in_the_gradient(logits: Tensor, x: Tensor) -> Tensor:
    """Logits alike for every size, with gradients that are not."""
    if logits.requires_grad:
        logits.register_hook(lambda grad: grad * (1 + 1e-6 * len(x)))
    return logits


def asked(model: nn.Module) -> tuple[Recording, Oracle, Tensor, Tensor, Tensor]:
    assert isinstance(model, Recording)
    x = torch.rand(3 * SLOTS + 20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return model, Oracle(model, slots=SLOTS), x, torch.zeros(len(x)).long(), torch.arange(len(x))


@pytest.mark.parametrize("count", [1, 16, 17, 40, SLOTS, SLOTS + 20, 2 * SLOTS, 3 * SLOTS + 20])
@pytest.mark.parametrize(
    "answer", [plainly, by_size, into_one_buffer, of_one_size, in_the_gradient]
)
def test_the_bits_are_those_of_a_whole_pass(
    answer: Callable[[Tensor, Tensor], Tensor], count: int
) -> None:
    model, oracle, x, y, keys = asked(Recording(trained(), answer))
    x, y, keys = x[:count], y[:count], keys[:count]
    passes = [
        Oracle(model, slots=SLOTS).ascent(*part, margin, labels)
        for *part, labels in zip(x.split(SLOTS), keys.split(SLOTS), y.split(SLOTS), strict=True)
    ]
    whole = [torch.cat(column) for column in zip(*passes, strict=True)]
    for _ in range(4):
        seen = oracle.ascent(x, keys, margin, y)
        for found, expected in zip(
            (*seen, oracle.logits(x, keys)), (*whole, whole[0]), strict=True
        ):
            assert torch.equal(found, expected)


def test_what_does_not_fill_the_slots_is_asked_in_smaller_passes() -> None:
    model, oracle, x, y, keys = asked(Recording(trained(), plainly))
    for _ in range(4):
        oracle.logits(x[:84], keys[:84])
    # Whole ones at first; the second time a smaller one beside it, which is trusted from then on.
    assert model.sizes == [64, 64, 64, 32, 64, 64, 32, 64, 32]
    model.sizes.clear()
    for _ in range(3):  # gradients may take other kernels: they are tried for themselves
        oracle.ascent(x[:5], keys[:5], margin, y[:5])
    assert model.sizes == [64, 16, 64, 16]
    assert oracle.passes(keys[:1]) == (torch.tensor([7]), torch.tensor([3]))


def test_two_passes_become_one() -> None:
    model, oracle, x, _, keys = asked(Recording(trained(), plainly))
    for _ in range(3):
        oracle.logits(x[:192], keys[:192])
    assert model.sizes == [64, 128, 64, 64, 128, 64, 128, 64]
    assert oracle.passes(keys[:1])[0] == 3


def test_passes_of_large_images_stay_at_their_slots() -> None:
    """What they hold is what `slots` bounds the memory by."""
    model = Recording(nn.Sequential(nn.Flatten(), nn.Linear(64 * 64, 3)), plainly)
    oracle = Oracle(model, slots=SLOTS)
    for _ in range(3):
        oracle.logits(torch.zeros(2 * SLOTS, 1, 64, 64), torch.arange(2 * SLOTS))
    assert model.sizes == [SLOTS] * 6


def test_what_follows_a_trial_is_drawn_as_without_it() -> None:
    _, oracle, x, _, keys = asked(
        Recording(trained(), lambda logits, x: logits + torch.rand(len(x), 1))
    )
    first, second = (oracle.logits(x[:192], keys[:192]) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("answer", [by_size, of_one_size])
def test_a_size_that_answers_otherwise_is_tried_once(
    answer: Callable[[Tensor, Tensor], Tensor],
) -> None:
    model, oracle, x, _, keys = asked(Recording(trained(), answer))
    for _ in range(4):
        oracle.logits(x[:20], keys[:20])
    assert model.sizes == [64, 32, 64, 64, 64]


def test_a_gradient_that_is_not_there_proves_nothing() -> None:
    model, oracle, x, y, keys = asked(Recording(trained(), lambda logits, x: logits.detach()))
    for _ in range(4):
        oracle.ascent(x[:20], keys[:20], margin, y[:20])
    assert model.sizes == [64, 32, 64, 64, 64]


def in_place(model: nn.Module) -> nn.Module:
    model.compile(backend="eager")
    return model


@pytest.mark.parametrize(
    "compiled",
    [
        lambda model: torch.compile(model, backend="eager"),
        in_place,
        lambda model: Fast(model, "fp32", one_size=True),  # compiled in its parts, it says so
    ],
)
def test_a_compiled_network_gets_whole_passes_alone(
    compiled: Callable[[nn.Module], nn.Module],
) -> None:
    model, _, x, _, keys = asked(Recording(trained(), plainly))
    oracle = Oracle(model, slots=SLOTS, search=compiled(model))
    for _ in range(4):
        oracle.logits(x[:20], keys[:20])
    assert set(model.sizes) == {SLOTS}
