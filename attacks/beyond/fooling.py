"""Fooling images: nothing to see, and yet a class at high confidence (Nguyen, Yosinski and Clune
2015, arXiv:1412.1897, by gradient ascent)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .. import keyed
from ..check import check_model
from ..losses import cross_entropy
from ..oracle import Oracle, usable
from ..search import moving
from ..threat import unit


class FoolingImages(NamedTuple):
    """What `fool` found for N wanted classes.

    Attributes:
        x: images (N, C, H, W) in [0, 1].
        prediction: (N,) the class that the original model reads, in IEEE float32.
        confidence: (N,) its softmax probability of the wanted class.
        reached: (N,) bool: it reads the wanted class, with at least the confidence asked for.
    """

    x: Tensor
    prediction: Tensor
    confidence: Tensor
    reached: Tensor


@torch.inference_mode(False)
def fool(
    model: nn.Module | Oracle,
    target: Tensor,
    *,
    start: str | Tensor = "noise",
    shape: Sequence[int] | None = None,
    confidence: float = 0.99,
    keys: Tensor | None = None,
    seed: int = 0,
    steps: int = 200,
    step_size: float = 0.05,
) -> FoolingImages:
    """Climb the wanted class's probability from an image that shows nothing, or anything.

    Steps go along the gradient, have a fixed Euclidean length and end in the box [0, 1]; there is
    no ball. An image is done as soon as it is read with the confidence asked for, so that it stays
    as close to its start as the path allows.

    Args:
        model: images (N, C, H, W) in [0, 1] to logits (N, K).
        target: (N,) the wanted classes.
        start: "noise" (each pixel uniform in [0, 1]), "blank" (black), or images (N, C, H, W).
        shape: (C, H, W), where `start` is no image.
        confidence: probability that is enough, in (0, 1).
        keys: (N,) from which the noise follows; 0..N-1 if not given.
        seed: changes the noise.
        steps: gradient steps at most.
        step_size: length of a step, as the root of the mean square over all pixels.

    Raises:
        ValueError: for a start that is unknown, or without a shape; a confidence outside (0, 1).
        ModelError: if the model cannot be judged; for images that are not float (N, C, H, W) in
            [0, 1], one for each target; for targets that are no classes of the model.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence!r}")
    oracle, target = Oracle.of(model), usable(target, "targets")
    keys = torch.arange(len(target), device=target.device) if keys is None else keys
    state = keyed.stream(keys, seed, "fool")
    x = _begin(start, shape, state, target)
    check_model(oracle, x, target, keys, called="targets")
    length = step_size * x[0].numel() ** 0.5
    rows = torch.arange(len(x), device=x.device)
    for step in range(steps):
        seen = oracle.ascent(x[rows], keys[rows], _wanted, target[rows])
        unsure = _probability(seen.logits, target[rows]) < confidence
        rows, grad = rows[unsure], seen.grad[unsure]
        if len(rows) == 0:
            break
        climb = unit(moving(grad, state[rows], step))
        x[rows] = (x[rows] + length * climb).clamp(0, 1)
    logits = oracle.judged(x, keys)
    found = _probability(logits, target)
    prediction = logits.argmax(dim=1)
    return FoolingImages(x, prediction, found, (found >= confidence) & (prediction == target))


def _wanted(logits: Tensor, target: Tensor) -> Tensor:
    return -cross_entropy(logits, target)


def _probability(logits: Tensor, target: Tensor) -> Tensor:
    return logits.softmax(dim=1).gather(1, target[:, None])[:, 0]


def _begin(
    start: str | Tensor, shape: Sequence[int] | None, state: Tensor, target: Tensor
) -> Tensor:
    if isinstance(start, Tensor):
        return usable(start, "start").clone()
    if shape is None:
        raise ValueError(f"start {start!r} needs the images' shape, (C, H, W)")
    if start == "noise":
        return keyed.uniform(state, tuple(shape))
    if start == "blank":
        return torch.zeros(len(target), *shape, device=target.device)
    raise ValueError(f"start must be 'noise', 'blank' or images, got {start!r}")
