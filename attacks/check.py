"""What is refused before any attack: images and models on which a verdict would mean nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import ModelError
from .generators import kept
from .oracle import Oracle, padded

# A model whose logits move by more than this share of the largest when it is asked again draws
# them at random; a deterministic one rounds alike.
SAME = 1e-4
# There are tables as long as the largest key: passes spent, targets. A few hundred MB at most.
KEYS = 2**24


def check_model(
    oracle: Oracle, x: Tensor, y: Tensor, keys: Tensor, *, called: str = "labels"
) -> Tensor:
    """Refuse a model that cannot be judged; return the clean logits (N, K).

    Args:
        oracle: the model.
        x, y, keys: images (N, C, H, W), classes and indices (N,).
        called: what the caller calls `y`.

    Raises:
        ModelError: images outside [0, 1], labels that are not one int64 class for each image or
            have no logit, keys that are not distinct indices, a model that writes into its images,
            logits of a wrong shape, NaN or infinite logits, probabilities in place
            of logits, or answers drawn at random where no number of draws was given.
    """
    if x.dim() != 4 or x.dtype != torch.float32:
        raise ModelError(f"images must be float32 (N, C, H, W), got {x.dtype} {tuple(x.shape)}")
    if len(x) == 0:
        raise ModelError("no images to attack")
    if y.dtype != torch.int64 or y.shape != (len(x),):
        raise ModelError(
            f"{called} must be one int64 class for each image, ({len(x)},), "
            f"got {y.dtype} {tuple(y.shape)}"
        )
    if not (x.min() >= 0 and x.max() <= 1):
        raise ModelError(
            f"images must lie in [0, 1], got [{float(x.min()):g}, {float(x.max()):g}]; "
            "put the normalization inside the model"
        )
    _check_keys(keys, len(x))
    try:
        varies = not oracle.draws and _varies(oracle, x)
        logits = oracle.plain(x) if oracle.draws else oracle.judged(x, keys)
    except RuntimeError as error:
        raise ModelError(
            f"the model does not take images of shape {tuple(x.shape[1:])}: {error}"
        ) from error
    if int(y.max()) >= logits.shape[1] or int(y.min()) < 0:
        raise ModelError(
            f"{called} go from {int(y.min())} to {int(y.max())}, but the model has "
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
    if oracle.draws:
        return oracle.judged(x, keys)
    if varies:
        raise ModelError(
            "the model answers differently when it is asked again: one lucky draw would count as "
            "a break; say over how many draws a verdict is taken (draws=20), or make it "
            "deterministic"
        )
    return logits


def _check_keys(keys: Tensor, count: int) -> None:
    if keys.dtype != torch.int64 or keys.shape != (count,):
        raise ModelError(
            f"keys must be one int64 index for each image, ({count},), "
            f"got {keys.dtype} {tuple(keys.shape)}"
        )
    if int(keys.min()) < 0 or int(keys.max()) >= KEYS:
        raise ModelError(
            f"keys must lie in 0 to {KEYS - 1}, got {int(keys.min())} to {int(keys.max())}"
        )
    if len(keys.unique()) < count:
        raise ModelError("keys must differ: what an image is to be, and its draws, go by its key")


def _varies(oracle: Oracle, x: Tensor) -> bool:
    """Whether the model's answers vary; refused if it writes into its images: it would change the
    caller's, and what attacks try."""
    given = padded([x[: oracle.slots]], oracle.slots)[0].clone()  # not the caller's
    before = given.clone()
    varies = answers_vary(oracle, given)
    if not torch.equal(given, before):
        raise ModelError(
            "the model changes the images it is given (is its normalization in place?); let it "
            "work on a copy: x = x.clone()"
        )
    return varies


def answers_vary(oracle: Oracle, x: Tensor) -> bool:
    """Whether the model's logits for images `x` follow from anything but the images."""
    answers = []
    for seed in (1, 2):
        with kept(x.device, seed):
            answers.append(oracle.plain(x))
    first, second = answers
    return bool(((first - second).abs().amax(1) > SAME * first.abs().amax(1)).any())
