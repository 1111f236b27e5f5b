"""What a network costs, against a count by hand and against torch's own counter."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models import build
from models.cost import cost
from pipeline.report.wording import scaled


def test_a_small_network_counted_by_hand() -> None:
    model = build("lenet5", shape=(1, 28, 28), classes=10)
    found = cost(model, (1, 28, 28))
    assert model.training
    # Two convolutions by the size of their maps, three linear layers.
    by_hand = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 6 * 25 + 400 * 120 + 120 * 84 + 84 * 10
    assert found["macs"] == by_hand
    assert found["parameters"] == found["trained"] == 61_706
    assert found["weight_bytes"] == 4 * (61_706 + 2)  # mean and scale of the pixels
    # Kept: the image; after each convolution what was activated, what was pooled, and where from
    # (8 bytes each); the two hidden layers.
    first, second = 6 * 28 * 28, 16 * 10 * 10
    pooled, hidden = (first + second) // 4, 120 + 84
    assert found["activation_bytes"] == 4 * (784 + first + second + hidden + pooled) + 8 * pooled


@pytest.mark.parametrize("name", ["resnext29", "se_resnet18", "all_cnn_c"])
def test_operations_are_those_of_torchs_counter(name: str) -> None:
    model = build(name, shape=(3, 32, 32), classes=10).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    assert 2 * cost(model, (3, 32, 32))["macs"] == counter.get_total_flops()


def test_weights_that_are_not_trained_are_told_apart() -> None:
    model = build("mlp", shape=(1, 8, 8), classes=10, hidden=[4])
    for parameter in list(model.parameters())[:2]:
        parameter.requires_grad_(False)
    assert cost(model, (1, 8, 8))["trained"] == 4 * 10 + 10


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (640, "", "640"),
        (2608, "B", "2.61 kB"),
        (999_600, "B", "1.00 MB"),
        (4_700_160, "B", "4.70 MB"),
        (555_422_720, "", "555 M"),
        (5_243_328_768, "", "5.24 G"),
    ],
)
def test_sizes_are_told_with_three_digits(value: int, unit: str, told: str) -> None:
    assert scaled(value, unit) == told
