"""Every architecture: parameter count, forward and backward pass, refusal of wrong images."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from models import ARCHITECTURES, build

# (architecture, shape) -> parameters for ten classes. Published figures: LeNet-5 61,706,
# ResNet-18 with a 3x3 stem 11,173,962; the others are counted by hand.
PARAMETERS = {
    ("linear", (1, 8, 8)): 650,
    ("linear", (1, 28, 28)): 7_850,
    ("linear", (3, 32, 32)): 30_730,
    ("mlp", (1, 8, 8)): 33_280 + 2 * 262_656 + 5_130,
    ("mlp", (1, 28, 28)): 401_920 + 2 * 262_656 + 5_130,
    ("mlp", (3, 32, 32)): 1_573_376 + 2 * 262_656 + 5_130,
    ("small_cnn", (1, 8, 8)): 160 + 4_640 + 32_832 + 650,
    ("small_cnn", (1, 28, 28)): 160 + 4_640 + 100_416 + 650,
    ("small_cnn", (3, 32, 32)): 448 + 4_640 + 131_136 + 650,
    ("small_cnn", (1, 9, 12)): 160 + 4_640 + 61_504 + 650,
    ("small_cnn", (1, 17, 16)): 160 + 4_640 + 41_024 + 650,
    ("lenet5", (1, 28, 28)): 61_706,
    ("lenet5", (3, 32, 32)): 62_006,
    ("cnn", (1, 8, 8)): 288 + 9_216 + 18_432 + 36_864 + 384 + 32_896 + 1_290,
    ("cnn", (1, 28, 28)): 288 + 9_216 + 18_432 + 36_864 + 384 + 401_536 + 1_290,
    ("cnn", (3, 32, 32)): 864 + 9_216 + 18_432 + 36_864 + 384 + 524_416 + 1_290,
    ("resnet18", (1, 8, 8)): 11_172_810,
    ("resnet18", (3, 32, 32)): 11_173_962,
}


def test_every_architecture_has_an_expected_count() -> None:
    assert {name for name, _ in PARAMETERS} == set(ARCHITECTURES)


@pytest.mark.parametrize(
    ("name", "shape"), PARAMETERS, ids=lambda v: "x".join(map(str, v)) if v[0] != v else v
)
def test_forward_and_backward(name: str, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    model = build(name, shape=shape, classes=10, dropout=0.1)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name, shape]

    x = torch.rand(3, *shape, requires_grad=True)
    logits = model(x)
    assert logits.shape == (3, 10)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2])).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_dropout_acts_in_training_only() -> None:
    x = torch.rand(2, 1, 8, 8)
    for name in ("linear", "mlp", "small_cnn", "cnn", "resnet18"):
        model = build(name, shape=(1, 8, 8), classes=10, dropout=0.5)
        last = [m for m in model.modules() if isinstance(m, torch.nn.Dropout)]
        assert last and all(m.p == 0.5 for m in last), name
        model.eval()
        assert torch.equal(model(x), model(x)), name


def test_normalization_is_inside() -> None:
    torch.manual_seed(0)
    given = build("linear", shape=(3, 8, 8), classes=4, mean=[0.1, 0.2, 0.3], std=[0.5, 1.0, 2.0])
    x = torch.rand(5, 3, 8, 8)
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 1.0, 2.0])
    by_hand = (x - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    plain = build("linear", shape=(3, 8, 8), classes=4, mean=0.0, std=1.0)
    plain.get_submodule("network").load_state_dict(given.get_submodule("network").state_dict())
    torch.testing.assert_close(given(x), plain(by_hand))
    with pytest.raises(ValueError, match="2 values for 3 channels"):
        build("linear", shape=(3, 8, 8), classes=4, mean=[0.1, 0.2])
    with pytest.raises(ValueError, match="positive"):
        build("linear", shape=(3, 8, 8), classes=4, std=0.0)


@pytest.mark.parametrize(
    ("name", "shape", "sizes"),
    [
        ("lenet5", (1, 8, 8), "28x28 or 32x32"),
        ("lenet5", (1, 28, 32), "28x28 or 32x32"),
        ("small_cnn", (1, 4, 9), "8x8 and larger"),
        ("resnet18", (3, 4, 4), "8x8 and larger"),
    ],
)
def test_unsupported_sizes_are_named(name: str, shape: tuple[int, int, int], sizes: str) -> None:
    with pytest.raises(ValueError, match=f"{name} takes images of {sizes} pixels, not") as error:
        build(name, shape=shape, classes=10)
    assert f"{shape[1]}x{shape[2]}" in str(error.value)


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown architecture 'resnet19'; known: .*resnet18"):
        build("resnet19", shape=(3, 32, 32), classes=10)


def test_the_list_of_names_needs_no_torch() -> None:
    code = "import sys, models; sys.exit('torch' in sys.modules or len(models.ARCHITECTURES) < 6)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_small_networks_need_no_torchvision() -> None:
    code = (
        "import sys, models; models.build('resnet18', shape=(3, 32, 32), classes=10);"
        "sys.exit('torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
