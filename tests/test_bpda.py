"""Front ends without a gradient: the search goes around them, the verdict does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from attacks import ThreatModel, evaluate
from attacks.losses import margin
from attacks.oracle import Oracle
from attacks.views.bpda import bpda
from networks import digits, trained


def quantize(x: Tensor) -> Tensor:
    return (x * 4).round() / 4


class Quantized(nn.Module):
    """Five grey levels: the gradient with respect to the image is zero everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        return trained()(quantize(x))


def test_it_breaks_what_a_zero_gradient_protects() -> None:
    _, _, x, y = digits()
    x, y, threat = x[:150], y[:150], ThreatModel("linf", 0.2)
    ensemble = [{"attack": "apgd", "steps": 30}]
    defended = Quantized()
    direct = evaluate(defended, x, y, threat, ensemble, signs=0)
    around = evaluate(defended, x, y, threat, ensemble, signs=0, search=bpda(quantize, trained()))
    assert around.broken.sum() > direct.broken.sum() + 50
    # The verdict is the defended model's.
    found = around.witnesses
    with torch.no_grad():
        assert (defended(found.x_adv).argmax(dim=1) != found.label).all()


def test_forward_is_the_true_front_end_to_the_bit_and_backward_goes_around_it() -> None:
    _, _, x, y = digits()
    x, y, keys = x[:20] * 0.83, y[:20], torch.arange(20)
    around = Oracle(bpda(quantize, trained()))
    assert torch.equal(around.logits(x, keys), Oracle(Quantized()).logits(x, keys))
    seen = around.ascent(x, keys, margin, y)
    behind = Oracle(trained()).ascent(quantize(x), keys, margin, y)
    assert torch.equal(seen.grad, behind.grad)
    assert (seen.grad != 0).any()
    assert (Oracle(Quantized()).ascent(x, keys, margin, y).grad == 0).all()


def test_the_gradient_of_a_stand_in_is_taken_in_place_of_the_front_ends() -> None:
    """A front end that changes the shape needs one: here pooling stands in for a median of it."""

    def coarse(x: Tensor) -> Tensor:
        return quantize(nn.functional.avg_pool2d(x, 2))

    def smooth(x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, 2)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    x, y, keys = torch.rand(6, 1, 8, 8), torch.arange(6) % 3, torch.arange(6)
    seen = Oracle(bpda(coarse, model, smooth)).ascent(x, keys, margin, y)
    behind = Oracle(model).ascent(coarse(x), keys, margin, y)
    assert torch.equal(seen.logits, behind.logits)
    spread = behind.grad.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
    assert torch.allclose(seen.grad, spread, atol=1e-7)
    with pytest.raises(ValueError, match="give one that fits as `backward`"):
        bpda(coarse, model)(x)


def test_front_ends_are_left_as_found() -> None:
    front = nn.Dropout(0.5).train()
    model = bpda(front, trained())
    model.train()
    try:
        _, _, x, _ = digits()
        oracle = Oracle(model)
        keys = torch.arange(5)
        assert torch.equal(oracle.logits(x[:5], keys), Oracle(trained()).logits(x[:5], keys))
        assert front.training
        assert all(module.training for module in model.modules())
    finally:
        model.eval()
