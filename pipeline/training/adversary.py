"""The inner maximization of adversarial training: a quick PGD, for training and not for verdicts.

The attacks that judge a network are in `attacks`; this one shares their geometry and leaves out
what judging needs (keyed randomness, best point on the path, counting).
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from attacks.threat import ThreatModel

from .images import Images

STEP = 2.5
"""Steps together may cross the ball this many times over (Madry et al., 2018)."""
ROBUST_SAMPLES = 500
"""Validation images that are attacked after each epoch."""


def perturb(
    model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel, steps: int, generator: Generator
) -> Tensor:
    """PGD on the cross-entropy from one random start (Madry et al., 2018, arXiv 1706.06083).

    Args:
        model: from images in [0, 1] to logits. It is put into eval mode meanwhile, so that batch
            norm does not learn the statistics of half-finished attacks and dropout does not blur
            the gradient.
        x, y: images (N, C, H, W) and labels (N,), or the share of each class (N, K).
        threat: norm and ε; the result lies within.
        steps: gradient steps of size 2.5 ε / steps.
        generator: on the device of `x`; draws the starts.

    Returns:
        Images of the shape of `x`, without a gradient.
    """
    was_training = model.training
    model.eval()
    x_adv = threat.project(x + _start(x, threat, generator), x)
    size = STEP * threat.eps / steps
    for _ in range(steps):
        x_adv.requires_grad_()
        loss = cross_entropy(model(x_adv), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x_adv)
        x_adv = threat.project(x_adv.detach() + size * threat.steepest(gradient), x)
    model.train(was_training)
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


def robust_accuracy(model: nn.Module, images: Images, threat: ThreatModel, steps: int) -> float:
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
        x_adv = perturb(model, x, y, threat, steps, generator)
        with torch.inference_mode():
            right += int((model(x_adv).argmax(1) == y).sum())
    return right / count
