"""The inner maximization of adversarial training: a quick search, for training, not for verdicts.

The attacks that judge a network are in `attacks`; this one shares their geometry and leaves out
what judging needs (keyed randomness, best point on the path, counting).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from attacks.threat import ThreatModel

from .images import Images
from .losses import Loss, attacked_loss_of
from .modes import training_mode

if TYPE_CHECKING:
    from ..base.config import Recipe

STEP = 2.5
"""Steps together may cross the ball this many times over (Madry et al., 2018)."""
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
    attacked: Loss

    @classmethod
    def of(cls, recipe: Recipe) -> Self | None:
        asked = recipe.adversarial
        if asked is None:
            return None
        threat = ThreatModel(asked.norm, asked.eps)
        attacked = attacked_loss_of(recipe)
        return cls(asked.method, threat, asked.steps or 1, asked.beta or 0.0, attacked)

    def loss(
        self,
        model: nn.Module,
        x: Tensor,
        target: Tensor,
        threat: ThreatModel,
        loss: Loss,
        generator: Generator,
    ) -> tuple[Tensor, Tensor]:
        """What training minimizes against `threat`, and the logits of the attacked images."""
        if self.method == "trades":
            return self._trades(model, x, target, threat, loss, generator)
        size = SINGLE_STEP * threat.eps if self.method == "fgsm" else None
        x_adv = perturb(
            model, x, target, threat, self.steps, generator, loss=self.attacked, size=size
        )
        logits = model(x_adv).float()
        return loss(logits, target), logits

    def _trades(
        self,
        model: nn.Module,
        x: Tensor,
        target: Tensor,
        threat: ThreatModel,
        loss: Loss,
        generator: Generator,
    ) -> tuple[Tensor, Tensor]:
        with _attacked(model), torch.no_grad():
            answers = model(x).float().softmax(1)
        x_adv = perturb(model, x, answers, threat, self.steps, generator, loss=_divergence)
        clean, logits = model(x).float(), model(x_adv).float()
        away = _divergence(logits, clean.softmax(1)) / len(x)
        return loss(clean, target) + self.beta * away, logits

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


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return cross_entropy(logits, target, reduction="sum")


def perturb(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    steps: int,
    generator: Generator,
    *,
    loss: Loss = _cross_entropy,
    size: float | Tensor | None = None,
) -> Tensor:
    """Steps of projected gradient ascent from one random start.

    Args:
        model: from images in [0, 1] to logits. It is put into eval mode meanwhile, so that batch
            norm does not learn the statistics of half-finished attacks and dropout does not blur
            the gradient.
        x, y: images (N, C, H, W), and what `loss` compares their logits with.
        threat: norm and ε; the result lies within.
        steps: gradient steps.
        generator: on the device of `x`; draws the starts.
        loss: from logits and `y` to a sum over the images.
        size: of a step; None: 2.5 ε / steps.

    Returns:
        Images of the shape of `x`, without a gradient.
    """
    step = STEP * threat.eps / steps if size is None else size
    x_adv = threat.project(x + _start(x, threat, generator), x)
    with _attacked(model):
        for _ in range(steps):
            x_adv.requires_grad_()
            (gradient,) = torch.autograd.grad(loss(model(x_adv), y), x_adv)
            x_adv = threat.project(x_adv.detach() + step * threat.steepest(gradient), x)
    return x_adv


@contextmanager
def _attacked(model: nn.Module) -> Iterator[None]:
    """In eval mode, its weights frozen: a compiled backward pass would compute theirs too."""
    was_training = model.training
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in learned:
        parameter.requires_grad_(False)
    yield
    for parameter in learned:
        parameter.requires_grad_()
    if was_training:
        training_mode(model)


def _start(x: Tensor, threat: ThreatModel, generator: Generator) -> Tensor:
    """A step of length ε in a random direction, shortened by a random factor.

    For L∞ every pixel has its own factor: uniform in the ball.
    """
    if threat.norm == "linf":
        return threat.eps * (2 * torch.rand(x.shape, generator=generator, device=x.device) - 1)
    direction = torch.randn(x.shape, generator=generator, device=x.device)
    length = torch.rand(len(x), generator=generator, device=x.device).view(-1, 1, 1, 1)
    return threat.eps * length * threat.steepest(direction)


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
    right = 0
    for chunk in rows.split(250):
        x, y = images.batch(chunk)
        x_adv = perturb(model, x, y, threat, steps, generator, size=size)
        with torch.inference_mode():
            right += int((model(x_adv).argmax(1) == y).sum())
    return right / count
