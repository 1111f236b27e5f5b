"""What adversarial training minimizes, by method, and how it is watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from attacks.threat import ThreatModel

from .images import Images
from .losses import Loss, attacked_loss_of, loss_of
from .modes import attacked
from .perturb import perturb

if TYPE_CHECKING:
    from ..base.config import Recipe

SINGLE_STEP = 1.25
"""The step of FGSM, as a multiple of ε (Wong et al., 2020)."""
PROBE_STEPS = 10
"""Of the PGD that probes a network which is trained against a single step."""
ROBUST_SAMPLES = 500
"""Validation images that are attacked after each epoch."""


@dataclass(frozen=True)
class Adversary:
    """What a network is trained against, by the names that params.yaml knows.

    pgd: the loss on the result of `steps` gradient steps (Madry et al., 2018, arXiv 1706.06083).
    fgsm: of one step of 1.25 ε from a random start (Wong et al., 2020, arXiv 2001.03994).
    trades: the loss on the images themselves and `beta` times the divergence of the answers on
    what `steps` steps, which maximize that divergence, found (Zhang et al., 2019, arXiv
    1901.08573; the start is uniform in the ball here).
    """

    method: str
    threat: ThreatModel
    steps: int
    beta: float
    clean: Loss
    attacked: Loss

    @classmethod
    def of(cls, recipe: Recipe) -> Self | None:
        asked = recipe.adversarial
        if asked is None:
            return None
        threat = ThreatModel(asked.norm, asked.eps)
        losses = loss_of(recipe), attacked_loss_of(recipe)
        return cls(asked.method, threat, asked.steps or 1, asked.beta or 0.0, *losses)

    def loss(
        self, model: nn.Module, x: Tensor, target: Tensor, share: float, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """What training minimizes against a share of ε, and the logits of the attacked images."""
        threat = ThreatModel(self.threat.norm, self.threat.eps * share)
        if self.method != "trades":
            size = SINGLE_STEP * threat.eps if self.method == "fgsm" else None
            x_adv = perturb(
                model, x, target, threat, self.steps, generator, loss=self.attacked, size=size
            )
            logits = model(x_adv).float()
            return self.clean(logits, target), logits
        with attacked(model):
            with torch.no_grad():
                answers = model(x).float().softmax(1)
            x_adv = perturb(model, x, answers, threat, self.steps, generator, loss=_divergence)
        clean, logits = model(x).float(), model(x_adv).float()
        away = _divergence(logits, clean.softmax(1)) / len(x)
        return self.clean(clean, target) + self.beta * away, logits

    def watch(self, model: nn.Module, images: Images) -> dict[str, float]:
        """Accuracy under the threat, to watch training and choose an epoch by.

        Whoever is trained against one step may learn to mislead it (catastrophic overfitting):
        the network is then probed with PGD, and what one step finds stands beside it.
        """
        if self.method != "fgsm":
            return {
                "validation_robust_acc": robust_accuracy(model, images, self.threat, self.steps)
            }
        size = SINGLE_STEP * self.threat.eps
        return {
            "validation_robust_acc": robust_accuracy(model, images, self.threat, PROBE_STEPS),
            "validation_one_step_acc": robust_accuracy(model, images, self.threat, 1, size=size),
        }


def _divergence(logits: Tensor, answers: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the probabilities `answers`, summed over the images."""
    return kl_div(log_softmax(logits.float(), 1), answers, reduction="sum")


def robust_accuracy(
    model: nn.Module,
    images: Images,
    threat: ThreatModel,
    steps: int,
    size: float | Tensor | None = None,
) -> float:
    """Share of at most 500 images, evenly spaced, that `perturb` does not break.

    To watch training and choose an epoch by; a verdict is taken by stage `attack`. The starts are
    the same at each call. Leaves the network in eval mode.
    """
    device = images.y.device
    count = min(len(images), ROBUST_SAMPLES)
    # Evenly spaced, as the images may be sorted by class.
    rows = torch.linspace(0, len(images) - 1, count).round().long().to(device)
    generator = torch.Generator(device).manual_seed(0)
    model.eval()
    hits = []
    for chunk in rows.split(250):
        x, y = images.batch(chunk)
        x_adv = perturb(model, x, y, threat, steps, generator, size=size)
        with torch.inference_mode():
            hits.append(model(x_adv).argmax(1) == y)
    return int(torch.cat(hits).sum()) / count
