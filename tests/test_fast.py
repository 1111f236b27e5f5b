"""The fast copy that attacks may search: the same function, never the judge."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from torch import Tensor, nn

from attacks import ThreatModel, evaluate
from attacks.oracle import Oracle
from attacks.verdict import BROKEN, judge
from attacks.views.fast import fast
from attacks.views.products import FEWEST, as_products
from models import build
from networks import digits, trained

THREAT = ThreatModel("linf", 0.08)


def batch_normed(name: str, shape: tuple[int, int, int]) -> nn.Module:
    """An untrained network whose batch norms have seen images, so that folding changes weights."""
    torch.manual_seed(0)
    model = build(name, shape=shape, classes=10)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(16, *shape))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.3)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("small_cnn", (1, 8, 8)),
        ("lenet5", (1, 28, 28)),
        ("cnn", (1, 8, 8)),
        ("resnet18", (3, 16, 16)),
        ("mlp", (1, 8, 8)),
    ],
)
def test_it_is_the_same_function_within_rounding(name: str, shape: tuple[int, int, int]) -> None:
    model = batch_normed(name, shape)
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(8, *shape, generator=generator)
    answers = []
    for asked in (model, fast(model, precision="fp32"), fast(model, precision="bf16")):
        images = x.clone().requires_grad_(True)
        logits = asked(images)
        (grad,) = torch.autograd.grad((logits[:, 0] - logits[:, 1]).sum(), images)
        answers.append((logits.detach(), grad))
    (logits, grad), (same, same_grad), (near, near_grad) = answers
    assert torch.allclose(same, logits, atol=1e-4 * float(logits.abs().max()))
    assert torch.allclose(same_grad, grad, atol=1e-4 * float(grad.abs().max()))
    # bfloat16 keeps 8 bits: through 18 layers about a hundredth is left of them.
    assert near.dtype == near_grad.dtype == torch.float32
    assert (near - logits).abs().max() < 0.1 * logits.abs().max()
    together = torch.nn.functional.cosine_similarity(near_grad.flatten(1), grad.flatten(1))
    assert together.min() > 0.8


@pytest.mark.parametrize(("name", "norms"), [("cnn", 4), ("resnet18", 20)])
def test_every_batch_norm_is_folded(name: str, norms: int) -> None:
    model = batch_normed(name, (3, 16, 16))

    def count(network: nn.Module) -> int:
        return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())

    assert count(model) == norms
    assert count(fast(model, precision="fp32")) == 0
    assert count(model) == norms


def test_a_batch_norm_is_kept_where_folding_would_change_the_function() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)
            self.norm = nn.BatchNorm2d(1)
            self.norm.running_mean = torch.tensor([0.3])

        def forward(self, x: Tensor) -> Tensor:
            seen = self.conv(x)  # used twice: by the norm, and past it
            return (self.norm(seen) + self.conv(seen) + seen).flatten(1)

    model = Shared().eval()
    x = torch.rand(4, 1, 5, 5)
    assert torch.allclose(fast(model, precision="fp32")(x), model(x), atol=1e-6)


def test_a_model_that_cannot_be_traced_is_searched_as_it_is() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.flatten(1)) * (2 if x.mean() > 0.5 else 1)

    model = Branching().eval()
    x = torch.rand(4, 1, 4, 4)
    assert torch.equal(fast(model, precision="fp32")(x), model(x))


def test_several_gradients_of_one_pass_can_be_asked_for() -> None:
    _, _, x, _ = digits()
    model = trained()
    oracle, searched = Oracle(model), Oracle(model, search=fast(model, precision="fp32"))
    keys = torch.arange(20)
    found = [
        asked.first_ranked(
            x[:20], keys, lambda z: z[:, :3], lambda value, grad: -grad.flatten(1).norm(dim=1)
        )
        for asked in (oracle, searched)
    ]
    assert torch.allclose(found[0].grad, found[1].grad, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_a_verdict_is_the_models_own_and_the_model_is_left_alone(precision) -> None:
    _, _, x, y = digits()
    model = trained()
    x, y = x[:120], y[:120]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settings = torch.backends.mkldnn.conv.fp32_precision, torch.backends.cudnn.conv.fp32_precision
    result = evaluate(
        model, x, y, THREAT, [{"attack": "pgd"}], search=fast(model, precision=precision)
    )
    plain = evaluate(model, x, y, THREAT, [{"attack": "pgd"}])
    found = result.witnesses
    judged = judge(
        Oracle(model), x[found.index], found.x_adv, found.label, found.index, "linf", THREAT.eps
    )
    assert (judged.outcome == BROKEN).all()
    # Rounding decides for few: the fast path is as strong, within what bfloat16 costs.
    assert abs(result.robust_acc - plain.robust_acc) <= 0.05
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert settings == (
        torch.backends.mkldnn.conv.fp32_precision,
        torch.backends.cudnn.conv.fp32_precision,
    )


def test_verdicts_do_not_depend_on_the_company_with_a_fast_path_either() -> None:
    _, _, x, y = digits()
    x, y, keys = x[:40], y[:40], torch.arange(40)
    model = trained()
    search = fast(model, precision="bf16")
    whole = evaluate(model, x, y, THREAT, keys=keys, search=search).broken
    parts = [
        evaluate(model, x[rows], y[rows], THREAT, keys=keys[rows], search=search).broken
        for rows in keys.split(7)
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_what_the_fast_path_believed_and_the_verdict_did_not_is_counted() -> None:
    class Wrong(nn.Module):
        """A stand-in that takes every image for another class."""

        def forward(self, x: Tensor) -> Tensor:
            return trained()(x).roll(1, dims=1)

    _, _, x, y = digits()
    model = trained()
    right = model(x).argmax(1) == y
    x, y = x[right][:50], y[right][:50]
    nothing = ThreatModel("linf", 0.0)
    result = evaluate(model, x, y, nothing, [{"attack": "pgd", "steps": 2}], search=Wrong())
    assert not result.broken.any()
    assert result.suite.disputed.all()
    assert "50 images were broken for the stand-in" in str(result)
    same = evaluate(model, x, y, nothing, [{"attack": "pgd", "steps": 2}], search=fast(model))
    assert not same.suite.disputed.any()
    assert "stand-in" not in str(same)


def test_a_faster_copy_raises_no_flag_that_the_model_does_not() -> None:
    """Bfloat16 rounds tiny changes away; whether the model ignores them is the model's affair."""
    model, x, y = trained(), *digits()[2:]
    plain = evaluate(model, x[:60], y[:60], ThreatModel("linf", 0.05), "fgsm")
    faster = evaluate(model, x[:60], y[:60], ThreatModel("linf", 0.05), "fgsm", search=fast(model))
    tiny = [[s.status for s in r.signs if "tiny" in s.question] for r in (plain, faster)]
    assert tiny[0] == tiny[1] == ["PASS"]


