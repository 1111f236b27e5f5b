"""The inner maximization of adversarial training: a quick search, for training, not for verdicts.

The attacks that judge a network are in `attacks`; this one shares their geometry and leaves out
what judging needs (keyed randomness, best point on the path, counting).
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from attacks.threat import ThreatModel

from .losses import Loss
from .modes import attacked

STEP = 2.5
"""Steps together may cross the ball this many times over (Madry et al., 2018)."""


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
        model: from images in [0, 1] to logits; in eval mode meanwhile.
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
    with attacked(model):
        for _ in range(steps):
            x_adv.requires_grad_()
            (gradient,) = torch.autograd.grad(loss(model(x_adv), y), x_adv)
            x_adv = threat.project(x_adv.detach() + step * threat.steepest(gradient), x)
    return x_adv


def _start(x: Tensor, threat: ThreatModel, generator: Generator) -> Tensor:
    """A step of length ε in a random direction, shortened by a random factor.

    For L∞ every pixel has its own factor: uniform in the ball.
    """
    if threat.norm == "linf":
        return threat.eps * (2 * torch.rand(x.shape, generator=generator, device=x.device) - 1)
    direction = torch.randn(x.shape, generator=generator, device=x.device)
    length = torch.rand(len(x), generator=generator, device=x.device).view(-1, 1, 1, 1)
    return threat.eps * length * threat.steepest(direction)
