"""Models and callers that do what others do not: judged as rightly, or refused with the reason."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attacks import ThreatModel, Transformation, evaluate, run_suite
from attacks.errors import ModelError, ThreatError
from attacks.registry import resolve
from networks import digits, trained

ROOT = Path(__file__).parent.parent
LINF = ThreatModel("linf", 0.1)


class Through(nn.Module):
    """The trained network, with something done to what goes in and what comes out."""

    def __init__(self, after: Callable[[Tensor], Any], before: Any = lambda x: x) -> None:
        super().__init__()
        self.after, self.before = after, before

    def forward(self, x: Tensor) -> Any:
        return self.after(trained()(self.before(x)))


@pytest.fixture(scope="module")
def images() -> tuple[Tensor, Tensor]:
    _, _, x, y = digits()
    return x[:60], y[:60]


@pytest.fixture(scope="module")
def broken(images: tuple[Tensor, Tensor]) -> Tensor:
    return evaluate(trained(), *images, LINF, "fast", signs=0).broken


@pytest.mark.parametrize("size", [-1e6, -1e9, torch.finfo(torch.float32).min])
def test_classes_that_are_switched_off_hide_nothing(images, broken, size: float) -> None:
    switched_off = Through(lambda z: torch.cat([z, torch.full_like(z[:, :3], size)], dim=1))
    assert torch.equal(evaluate(switched_off, *images, LINF, "fast", signs=0).broken, broken)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_logits_may_be_of_any_precision(images, broken, dtype: torch.dtype) -> None:
    model = Through(lambda z: z.to(dtype))
    for ensemble in ("fast", "standard"):
        result = evaluate(model, *images, LINF, ensemble)
        assert not result.suite.errors
        assert float((result.broken[broken]).double().mean()) > 0.9


def test_no_caller_s_mode_and_graph_change_the_verdict(images, broken) -> None:
    x, y = images
    with torch.inference_mode():
        inside = evaluate(trained(), x * 1, y * 1, LINF, "fast", signs=0)
    followed = evaluate(trained(), x.clone().requires_grad_(), y, LINF, "fast", signs=0)
    for result in (inside, followed):
        assert torch.equal(result.broken, broken)
        assert not result.witnesses.x_adv.requires_grad


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model": Through(lambda z: z, before=lambda x: x.mul_(0.5))}, "changes the images it is"),
        ({"model": Through(lambda z: (z, z))}, "must return a tensor of logits .* returns tuple"),
        ({"model": Through(lambda z: z[:, :1])}, r"logits \(N, K >= 2\), returns \(64, 1\)"),
        ({"model": Through(lambda z: z[:1])}, r"returns \(1, 10\) for 64 images"),
        ({"model": lambda x: x}, "must be an nn.Module, got function"),
        ({"slots": 0}, "slots must be a whole number >= 1"),
        ({"slots": 12.5}, "slots must be a whole number >= 1, got 12.5"),
        ({"x": [[0.5]]}, "images must be a torch tensor, got list"),
        ({"y": np.zeros(60, dtype=np.int64)}, "labels must be a torch tensor, got ndarray"),
        ({"targets": [1] * 60}, "targets must be a torch tensor, got list"),
        ({"keys": list(range(60))}, "keys must be a torch tensor, got list"),
        ({"keys": torch.zeros(60, dtype=torch.int64)}, "keys must differ"),
        ({"keys": torch.arange(60) - 1}, "keys must lie in 0 to"),
        ({"keys": torch.arange(60) + 2**24}, "keys must lie in 0 to 16777215"),
        ({"keys": torch.arange(59)}, "one int64 index for each image"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_the_reason(images, given, told: str) -> None:
    x, y = images
    given = {"model": trained(), "x": x, "y": y, "slots": 64} | given
    before = x.clone()
    with pytest.raises(ModelError, match=told):
        evaluate(threat=LINF, ensemble="fast", **given)
    assert torch.equal(x, before)


def test_a_double_image_is_refused(images) -> None:
    with pytest.raises(ModelError, match="must be float32"):
        evaluate(trained(), images[0].double(), images[1], LINF)


@pytest.mark.parametrize("grid", [[0.2, 0.05], [0.1, 0.1], [float("nan")], [-0.1, 0.2], []])
def test_a_grid_that_does_not_increase_is_refused(images, grid: list[float]) -> None:
    with pytest.raises(ThreatError, match="eps_grid must"):
        run_suite(trained(), *images, "linf", grid, resolve("fast", "linf"))


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_no_budget_breaks_nothing_however_near_the_boundary_is(norm: str) -> None:
    class Near(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            ahead = 3e-7 + 0 * x.flatten(1).sum(1)
            return torch.stack([ahead, x.flatten(1).mean(1) - 0.5], dim=1)

    x, y = torch.full((3, 1, 2, 2), 0.5), torch.zeros(3, dtype=torch.int64)
    for ensemble in ("fast", "standard", "fmn"):
        assert not evaluate(Near(), x, y, ThreatModel(norm, 0.0), ensemble, signs=0).broken.any()
    assert evaluate(Near(), x, y, ThreatModel(norm, 1e-5), signs=0).broken.all()


def test_numpy_s_numbers_are_budgets(images, broken) -> None:
    threat = ThreatModel("linf", np.float32(0.1))
    assert torch.equal(evaluate(trained(), *images, threat, "fast", signs=0).broken, broken)


@pytest.mark.parametrize(("eps", "edge"), [(0.018, 0.015), (0.039, 0.035)])
def test_a_grid_reaches_the_whole_budget_of_a_transformation(eps: float, edge: float) -> None:
    class Bright(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mean = x.mean((1, 2, 3))
            return torch.stack([0 * mean, mean - 0.5 - edge], dim=1)

    x, y = torch.full((3, 1, 4, 4), 0.5), torch.zeros(3, dtype=torch.int64)
    threat = Transformation("brightness", eps)
    assert evaluate(Bright(), x, y, threat, gradients=False, signs=0).broken.all()


ATTACK = """
import torch

