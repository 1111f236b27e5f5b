"""What counts do not tell: how residual blocks are wired, and when they are dropped."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from models.residual import Place, PreActivated, Residual, StochasticDepth, past, places

SAME, WIDER = Place(4, 4, 1, 0.0), Place(4, 8, 2, 0.0)


def silent(place: Place) -> nn.Module:
    """A body of the right shape that adds nothing."""
    layer = nn.Conv2d(place.channels_in, place.channels, 3, place.stride, padding=1, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(0))


def test_the_projection_of_a_pre_activated_block_sees_the_activated_input(x: Tensor) -> None:
    """Counts are the same if it saw the raw one, as some published code has it."""
    block = PreActivated(WIDER, nn.ReLU(), silent(WIDER)).eval()
    norm = block.entry[0]
    nn.init.constant_(norm.bias, 0.3)
    assert block.projection is not None
    assert torch.equal(block(x), block.projection(relu(norm(x))))


def test_the_identity_of_a_pre_activated_block_is_the_raw_input(x: Tensor) -> None:
    assert torch.equal(PreActivated(SAME, nn.ReLU(), silent(SAME)).eval()(x), x)


def test_a_padded_shortcut_keeps_every_second_pixel_and_has_no_parameters(x: Tensor) -> None:
    shortcut = past("padding", WIDER)
    assert shortcut is not None and not list(shortcut.parameters())
    passed = Residual(silent(WIDER), shortcut, nn.Identity(), 0.0)(x)
    assert torch.equal(passed[:, 2:6], x[:, :, ::2, ::2])
    assert not passed[:, :2].any() and not passed[:, 6:].any()


def test_without_a_shortcut_nothing_passes_but_the_body(x: Tensor) -> None:
    for place in (SAME, WIDER):
        assert past("none", place) is None
        assert not Residual(silent(place), past("none", place), nn.ReLU(), 0.0)(x).any()


def test_stochastic_depth_is_that_of_torchvision(x: Tensor) -> None:
    from torchvision.ops import StochasticDepth as Theirs

    x = x.repeat(20, 1, 1, 1)
    answers = []
    for layer in (StochasticDepth(0.4), Theirs(0.4, "row")):
        torch.manual_seed(3)
        answers.append(layer(x))
    assert torch.allclose(*answers)
    dropped = answers[0].flatten(1).abs().sum(1) == 0
    assert 0 < int(dropped.sum()) < len(x)
    assert torch.equal(StochasticDepth(0.4).eval()(x), x)


def test_blocks_halve_the_image_at_each_new_width_and_are_dropped_more_the_deeper() -> None:
    found = list(places(16, (16, 32), 2, 0.4))
    assert found == [
        (16, 16, 1, pytest.approx(0.1)),
        (16, 16, 1, pytest.approx(0.2)),
        (16, 32, 2, pytest.approx(0.3)),
        (32, 32, 1, pytest.approx(0.4)),
    ]
