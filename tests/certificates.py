"""A small network that is provably right around many digits, and the proof: interval bounds.

Interval bound propagation (Gowal et al. 2018, arXiv:1810.12715): a box of inputs is pushed through
the layers as a centre and a radius. It shares nothing with the attacks that it is held against.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from networks import digits

# Of a verdict: what a perturbed image may stand outside its ball, and what float32 may add to a
# logit of this network, whose logits are below 100.
OUTSIDE = 2e-6
ROUNDING = 1e-3
DUAL = {"linf": 1, "l2": 2, "l1": torch.inf}


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 64), nn.ReLU(), nn.Linear(64, 10)
    )


def bounds(model: nn.Sequential, x: Tensor, eps: float, norm: str) -> tuple[Tensor, Tensor]:
    """Centre and radius of the last hidden layer, (N, 64) each, over ball and box around `x`.

    The first layer's bound is the smaller of two: that of the ball without the box, by the dual
    norm of its weights; and that of the box around the L-infinity ball, which holds every other.
    """
    first, *middle = [layer for layer in model if isinstance(layer, nn.Linear)][:-1]
    flat = x.flatten(1)
    low, high = (flat - eps).clamp_min(0), (flat + eps).clamp_max(1)
    centre, radius = (low + high) / 2, (high - low) / 2
    boxed = first(centre), radius @ first.weight.abs().T
    ball = first(flat), eps * torch.linalg.vector_norm(first.weight, DUAL[norm], dim=1)
    low = torch.maximum(boxed[0] - boxed[1], ball[0] - ball[1]).relu()
    high = torch.minimum(boxed[0] + boxed[1], ball[0] + ball[1]).relu()
    for layer in middle:
        centre, radius = layer((low + high) / 2), (high - low) / 2 @ layer.weight.abs().T
        low, high = (centre - radius).relu(), (centre + radius).relu()
    return (low + high) / 2, (high - low) / 2


def worst_gaps(model: nn.Sequential, x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """Upper bounds (N, K) of each class's logit over the label's, 0 for the label itself."""
    centre, radius = bounds(model, x, eps, norm)
    last = model[-1]
    weight = last.weight[None] - last.weight[y][:, None]
    gaps = torch.einsum("nkh,nh->nk", weight, centre) + last.bias - last.bias[y][:, None]
    return gaps + torch.einsum("nkh,nh->nk", weight.abs(), radius)


@functools.cache
@torch.enable_grad()
def trained() -> nn.Sequential:
    """Trained on the worst gaps of growing boxes, once per test session; in eval mode."""
    x, y, _, _ = digits()
    state = torch.get_rng_state()
    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    epochs = 40
    for epoch in range(epochs):
        eps = 0.1 * min(1.0, max(0.0, (epoch - 4) / 20))
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            clean = nn.functional.cross_entropy(model(x[batch]), y[batch])
            worst = worst_gaps(model, x[batch], y[batch], eps, "linf")
            (clean + nn.functional.cross_entropy(worst, y[batch])).backward()
            optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    torch.set_rng_state(state)
    return model.eval()


@torch.no_grad()
def certified(x: Tensor, y: Tensor, eps: float, norm: str) -> Tensor:
    """(N,) bool: no image in ball and box is misread, whatever attack looked for it.

    In float64, rounded outward by far more than float64, float32 and the verdict's tolerance
    together can add.
    """
    exact = network().double()
    exact.load_state_dict(trained().state_dict())
    gaps = worst_gaps(exact, x.double(), y, eps + OUTSIDE, norm)
    return (gaps.scatter(1, y[:, None], -torch.inf) < -ROUNDING).all(dim=1)
