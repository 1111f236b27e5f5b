"""Judge a model in five lines: `evaluate(model, x, y, ThreatModel("linf", 8 / 255))`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .diagnosis.signs import signs as look_for_signs
from .ensembles import ENSEMBLES
from .errors import ModelError, ThreatError
from .geometry import Threat
from .oracle import SLOTS, Oracle, usable
from .registry import (
    ATTACKS,
    Attacker,
    UnknownAttackError,
    gradient_free,
    largest_eps,
    needs_draws,
    resolve,
)
from .result import Result
from .suite import Progress, run_suite
from .views.levels import Levels, check_grid
from .views.randomized import Randomized
from .views.targeted import Targeted


@torch.inference_mode(False)
def evaluate(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    ensemble: str | list[dict[str, Any]] = "standard",
    *,
    keys: Tensor | None = None,
    seed: int = 0,
    slots: int = SLOTS,
    signs: int = 200,
    targets: Tensor | None = None,
    draws: int | None = None,
    levels: int | None = None,
    gradients: bool = True,
    search: nn.Module | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Result:
    """Attack every image under one threat model and judge what was found.

    Args:
        model: maps images (N, C, H, W) in [0, 1] to logits (N, K); normalization belongs inside.
        x, y: float32 images and labels (N,), on the model's device.
        threat: norm and budget, or a `Transformation` and its size.
        ensemble: the name of an ensemble, of one attack, or a list such as
            `[{"attack": "pgd", "steps": 40}]`.
        keys: (N,) the examples' indices in their data set, 0..N-1 if not given. All randomness
            follows from them, so that a subset or another order gives the same verdicts.
        seed: of every random draw.
        slots: images per pass.
        signs: on how many of the images signs of hidden gradients are looked for (a keyed subset);
            0 looks for none. None are looked for with targets.
        targets: (N,) the class each image is to be driven into; broken is then what is predicted
            as its target, an image that already was at distance 0, and robust accuracy is the
            share not driven there.
        draws: for a model that answers at random, over how many draws gradients are averaged and
            each verdict is the majority (see `views.randomized`).
        levels: perturbed images are to have so many levels per pixel, 256 for 8-bit files; x must.
        gradients: False for a model that has none to give: of an ensemble's name Square remains
            (of a transformation, the grid).
        search: what attacks ask in place of the model: made faster, or differentiable by `bpda`.
        on_progress: told after each attack what it tried and broke (see `suite.Progress`).

    Raises:
        ModelError: if the model cannot be judged, before any attack; if it answers at random and
            no draws are given.
        ThreatError: if the threat model has a budget for each example or a larger one than means
            anything, or targets, draws or levels make no sense.
        UnknownAttackError: if the ensemble names what does not exist, cannot do the norm, needs
            gradients that the model lacks, or draws that are not given.
    """
    x, y = usable(x, "images"), usable(y, "labels")
    if len(x) == 0:
        raise ModelError("no images to attack")
    if isinstance(threat.eps, Tensor):
        raise ThreatError("evaluate takes one eps for all examples; a grid is run_suite's")
    largest = largest_eps(threat.norm, x[:1].numel())
    if threat.eps > largest * (1 + 1e-9):
        raise ThreatError(
            f"eps {threat.eps:g} is more than means anything in {threat.norm} for images of "
            f"{tuple(x.shape[1:])} in [0, 1]: at most {largest:g}; eight grey levels are 8/255"
        )
    attackers = _attackers(ensemble, threat.norm, gradients, draws)
    keys = (torch.arange(len(x)) if keys is None else usable(keys, "keys")).to(x.device)
    oracle = Oracle(model, slots=slots, search=search)
    if draws is not None:
        oracle = Randomized(model, draws, seed=seed, slots=slots, search=search)
    if levels is not None:
        check_grid(x, threat.norm, [threat.eps], levels)
        oracle = Levels(oracle, levels)
    if targets is not None:
        _check_targets(usable(targets, "targets"), y)
        oracle = Targeted(oracle, keys, targets.to(x.device))
    found = run_suite(
        oracle,
        x,
        y,
        threat.norm,
        [threat.eps],
        attackers,
        keys=keys,
        seed=seed,
        on_progress=on_progress,
    )
    seen = []
    if signs and targets is None:
        seen = look_for_signs(
            oracle,
            x,
            y,
            keys,
            threat,
            attackers,
            found,
            seed=seed,
            count=signs,
            gradients=gradients,
        )
    return Result(threat, attackers, found, seen, targets, draws, levels, not gradients)


def _attackers(
    ensemble: str | list[dict[str, Any]], norm: str, gradients: bool, draws: int | None
) -> list[Attacker]:
    if needs_draws(ensemble) and draws is None:
        raise UnknownAttackError(
            f"the ensemble {ensemble!r} is for models that answer at random: say over how many "
            "draws, as in draws=20"
        )
    if isinstance(ensemble, str) and ensemble in ENSEMBLES and not gradients:
        return gradient_free(norm)
    if isinstance(ensemble, str) and ensemble in ATTACKS:
        ensemble = [{"attack": ensemble}]
    attackers = resolve(ensemble, norm)
    # What a user's own attack asks for is not known.
    needing = [a.label for a in attackers if a.entry.gradients and ":" not in a.attack]
    if needing and not gradients:
        raise UnknownAttackError(
            f"{', '.join(needing)} needs gradients, which this model is said not to have "
            "(gradients=False); square does without"
        )
    return attackers


def _check_targets(targets: Tensor, y: Tensor) -> None:
    if targets.shape != y.shape or targets.dtype != torch.int64:
        raise ThreatError(
            f"targets must be one int64 class for each image, {tuple(y.shape)}, "
            f"got {targets.dtype} {tuple(targets.shape)}"
        )
    own = (targets.to(y.device) == y).nonzero()[:, 0]
    if len(own):
        raise ThreatError(
            f"image {int(own[0])} is to be driven into its own label, {int(y[own[0]])}"
        )