class Convolutions(nn.Module):
    """Of every kind, one after another; on odd sides and a side of one pixel too."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, stride=2, padding=1),
            nn.Conv2d(hidden, hidden, (1, 3), stride=(2, 1), padding=(0, 1)),
            nn.Conv2d(hidden, 4, 1, stride=2, bias=False),
            nn.Conv2d(4, 4, 3, padding=1, groups=2),
            nn.Conv2d(4, 4, 3, padding="same"),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).flatten(1)


@pytest.mark.parametrize(
    ("sides", "compiled"),
    [((8, 8), False), ((9, 7), False), ((5, 1), False), ((14, 11), False), ((9, 6), True)],
)
def test_convolutions_as_products_are_the_same_function(
    sides: tuple[int, int], compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Traced as on a GPU, and run without a compiler of C++, which takes minutes.
    eager = functools.partial(torch.compile, backend="aot_eager")
    monkeypatch.setattr(torch, "compile", eager)
    torch.manual_seed(0)
    model = Convolutions(3, FEWEST).double().eval()
    x = torch.rand(5, 3, *sides, dtype=torch.float64)
    weights = torch.rand_like(model(x))
    found = []
    products = as_products(copy.deepcopy(model), compile=compiled)
    kinds = [type(layer).__name__ for layer in products.layers if not isinstance(layer, nn.ReLU)]
    assert kinds == ["Columns", "Winograd", "Columns", "Columns", "Columns", "Conv2d", "Conv2d"]
    for asked in (model, products):
        for layout in (torch.contiguous_format, torch.channels_last):
            images = x.contiguous(memory_format=layout).requires_grad_(True)
            answer = asked(images)
            found.append((answer.detach(), *torch.autograd.grad(answer, images, weights)))
    for answer, grad in found[1:]:
        assert torch.allclose(answer, found[0][0], rtol=1e-12, atol=1e-12)
        assert torch.allclose(grad, found[0][1], rtol=1e-12, atol=1e-12)


def test_convolutions_as_products_are_as_exact_in_float32() -> None:
    model = batch_normed("resnet18", (3, 16, 16))
    x = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    exact = copy.deepcopy(model).double()(x.double())

    def error(asked: nn.Module) -> float:
        return float((asked(x).double() - exact).norm() / exact.norm())

    with torch.no_grad():
        assert error(as_products(copy.deepcopy(model))) < 2 * error(model) < 1e-5


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="fp32, tf32, bf16"):
        fast(trained(), precision="fp16")  # type: ignore[arg-type]