def follows(model, x, y, threat, *, keys, seed=0):
    noise = 0.02 * torch.randn_like(x)
    point = (x + noise).clamp(0, 1).requires_grad_()
    return threat.project(point, x)
"""


def test_an_attack_of_a_user_spoils_neither_the_others_nor_the_generator(
    images, broken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_here.py").write_text(ATTACK)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = torch.get_rng_state()
    entries = [{"attack": "mine_here:follows"}, {"attack": "pgd"}, {"attack": "multitargeted"}]
    result = evaluate(trained(), *images, LINF, entries, signs=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert not result.suite.errors
    assert not result.witnesses.x_adv.requires_grad
    again = evaluate(trained(), *images, LINF, entries, signs=0)
    assert torch.equal(result.witnesses.x_adv, again.witnesses.x_adv)


PLACES = """
import warnings
warnings.simplefilter("error")
import torch
{before}
from attacks import Oracle
from attacks.losses import gap

torch.set_num_threads(1)
for sizes in ((784, 50, 10), (64, 50, 10), (9, 10, 3), (10, 32, 2), (100, 37, 5)):
    torch.manual_seed(0)
    wide, middle, classes = sizes
    model = torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(wide, middle),
        torch.nn.ReLU(),
        torch.nn.Linear(middle, classes),
    )
    x, keys, y = torch.rand(70, 1, 1, wide), torch.arange(70), torch.zeros(70, dtype=torch.int64)
    oracle = Oracle(model, slots=64)
    together = oracle.ascent(x, keys, gap, y, y + 1)
    for row in range(70):
        one = slice(row, row + 1)
        alone = oracle.ascent(x[one], keys[one], gap, y[one], y[one] + 1)
        assert torch.equal(alone.logits, together.logits[one]), (sizes, row)
        assert torch.equal(alone.grad, together.grad[one]), (sizes, row)
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def test_an_answer_is_the_same_bits_at_every_place_of_a_pass() -> None:
    done = run(PLACES.format(before=""))
    assert done.returncode == 0, done.stderr


def test_where_it_is_too_late_for_that_it_is_said() -> None:
    """Where MKL is not what multiplies, or rounds alike anyway, there is nothing to say."""
    done = run(PLACES.format(before="torch.rand(9, 9) @ torch.rand(9, 9)"))
    assert done.returncode == 0 or "Import epsball.attacks first" in done.stderr
