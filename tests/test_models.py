"""Every architecture: parameter count, forward and backward pass, refusal of wrong images."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from models import ARCHITECTURES, build
from models.large_table import LARGE as LARGE_ONES
from models.parts import activate
from models.settings import ACTIVATIONS
from models.zhang import seen

Shape = tuple[int, int, int]
CIFAR = (3, 32, 32)
CASES = [(name, {}, shape) for name, known in ARCHITECTURES.items() for shape in known.parameters]

# Published or counted elsewhere, for ten classes: with other settings than the defaults.
VARIANTS: list[tuple[str, dict[str, Any], Shape, int]] = [
    ("mlp", {"hidden": [512]}, (3, 28, 28), 1_209_866),
    ("mlp", {"hidden": [512], "images": "zhang"}, CIFAR, 1_209_866),
    ("mlp", {"images": "zhang"}, CIFAR, 1_735_178),
    ("alexnet_small", {"images": "zhang"}, CIFAR, 1_387_786),
    ("inception_small", {"images": "zhang"}, CIFAR, 1_649_402),
    ("small_cnn", {"width": 2}, (1, 8, 8), 320 + 18_496 + 131_200 + 1_290),
    ("small_cnn", {"width": 0.25}, (1, 8, 8), 40 + 296 + 2_064 + 170),
    ("small_cnn", {}, (1, 17, 16), 160 + 4_640 + 41_024 + 650),
    ("inception_small", {"batch_norm": False}, (3, 28, 28), 1_649_402),
    ("all_cnn_c", {"batch_norm": False}, CIFAR, 1_369_738),
    ("vgg16", {"batch_norm": False, "pooling": "average"}, CIFAR, 14_728_266 - 8_448),
    ("resnet20", {"shortcut": "projection"}, CIFAR, 272_474),
    ("resnet56", {"shortcut": "projection"}, CIFAR, 855_770),
    ("resnet56", {"shortcut": "none", "activation": "elu"}, CIFAR, 853_018),
    ("wide_resnet", {"depth": 28, "width": 1}, CIFAR, 369_498),
    ("wide_resnet", {"depth": 16, "width": 4}, CIFAR, 2_748_890),
    ("wide_resnet", {"depth": 16, "width": 4, "stochastic_depth": 0.3}, (1, 8, 8), 2_748_602),
    ("wide_resnet", {"depth": 34}, CIFAR, 46_160_474),
    ("resnext29", {"cardinality": 8, "base_width": 64}, CIFAR, 34_426_698),
    ("densenet_bc", {"depth": 40}, CIFAR, 176_122),
    ("squeezenet", {"batch_norm": True}, CIFAR, 727_626 + 2 * (64 + 320 + 2_560)),
    ("torchvision.resnet18", {}, (1, 32, 32), 11_181_642),
]
EXPECTED = [(*case, ARCHITECTURES[case[0]].parameters[case[2]]) for case in CASES] + VARIANTS
PASSING = (torch.nn.Identity, torch.nn.Flatten, torch.nn.AdaptiveAvgPool2d)
LARGE = 20_000_000
"""Networks of more parameters pass on torch's meta device alone: shapes, without numbers."""


def label(case: tuple[str, dict[str, Any], Shape, int]) -> str:
    name, settings, shape, _ = case
    return "-".join([name, *map(str, settings.values()), "x".join(map(str, shape))])


@pytest.mark.parametrize("case", EXPECTED, ids=label)
def test_forward_and_backward(case: tuple[str, dict[str, Any], Shape, int]) -> None:
    name, settings, shape, count = case
    torch.manual_seed(0)
    device = torch.device("meta" if count > LARGE else "cpu")
    with device:
        dropout = 0.1 if ARCHITECTURES[name].dropout else 0.0
        model = build(name, shape=shape, classes=10, dropout=dropout, **settings)
        x, y = torch.rand(2, *shape, requires_grad=True), torch.tensor([0, 1])
    assert sum(p.numel() for p in model.parameters()) == count
    known = ARCHITECTURES[name].has_batch_norm(settings)
    assert known == any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())

    logits = model(x)
    assert logits.shape == (2, 10)
    torch.nn.functional.cross_entropy(logits, y).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        if count <= LARGE:
            assert torch.isfinite(parameter.grad).all(), parameter_name
            assert parameter.grad.abs().sum() > 0, parameter_name
    assert x.grad is not None
    assert count > LARGE or x.grad.abs().sum() > 0


def smallest(name: str) -> Shape:
    return min(ARCHITECTURES[name].parameters, key=math.prod)


@pytest.mark.parametrize("known", LARGE_ONES, ids=lambda known: known.name)
def test_counts_of_torchvision_are_those_it_publishes_but_for_the_last_layer(known: Any) -> None:
    from torchvision.models import get_model_weights

    with torch.device("meta"):
        model = build(known.name, shape=(3, 64, 64), classes=10)
    *_, last = (m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear))
    weights = get_model_weights(known.name.removeprefix("torchvision.")).DEFAULT
    (count,) = known.parameters.values()
    assert weights.meta["num_params"] == count + 990 * (last.weight[0].numel() + 1)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if ARCHITECTURES[name].settings])
