"""What a network's answers alone tell, without any attack. Judged by `flags`.

Costs a dozen forward passes on each image.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from .. import keyed
from ..losses import margin
from ..oracle import Oracle
from .flags import Counts
from .whole import AROUND, DRAWS

TINY = 2.0**-13
COMPANY = 1e-3
PILED = 0.005


def of_answers(oracle: Oracle, x: Tensor, y: Tensor, keys: Tensor, seed: int) -> Counts:
    """Answers that cannot be repeated, stand still, jump, or come from an optimization.

    Returns:
        random, squashed, constant, company: counts of images by the names of `flags.SIGNS`; and
        optimizes, unstable_permille, which `whole.of_whole` reads. None for what a random answer
        leaves open.
    """
    logits = oracle.logits(x, keys)
    random = _differ(logits, _asked_with_other_luck(oracle, x, keys, seed), 0)
    counts: Counts = {
        "random": int(random.sum()),
        "squashed": int(_squashed(logits).sum()),
        "constant": None,
        "company": None,
        "optimizes": gradients_asked(lambda: oracle.plain(x[:1])),
        "unstable_permille": None,
    }
    if random.any():
        return counts
    state = keyed.stream(keys, seed, "signs")
    if not oracle.levels:  # rounding to levels undoes tiny changes
        step = TINY * keyed.signs(keyed.stream(state, "tiny"), x.shape[1:])
        moved = torch.where((x + step >= 0) & (x + step <= 1), x + step, x - step)
        # The model's own answer: a faster copy that is searched may round them away.
        before, after = oracle.plain(x), oracle.plain(moved)
        if oracle.draws:
            before, after = logits, oracle.logits(moved, keys)
        counts["constant"] = int((before == after).all(dim=1).sum())
    if not oracle.draws:  # means over draws differ by their luck
        counts["unstable_permille"] = round(1000 * change_around(oracle.plain, x, y, state))
    # Every other image leaves the batch.
    apart = torch.empty_like(logits)
    for part in (slice(0, None, 2), slice(1, None, 2)):
        if len(x[part]):
            apart[part] = oracle.logits(x[part], keys[part])
    counts["company"] = int(_differ(logits, apart, COMPANY).sum())
    return counts


def gradients_asked(answer: Callable[[], object]) -> int | None:
    """How often autograd is asked for gradients (`grad`, `backward`) while `answer` runs.

    Seen in this thread and from Python: what a compiled model does inside stays unseen. None where
    a profiler of the user's is at work, such as cProfile, which this would end.
    """
    if sys.getprofile() is not None:
        return None
    asks = {torch.autograd.grad.__code__, torch.autograd.backward.__code__}
    found = 0

    def watch(frame: FrameType, event: str, _: Any) -> None:
        nonlocal found
        found += event == "call" and frame.f_code in asks

    sys.setprofile(watch)
    try:
        answer()
    finally:
        sys.setprofile(None)
    return found


def change_around(answer: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, state: Tensor) -> float:
    """By what share noise of at most `AROUND` / 255 changes the loss, the median over images.

    Of an image it is the mean of min(|L(x + noise) - L(x)| / |L(x)|, 1) over `DRAWS` draws
    (indicator I2 of Pintor et al. 2022, arXiv:2106.09947). L is the margin: where a network is
    sure, the cross-entropy is near zero, and any change of it large. Images near the boundary have
    a small margin; they do not decide over a median.

    Args:
        answer: images (N, C, H, W) to logits (N, K).
        x, y: images, read rightly, and labels (N,).
        state: (N,) random state of each image.
    """
    loss = margin(answer(x), y)
    total = torch.zeros_like(loss)
    for draw in range(DRAWS):
        noise = 2 * keyed.uniform(keyed.stream(state, "around", draw), x.shape[1:]) - 1
        moved = margin(answer((x + AROUND / 255 * noise).clamp(0, 1)), y)
        total += ((moved - loss).abs() / loss.abs()).nan_to_num(0).clamp(max=1)
    return float(total.median()) / DRAWS


def _squashed(logits: Tensor) -> Tensor:
    """Whose outputs all lie in [0, 1], or whose largest is all but the largest of all images, (N,)
    bool: the outputs of sigmoids do, times anything, and of tanh."""
    top = logits.amax(dim=1)
    piled = top.max() - top <= PILED * (top.max() - logits.min())
    return ((logits >= 0) & (logits <= 1)).all(dim=1) | piled


def _asked_with_other_luck(oracle: Oracle, x: Tensor, keys: Tensor, seed: int) -> Tensor:
    """Logits of a second pass, with torch's global generator in another state."""
    devices = [x.device] if x.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed + 1)
        return oracle.logits(x, keys)


def _differ(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Whose logits (N, K) differ by more than `share` of the largest |logit|, (N,) bool."""
    return (first - second).abs().amax(dim=1) > share * first.abs().amax(dim=1)
