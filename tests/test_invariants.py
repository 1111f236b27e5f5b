"""What every attack of a fixed budget keeps: more restarts and more budget lose nothing, a model's
own memory is not written to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from attacks import ThreatModel, evaluate
from attacks.fixed.pgd import pgd
from attacks.geometry import threat_of
from attacks.losses import is_broken
from attacks.registry import ATTACKS, L_NORMS, NOISE, load
from attacks.registry import settings as settings_of
from networks import digits, trained
from test_attacks import EPS as SIZES
from test_attacks import QUICK

EPS = {"linf": 0.08, "l2": 0.5, "l1": 1.5}
# Few steps: then there is something that restarts can add.
FEW = {
    "pgd": {"steps": 5},
    "apgd": {"steps": 8},
    "apgd_l1": {"steps": 8},
    "multitargeted": {"steps": 4, "targets": 1},
    "square": {"queries": 60},
    "fab": {"steps": 5, "targets": 1},
}
BALL = [(n, norm) for n, entry in ATTACKS.items() for norm in entry.norms if norm in L_NORMS]
FIXED = [(n, norm) for n, e in ATTACKS.items() for norm in e.norms if e.kind == "fixed"]
RESTARTED = [(name, norm) for name, norm in BALL if "restarts" in settings_of(ATTACKS[name])]


@pytest.fixture(autouse=True)
def _no_graphs() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize(("name", "norm"), RESTARTED)
def test_more_restarts_never_lose_a_success(name: str, norm: str) -> None:
    _, _, x, y = digits()
    broken = []
    for restarts in (1, 2, 4):
        ensemble = [{"attack": name, "restarts": restarts, **FEW[name]}]
        threat = ThreatModel(norm, EPS[norm])
        broken.append(evaluate(trained(), x[:120], y[:120], threat, ensemble, signs=0).broken)
    for fewer, more in itertools.pairwise(broken):
        assert (more | ~fewer).all()
    assert broken[0].any()
    assert not broken[2].all()


@pytest.mark.parametrize(("name", "norm"), FIXED)
def test_an_attack_alone_breaks_no_fewer_in_a_larger_ball(name: str, norm: str) -> None:
    """By each itself: a suite sees to it by construction. Two images may differ."""
    _, _, x, y = digits()
    x, y, keys = x[:60], y[:60], torch.arange(60)
    given = {"square": {"queries": 500}, "apgd_l1": {"steps": 40}}.get(name, {})
    broken = []
    for share in (0.6, 0.8, 1.0):
        threat = threat_of(norm, share * (SIZES | EPS)[norm], x)
        found = load(ATTACKS[name])(trained(), x, y, threat, keys=keys, **given)
        broken.append(is_broken(trained()(threat.image(found, x)), y))
    for smaller, larger in itertools.pairwise(broken):
        assert int((smaller & ~larger).sum()) <= 2


class Buffered(nn.Module):
    """Answers from one tensor of its own, as a model in a CUDA graph does, when it needs no
    gradient; and remembers whether what it gave away was written to."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = trained()
        self.given: Tensor | None = None
        self.kept: Tensor | None = None
        self.written = False

    def forward(self, x: Tensor) -> Tensor:
        if self.given is not None and self.kept is not None:
            self.written |= not torch.equal(self.given.detach(), self.kept)
        logits: Tensor = self.inner(x)
        given = self.given
        known = given is not None and given.shape == logits.shape and not given.requires_grad
        if known and not logits.requires_grad:
            logits = given.copy_(logits)
        self.given, self.kept = logits, logits.detach().clone()
        return logits


@pytest.mark.parametrize(("name", "norm"), [*BALL, ("corners", "linf")])
def test_a_models_output_is_neither_written_to_nor_relied_upon(name: str, norm: str) -> None:
    _, _, x, y = digits()
    x, y, keys = x[:20], y[:20], torch.arange(20)
    entry = (ATTACKS | NOISE)[name]
    goal = norm if entry.kind == "minimum" else ThreatModel(norm, EPS[norm])
    given = QUICK.get(name, {})
    model = Buffered()
    found = load(entry)(model, x, y, goal, keys=keys, **given)
    model(x)
    assert not model.written
    assert torch.equal(found, load(entry)(trained(), x, y, goal, keys=keys, **given))


def test_a_first_run_may_begin_at_the_image() -> None:
    """BIM and MI-FGSM as published: of one step, what is found is the gradient's sign."""
    _, _, x, y = digits()
    right = (trained()(x).argmax(1) == y).nonzero()[:20, 0]
    x, y, threat, keys = x[right], y[right], ThreatModel("linf", 1e-3), right
    with torch.enable_grad():
        images = x.clone().requires_grad_()
        loss = nn.functional.cross_entropy(trained()(images), y, reduction="sum")
        step = (x + 1e-3 * torch.autograd.grad(loss, images)[0].sign()).clamp(0, 1)
    for momentum in (0.0, 1.0):
        given = {"steps": 1, "step_size": 1.0, "momentum": momentum}
        found = pgd(trained(), x, y, threat, keys=keys, random_start=False, **given)
        assert torch.allclose(found, step, atol=1e-7)
        assert not torch.allclose(pgd(trained(), x, y, threat, keys=keys, **given), step, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-6, 1e-8])
def test_tiny_logits_are_read_as_they_are(scale: float) -> None:
    """In float32 their probabilities are all alike, and the first class would be the largest."""

    class Tiny(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return scale * trained()(x)

    _, _, x, y = digits()
    attacks = [{"attack": "fab", "steps": 20, "targets": 1}]
    result = evaluate(Tiny(), x, y, ThreatModel("l2", 0.5), attacks, signs=0)
    assert result.clean_acc == float((trained()(x).argmax(1) == y).double().mean())
    witnesses = result.suite.witnesses
    assert len(witnesses.label) > 20
    assert (witnesses.prediction != witnesses.label).all()