def test_every_setting_changes_the_network(name: str) -> None:
    """Each setting changes the network that is built, to one that still works in eval mode."""
    small = {"wide_resnet": {"depth": 10, "width": 1}, "densenet_bc": {"depth": 10}}.get(name, {})
    shape = smallest(name)

    def built(**changed: Any) -> str:
        with torch.device("meta"):
            model = build(name, shape=shape, classes=10, **(small | changed)).eval()
            assert model(torch.rand(2, *shape)).shape == (2, 10)
        return str(model)

    other: dict[str, Any] = {
        "activation": "elu", "pooling": "average", "batch_norm": name == "squeezenet",
        "shortcut": "none", "hidden": [7], "width": 2, "depth": 16, "growth": 6,
        "cardinality": 4, "base_width": 8,
        "reduction": 8, "stochastic_depth": 0.5, "images": "zhang",
    }  # fmt: skip
    plain = built()
    for setting in ARCHITECTURES[name].settings:
        assert built(**{setting: other[setting]}) != plain, setting


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if "torchvision" not in name])
def test_scores_of_classes_are_not_cut_off(name: str) -> None:
    """Scores that a ReLU holds at zero have no gradient, to train by or to attack by."""
    with torch.device("meta"):
        model = build(name, shape=smallest(name), classes=10)
    last = [m for m in model.modules() if not list(m.children()) and type(m) not in PASSING][-1]
    assert isinstance(last, torch.nn.Linear | torch.nn.Conv2d | torch.nn.BatchNorm2d)


def test_the_paper_sees_the_middle_of_an_image_whitened() -> None:
    x = torch.rand(3, 3, 32, 32)
    x[2] = 0.5  # a blank image stays one
    front, shape = seen("zhang", CIFAR)
    whitened = torch.nn.Sequential(*front)(x)
    assert whitened.shape[1:] == shape == (3, 28, 28)
    middle = x[:2, :, 2:30, 2:30]
    deviation, mean = torch.std_mean(middle, dim=(1, 2, 3), keepdim=True, correction=0)
    torch.testing.assert_close(whitened[:2], (middle - mean) / deviation)
    assert not whitened[2].any()
    assert seen("zhang", (1, 8, 8))[1] == (1, 8, 8)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_where_the_network_has_one(name: str) -> None:
    model = build("small_cnn", shape=(1, 8, 8), classes=10, activation=name)
    assert sum(type(layer) is type(activate(name)) for layer in model.modules()) == 3


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, known in ARCHITECTURES.items()
        if known.dropout and (min(known.parameters.values()) < LARGE or name == "wide_resnet")
    ],
)
def test_dropout_acts_in_training_only(name: str) -> None:
    torch.manual_seed(0)
    settings = {"depth": 10, "width": 1} if name == "wide_resnet" else {}
    x = torch.rand(2, *smallest(name))
    model = build(name, shape=x.shape[1:], classes=10, dropout=0.5, **settings)
    with torch.no_grad():
        assert not torch.equal(model(x), model(x))
        assert torch.equal(model.eval()(x), model(x))


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
        ("all_cnn_c", (1, 8, 8), "9x9 and larger"),
    ],
)
def test_unsupported_sizes_are_named(name: str, shape: tuple[int, int, int], sizes: str) -> None:
    with pytest.raises(ValueError, match=f"{name} takes images of {sizes} pixels, not") as error:
        build(name, shape=shape, classes=10)
    assert f"{shape[1]}x{shape[2]}" in str(error.value)


def test_torchvision_takes_grey_or_colour() -> None:
    with pytest.raises(ValueError, match="1 or 3 channels, not 2"):
        build("torchvision.resnet18", shape=(2, 32, 32), classes=10)


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown architecture 'resnet19'; known: .*resnet18"):
        build("resnet19", shape=(3, 32, 32), classes=10)


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("vgg16", {"stochastic_depth": 0.1}, ["settings.stochastic_depth", "no shortcuts"]),
        ("resnet18", {"batch_norm": False}, ["settings.batch_norm", "belongs to it"]),
        ("wide_resnet", {"depth": 27}, ["settings.depth", "such as 10, 16, 28", "27"]),
        ("se_resnet18", {"reduction": 65}, ["settings.reduction", "at most 64", "65"]),
        ("wide_resnet", {"widht": 2}, ["settings.widht", "did you mean 'width'", "depth"]),
        ("resnet20", {"shortcut": "none", "stochastic_depth": 0.1}, ["lets nothing through"]),
        ("linear", {"width": 2}, ["settings.width", "nothing to set"]),
        ("torchvision.resnet50", {"dropout": 0.2}, ["dropout", "has no dropout", "0.2"]),
    ],
)
def test_what_does_not_go_together_is_refused(
    name: str, settings: dict[str, Any], told: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"settings|dropout") as error:
        build(name, shape=CIFAR, classes=10, **settings)
    assert all(part in str(error.value) for part in told)


def test_the_list_of_names_needs_no_torch() -> None:
    code = "import sys, models; sys.exit('torch' in sys.modules or len(models.ARCHITECTURES) < 6)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_small_networks_need_no_torchvision() -> None:
    code = (
        "import sys, models; models.build('resnet18', shape=(3, 32, 32), classes=10);"
        "sys.exit('torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_documentation_has_every_architecture_with_its_count() -> None:
    page = (Path(__file__).parent.parent / "docs" / "networks.md").read_text()
    for name, known in ARCHITECTURES.items():
        if name.startswith("torchvision."):
            assert f"`{name.removeprefix('torchvision.')}`" in page
            continue
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert f" {known.parameters[CIFAR]:,} |" in row
        assert known.sizes() in row or known.minimum == 1
        for setting in known.settings:
            assert f"`{setting}`" in row.split("|")[7], setting
