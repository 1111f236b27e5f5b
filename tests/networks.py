"""Networks whose answer is known, and small trained ones: what the attacks are tested on."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor, nn

from attacks.losses import margin


class Linear(nn.Module):
    """Logits that are linear in the pixels: the nearest boundary is known in closed form."""

    def __init__(self, classes: int, shape: tuple[int, int, int], seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        count = shape[0] * shape[1] * shape[2]
        self.layer = nn.Linear(count, classes)
        with torch.no_grad():
            weight = torch.randn(classes, count, generator=generator) / count**0.5
            # Grey images have logits 0, so that images around grey fall into every class.
            self.layer.weight.copy_(weight - weight.mean(dim=1, keepdim=True))
            self.layer.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1))

    def optimum(self, x: Tensor, y: Tensor, norm: str) -> Tensor:
        """Distance to the nearest boundary when the box does not bind: min |f_y - f_k| / dual."""
        logits = x.flatten(1).double() @ self.layer.weight.double().T
        gap = logits.gather(1, y[:, None]) - logits
        weight = self.layer.weight.double()
        between = weight[y][:, None, :] - weight[None]
        order = {"linf": 1, "l2": 2, "l1": torch.inf}[norm]
        distance = gap / torch.linalg.vector_norm(between, order, dim=2)
        distance.scatter_(1, y[:, None], torch.inf)
        return distance.min(dim=1).values


def near_boundary(
    model: Linear, count: int, shape: tuple[int, int, int], norm: str, within: float = 0.1
) -> tuple[Tensor, Tensor, Tensor]:
    """Images around grey, their predicted labels and optima; so near that the box is far, and not
    so near that float32 rounds the optimum away."""
    generator = torch.Generator().manual_seed(1)
    x = 0.5 + 0.05 * torch.randn(20 * count, *shape, generator=generator)
    y = model(x).argmax(dim=1)
    optimum = model.optimum(x, y, norm)
    linf = model.optimum(x, y, "linf")
    far = 0.3 if norm == "l1" else torch.inf  # one pixel bears the whole L1 perturbation
    chosen = ((linf < within) & (linf > within / 20) & (optimum < far)).nonzero()[:count, 0]
    assert len(chosen) >= count // 2
    return x[chosen], y[chosen], optimum[chosen].detach()


def box_optimum(model: Linear, x: Tensor, y: Tensor, norm: str) -> Tensor:
    """Distance to the nearest boundary of a linear network inside the box, (N,) float64.

    For each wrong class: Linf and L2 by bisection on the level to which pixels move (in L2 a pixel
    moves by level times its weight), L1 by taking the steepest pixels first.
    """
    weight = model.layer.weight.double()
    wide = x.flatten(1).double()
    logits = wide @ weight.T
    distances = []
    for row in range(len(x)):
        best = np.inf
        for other in range(len(weight)):
            if other == int(y[row]):
                continue
            slope = (weight[other] - weight[y[row]]).numpy()
            needed = float(logits[row, y[row]] - logits[row, other])
            size, pixels = np.abs(slope), wide[row].numpy()
            room = np.where(slope > 0, 1 - pixels, pixels)
            if needed > (size * room).sum():
                continue
            if norm == "l1":
                spent = gained = 0.0
                for pixel in np.argsort(-size):
                    moved = min(room[pixel], (needed - gained) / size[pixel])
                    spent, gained = spent + moved, gained + moved * size[pixel]
                    if moved < room[pixel]:
                        break
                best = min(best, spent)
                continue
            speed = np.ones_like(size) if norm == "linf" else size
            low, high = 0.0, 1.0 / speed.min()
            for _ in range(100):
                level = (low + high) / 2
                enough = (size * np.minimum(level * speed, room)).sum() >= needed
                low, high = (low, level) if enough else (level, high)
            moved = np.minimum(high * speed, room)
            best = min(best, moved.max() if norm == "linf" else np.sqrt((moved**2).sum()))
        distances.append(best)
    return torch.tensor(distances, dtype=torch.float64)


def at_the_walls(classes: int, shape: tuple[int, int, int]) -> tuple[Linear, Tensor, Tensor]:
    """A linear network, and images whose pixels are mostly 0 or 1, as digits' are."""
    model = Linear(classes, shape)
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(40, *shape, generator=generator)
    x = torch.where(torch.rand(x.shape, generator=generator) < 0.8, x.round(), x)
    y = model(x).argmax(dim=1)
    far = (-margin(model(x), y)) > 0.05
    return model, x[far][:16], y[far][:16]


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """scikit-learn's digits: training images and labels, 360 test images and labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    x = torch.from_numpy(found.images).float().div(16)[:, None]
    y = torch.from_numpy(found.target)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(x)))
    train, test = order[360:], order[:360]
    return x[train], y[train], x[test], y[test]


class SmallNetwork(nn.Module):
    """Two small convolutions and a hidden layer, as plain as can be, with dropout to forget."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(256, 32),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(32, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


@functools.cache
@torch.enable_grad()
def trained() -> nn.Module:
    """A network that reads digits at about 97 %, trained once per test session, in eval mode."""
    x, y, _, _ = digits()
    state = torch.get_rng_state()
    torch.manual_seed(0)
    model = SmallNetwork()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(12):
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    torch.set_rng_state(state)
    return model.eval()
