"""Gradients to an image by the faster way: those of torch's own convolution, and nothing else."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attacks.few_channels import faster_backward, of_few_channels
from attacks.losses import cross_entropy
from attacks.oracle import Oracle

GEOMETRIES = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (5, 2), "stride": (3, 2), "padding": (2, 0)},
    {"kernel_size": 1, "stride": 2},
    {"kernel_size": 3, "padding": 2, "dilation": 2},
    {"kernel_size": 4, "stride": 4, "bias": False},
    {"kernel_size": 3, "padding": 4},
]
SHAPES = [(1, 17, 17), (2, 17, 19), (3, 13, 20), (4, 30, 9)]


def network(first: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    with torch.no_grad():
        size = first(torch.zeros(1, *shape)).numel()
    return nn.Sequential(first, nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(size, 5)).eval()


def grey(count: int = 40, side: int = 21) -> tuple[nn.Module, Tensor, Tensor]:
    """A network whose first convolution sees one channel; images and labels."""
    torch.manual_seed(3)
    model = network(nn.Conv2d(1, 6, 3, padding=1), (1, side, side))
    return model, torch.rand(count, 1, side, side), torch.randint(5, (count,))


def derivatives(model: nn.Module, x: Tensor, y: Tensor, order: int = 1) -> list[Tensor]:
    """Of the loss, or of its gradient's square, to the images and to every parameter."""
    x = x.detach().requires_grad_(True)
    loss = nn.functional.cross_entropy(model(x), y, reduction="sum")
    if order == 2:
        (grad,) = torch.autograd.grad(loss, x, create_graph=True)
        loss = grad.square().sum()
    return list(torch.autograd.grad(loss, [x, *model.parameters()], allow_unused=True))


def close(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool((one - other).abs().max() <= 1e-5 * other.abs().max())


@pytest.mark.parametrize(("given", "shape"), list(itertools.product(GEOMETRIES, SHAPES)))
def test_the_gradient_is_the_convolutions_own(given: dict[str, Any], shape: Any) -> None:
    torch.manual_seed(1)
    model = network(nn.Conv2d(shape[0], 7, **given), shape)
    x, y = torch.rand(6, *shape), torch.randint(5, (6,))
    found = Oracle(model, slots=6).ascent(x, torch.arange(6), cross_entropy, y)
    with torch.no_grad():
        assert torch.equal(found.logits, model(x))
    images = x.double().requires_grad_(True)
    (exact,) = torch.autograd.grad(cross_entropy(model.double()(images), y).sum(), images)
    assert (found.grad - exact).abs().max() <= 2e-6 * exact.abs().max()


@pytest.mark.parametrize("order", [1, 2])
def test_what_else_a_model_may_ask_for_is_right(order: int) -> None:
    """Gradients of its weights, and of gradients: a model may compute them within its forward."""
    model, x, y = grey()
    exact = derivatives(model, x, y, order)
    with faster_backward(of_few_channels(model.modules())):
        found = derivatives(model, x, y, order)
    assert not torch.equal(found[0], exact[0]), "the same kernel: nothing was compared"
    assert all(map(close, found, exact))


@pytest.mark.parametrize("side", [21, 67])  # the larger in several parts
def test_bits_do_not_depend_on_place_and_company(side: int) -> None:
    model, x, y = grey(count=128, side=side)
    order = torch.randperm(128)
    oracle = Oracle(model)
    whole = oracle.ascent(x, torch.arange(128), cross_entropy, y)
    images = x.clone().requires_grad_(True)
    (torchs,) = torch.autograd.grad(cross_entropy(model(images), y).sum(), images)
    assert close(whole.grad, torchs)
    assert not torch.equal(whole.grad, torchs), "the oracle went torch's way: nothing is tested"
    moved = oracle.ascent(x[order], order, cross_entropy, y[order])
    assert torch.equal(whole.grad[order], moved.grad)
    for _ in range(3):  # a smaller pass is tried the second time
        fewer = oracle.ascent(x[:50], torch.arange(50), cross_entropy, y[:50])
        assert torch.equal(fewer.grad, whole.grad[:50])


def test_the_model_is_left_as_found() -> None:
    model, x, y = grey()

    def fail(*_: object) -> None:
        raise RuntimeError("on the way")

    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    Oracle(model).ascent(x, torch.arange(len(x)), cross_entropy, y)
    handle = model[2].register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="on the way"):
        Oracle(model).ascent(x, torch.arange(len(x)), cross_entropy, y)
    handle.remove()
    assert {name: dict(vars(module)) for name, module in model.named_modules()} == before


def test_hooks_of_the_convolution_are_still_called() -> None:
    model, x, y = grey()
    model[1] = nn.ReLU()  # torch's backward hooks forbid it to write over what it is given
    seen: list[int] = []
    model[0].register_forward_hook(lambda *given: seen.append(len(given[2])))
    model[0].register_full_backward_hook(lambda *given: seen.append(len(given[2][0])))
    Oracle(model, slots=40).ascent(x, torch.arange(40), cross_entropy, y)
    assert seen == [40, 40]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 3),
        nn.Conv2d(2, 4, 3, groups=2),
        nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(1, 4, 3, padding="same"),
        nn.ConvTranspose2d(1, 4, 3),
        nn.Conv1d(1, 4, 3),
    ],
)
def test_other_layers_are_left_alone(layer: nn.Module) -> None:
    assert not of_few_channels([layer])


def test_where_it_does_not_suit_torch_computes() -> None:
    model, x, _ = grey()
    layer = model[0]
    with faster_backward(of_few_channels(model.modules())):
        images = x.requires_grad_(True)
        slopes = torch.func.vmap(torch.func.grad(lambda image: layer(image[None]).sum()))(x)
        assert close(slopes, torch.autograd.grad(layer(images).sum(), images)[0])
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(images).dtype == torch.bfloat16
        assert layer(images[0]).shape == (6, 21, 21)
        assert torch.autograd.grad(layer(images[:0]).sum(), images)[0].shape == images.shape
        assert "Conv" in type(layer(images[..., :16, :16]).grad_fn).__name__
        assert "Conv" in type(layer.double()(images.double()).grad_fn).__name__
