"""What an attack gives back: the image that broke, though it has seen one of a higher loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from attacks.geometry import threat_of
from attacks.losses import is_broken, margin
from attacks.registry import ATTACKS, load

EPS = {"linf": 0.1, "l2": 0.4, "l1": 1.0, "brightness": 0.2}
CASES: list[tuple[str, str, dict[str, object]]] = [
    *(("pgd", norm, {"loss": "margin", "steps": 10}) for norm in ("linf", "l2", "l1")),
    *(("pgd", norm, {"loss": "cross_entropy", "steps": 10}) for norm in ("linf", "l2", "l1")),
    *(("apgd", norm, {"loss": "margin", "steps": 10}) for norm in ("linf", "l2")),
    ("apgd_l1", "l1", {"loss": "margin", "steps": 20}),
    *(("multitargeted", norm, {"targets": 1, "steps": 10}) for norm in ("linf", "l2")),
    *(("square", norm, {"queries": 300}) for norm in ("linf", "l2", "l1")),
    ("steepest", "brightness", {"restarts": 1}),
]


class Ledge(nn.Module):
    """Two classes of label 0. Where the brightest pixel is darker than `edge`, class 1 leads by 16
    and by next to nothing of logits that are so large: not broken. Where it is brighter, class 1
    leads by 1 and by all: broken, at a lower margin."""

    def __init__(self, edge: float) -> None:
        super().__init__()
        self.edge = edge

    def forward(self, x: Tensor) -> Tensor:
        slope = x.flatten(1).amax(dim=1)  # along which margins rise on either side
        near = torch.stack([1e8 - slope, 1e8 + 16 + 0 * slope], dim=1)
        beyond = torch.stack([-slope, 1 + 0 * slope], dim=1)
        return torch.where((slope < self.edge)[:, None], near, beyond)


@pytest.mark.parametrize(("name", "norm", "given"), CASES)
def test_it_is_the_one_that_broke(name: str, norm: str, given: dict[str, object]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = 0.5 + 0.001 * torch.rand(12, 1, 5, 5, generator=generator)
    y, keys, model = torch.zeros(12, dtype=torch.int64), torch.arange(12), Ledge(0.52)
    threat = threat_of(norm, EPS[norm], x)
    broken, start = model(torch.full_like(x, 0.6)), threat.unchanged(x)  # seen before all else
    assert is_broken(broken, y).all() and not is_broken(model(x), y).any()
    assert (margin(broken, y) < margin(model(x), y)).all()
    found = load(ATTACKS[name])(model, x, y, threat, keys=keys, start=start, **given)
    assert is_broken(model(threat.image(found, x)), y).all()
