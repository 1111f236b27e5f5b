"""The cascade over budgets, the verdict, and what is refused."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from attacks import ModelError, ThreatModel, evaluate
from attacks.cascade import IMPLIED, RUN, SKIPPED
from attacks.losses import is_broken
from attacks.noise import surface
from attacks.oracle import Oracle
from attacks.registry import NOISE, Attacker, UnknownAttackError, resolve
from attacks.suite import run_suite
from attacks.verdict import BROKEN, ERROR, judge
from networks import digits, trained

GRID = [0.03, 0.08, 0.15]
ATTACKS = [
    {"attack": "fgsm"},
    {"attack": "pgd", "steps": 10},
    {"attack": "fmn", "steps": 20},
]


def run(x: Tensor, y: Tensor, keys: Tensor, grid=GRID, attacks=ATTACKS, model=None, norm="linf"):
    return run_suite(model or trained(), x, y, norm, grid, resolve(attacks, norm), keys=keys)


def by_key(result) -> dict[tuple[int, int, float], tuple]:
    rows = result.rows
    return {
        (int(k), int(a), float(e)): (int(h), int(o), int(p), float(d), float(m), int(f), int(b))
        for k, a, e, h, o, p, d, m, f, b in zip(
            *(
                rows[name].tolist()
                for name in (
                    "index", "attack", "eps", "how", "outcome", "adv_pred",
                    "distance", "margin", "forwards", "backwards",
                )
            ),
            strict=True,
        )
    }  # fmt: skip


def same(first: dict, second: dict) -> bool:
    return all(repr(first[key]) == repr(second[key]) for key in second)


def test_verdicts_are_bit_identical_for_any_batch_size_order_and_subset() -> None:
    _, _, x, y = digits()
    x, y, keys = x[:90], y[:90], torch.arange(90) + 500
    whole = by_key(run(x, y, keys))
    for size in (1, 7):
        for begin in range(0, 21, size):
            part = slice(begin, begin + size)
            assert same(whole, by_key(run(x[part], y[part], keys[part]))), size
    order = torch.randperm(90, generator=torch.Generator().manual_seed(1))
    assert same(whole, by_key(run(x[order], y[order], keys[order])))
    assert same(whole, by_key(run(x[order[:33]], y[order[:33]], keys[order[:33]])))


def test_success_is_monotone_in_eps_and_each_budget_agrees_with_its_own_run() -> None:
    _, _, x, y = digits()
    keys = torch.arange(len(x))
    result = run(x, y, keys)
    broken = {}
    for eps in GRID:
        at = result.rows["eps"] == eps
        hit = at & (result.rows["outcome"] == BROKEN)
        broken[eps] = set(result.rows["index"][hit].tolist())
    assert broken[0.03] <= broken[0.08] <= broken[0.15]
    for eps in GRID:
        alone = run(x, y, keys, [eps])
        fell = set(alone.rows["index"][alone.rows["outcome"] == BROKEN].tolist())
        assert len(fell ^ broken[eps]) <= 2


def test_a_row_says_run_skipped_or_implied_and_costs_only_where_it_ran() -> None:
    _, _, x, y = digits()
    rows = run(x, y, torch.arange(len(x))).rows
    assert len(rows["how"]) == len(x) * len(GRID) * len(ATTACKS)
    assert set(rows["how"].tolist()) == {RUN, SKIPPED, IMPLIED}
    assert (rows["forwards"][rows["how"] != RUN] == 0).all()
    assert (rows["forwards"][rows["how"] == RUN] > 0).all()
    # What survived the largest budget is nowhere run again.
    key, eps, how = rows["index"], rows["eps"], rows["how"]
    top = eps == max(GRID)
    fell = set(key[top & (rows["outcome"] == BROKEN)].tolist())
    survived = set(key.tolist()) - fell
    below = torch.tensor([int(k) in survived for k in key]) & ~top
    assert survived
    assert (how[below] == IMPLIED).all()


def test_every_witness_holds_when_judged_again_and_is_at_its_smallest_budget() -> None:
    _, _, x, y = digits()
    model, keys = trained(), torch.arange(len(x))
    for norm, grid in (("linf", GRID), ("l2", [0.3, 0.9])):
        result = run(x, y, keys, grid, norm=norm)
        found = result.witnesses
        right = model(x).argmax(1) == y
        assert len(found.index) > 50
        assert right[found.index].all()
        # Fifteen lines of plain torch, that share nothing with the library.
        delta = (found.x_adv - x[found.index]).flatten(1).double()
        size = delta.abs().amax(1) if norm == "linf" else delta.square().sum(1).sqrt()
        assert (size <= found.eps + 1e-6).all()
        assert found.x_adv.min() >= 0
        assert found.x_adv.max() <= 1
        with torch.no_grad():
            prediction = model(found.x_adv).argmax(1)
        assert (prediction != found.label).all()
        assert torch.equal(prediction, found.prediction)
        rows = result.rows
        smallest: dict[int, float] = {}
        for key, eps, outcome in zip(
            *(rows[name].tolist() for name in ("index", "eps", "outcome")), strict=True
        ):
            if outcome == BROKEN:
                smallest[key] = min(eps, smallest.get(key, eps))
        assert found.eps.tolist() == [smallest[key] for key in found.index.tolist()]


def _shifted(model, x, y, threat, *, keys, start=None, seed=0):
    return x + 2 * threat.eps  # outside ball and box


def _crashing(model, x, y, threat, *, keys, start=None, seed=0):
    raise RuntimeError("no gradients today")


def test_what_an_attack_claims_outside_ball_or_box_is_not_believed() -> None:
    _, _, x, y = digits()
    attackers = resolve([{"attack": "test_suite:_shifted"}], "linf")
    result = run_suite(trained(), x, y, "linf", [0.3], attackers)
    right = trained()(x).argmax(1) == y
    assert (result.rows["outcome"][right] != BROKEN).all()
    assert len(result.witnesses.index) == 0


def test_a_crash_is_an_error_neither_broken_nor_survived() -> None:
    _, _, x, y = digits()
    attacks = [{"attack": "test_suite:_crashing"}, {"attack": "fgsm"}]
    result = evaluate(trained(), x, y, ThreatModel("linf", 0.1), attacks)
    outcome = result.suite.rows["outcome"].view(2, -1)
    right = trained()(x).argmax(1) == y
    assert (outcome[0][right] == ERROR).all()
    assert (outcome[1] != ERROR).all()
    assert "no gradients today" in result.suite.errors["test_suite__crashing"]
    assert result.errors.any()
    low, high = result.robust_interval
    assert low == 1 - float((result.broken | result.errors).double().mean())
    assert high == 1 - float(result.broken.double().mean())
    assert low < high
    assert math.isnan(result.robust_acc)  # never 0 %, never 100 %
    assert f"INCOMPLETE: {low:.1%} to {high:.1%}" in str(result)


BEGUN: Counter[tuple[str, float, bool]] = Counter()


def _note(attack: str, threat, start: Tensor) -> None:
    """Each example that the attack was asked for: its budget, and whether it has a start."""
    has = start.flatten(1).isfinite().all(dim=1)
    for eps, given in zip(threat.eps.flatten().tolist(), has.tolist(), strict=True):
        BEGUN[attack, round(eps, 6), given] += 1


def _brighter(model, x, y, threat, *, keys, start, seed=0):
    _note("brighter", threat, start)
    return threat.project(x + threat.eps.view(-1, 1, 1, 1).to(x.dtype), x)


def _idle(model, x, y, threat, *, keys, start, seed=0):
    _note("idle", threat, start)
    return x


def test_one_attack_begins_at_the_witness_and_the_others_as_in_a_run_alone() -> None:
    _, _, x, y = digits()
    BEGUN.clear()
    attacks = [{"attack": "test_suite:_brighter"}, {"attack": "test_suite:_idle"}]
    result = run(x, y, torch.arange(len(x)), grid=[0.05, 0.6], attacks=attacks)
    fell, still = BEGUN["brighter", 0.05, True], BEGUN["idle", 0.05, False]
    assert min(fell, still) > 20
    right = int((trained()(x).argmax(1) == y).sum())
    assert {
        ("brighter", 0.6, False): right,  # nothing has broken it yet
        ("idle", 0.6, False): right - fell,
        # What fell at the larger budget begins at its witness, with the first attack alone.
        ("brighter", 0.05, True): fell,
        ("idle", 0.05, False): still,
    } == BEGUN
    assert len(result.witnesses.index) == fell


NEAREST: dict[int, Tensor] = {}


def _at(model, x, y, norm, *, keys, start=None, seed=0, away=0.5):
    return (x + away).clamp(0, 1)


def _told(model, x, y, threat, *, keys, nearest, start=None, seed=0):
    NEAREST.update(zip(keys.tolist(), nearest, strict=True))
    return x


def test_attacks_are_told_the_nearest_image_that_was_broken_beyond_the_budget() -> None:
    _, _, x, y = digits()
    model, threat = trained(), ThreatModel("linf", 0.05)
    attacks = [{"attack": "test_suite:_at", "name": f"at{a}", "away": a} for a in (0.5, 0.3, 0.7)]
    run(x, y, torch.arange(len(x)), grid=[0.05], attacks=[*attacks, {"attack": "test_suite:_told"}])
    known = 0
    for key, nearest in NEAREST.items():
        one = x[key : key + 1]
        tries = [(one + away).clamp(0, 1) for away in (0.3, 0.5, 0.7)]
        broken = [each for each in tries if int(model(each).argmax()) != int(y[key])]
        if broken:
            nearest_of = min(broken, key=lambda each: float(threat.distance(each, one)))
            assert torch.equal(nearest, nearest_of[0])
            known += 1
        else:
            assert nearest.isnan().all()
    assert 20 < known < len(NEAREST)


def _crashing_minimum(model, x, y, norm, *, keys, start=None, seed=0):
    raise RuntimeError("no gradients today")


def test_a_crash_is_an_error_at_every_budget() -> None:
    _, _, x, y = digits()
    for name in ("_crashing", "_crashing_minimum"):
        result = run(x, y, torch.arange(len(x)), attacks=[{"attack": f"test_suite:{name}"}])
        right = (trained()(x).argmax(1) == y).repeat(len(GRID))
        assert (result.rows["outcome"][right] == ERROR).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_noise_of_one_size_is_not_counted_at_another(norm: str) -> None:
    """In L2 the box shortens a large draw, which would then fit a smaller ball."""
    _, _, x, y = digits()
    grid = {"linf": [0.2, 0.4, 0.8], "l2": [2.0, 3.0, 4.0, 6.0]}[norm]
    keys, model = torch.arange(len(x)), trained()
    right = model(x).argmax(1) == y
    for draws in (1, 10):
        attackers = [Attacker("surface", "surface", NOISE["surface"], {"draws": draws})]
        rows = run_suite(model, x, y, norm, grid, attackers, keys=keys).rows
        found = (rows["outcome"] == BROKEN).view(len(grid), -1)
        for level, eps in enumerate(grid):
            noisy = surface(model, x, y, ThreatModel(norm, eps), keys=keys, draws=draws)
            alone = is_broken(model(noisy), y)
            # Never more than these draws break; less only by what a larger size did not.
            assert (alone | ~found[level] | ~right).all()
            assert (found[level] & right).sum() >= 0.8 * (alone & right).sum()


class Spoiled(nn.Module):
    def __init__(self, how) -> None:
        super().__init__()
        self.inner, self.how = trained(), how

    def forward(self, x: Tensor) -> Tensor:
        return self.how(self.inner(x))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda z: z.softmax(1), "probabilities"),
        (lambda z: z * float("nan"), "NaN"),
        (lambda z: z[:, 0], "logits"),
        (lambda z: z[:, :4], "4 outputs"),
    ],
)
def test_a_model_that_cannot_be_judged_is_refused_before_any_attack(how, message: str) -> None:
    _, _, x, y = digits()
    with pytest.raises(ModelError, match=message):
        evaluate(Spoiled(how), x, y, ThreatModel("linf", 0.1))


def test_images_that_come_normalized_are_refused() -> None:
    _, _, x, y = digits()
    with pytest.raises(ModelError, match=r"\[0, 1\]"):
        evaluate(trained(), x * 2 - 1, y, ThreatModel("linf", 0.1))


def test_a_tie_is_not_a_break() -> None:
    class Tied(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros(len(x), 3) + torch.tensor([1.0, 1.0 + 1e-7, 0.0])

    x, y = torch.rand(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64)
    judged = judge(Oracle(Tied()), x, x, y, torch.arange(4), "linf", 0.1)
    assert (judged.outcome != BROKEN).all()


def test_a_gradient_that_is_zero_does_not_stop_the_search() -> None:
    """Rounding the input kills the gradient; the random directions still break some images."""

    class Quantized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = trained()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner((x * 4).round() / 4)

    _, _, x, y = digits()
    threat = ThreatModel("linf", 0.25)
    walk = evaluate(Quantized(), x, y, threat, [{"attack": "pgd", "restarts": 2}])
    step = evaluate(Quantized(), x, y, threat, "fgsm")
    assert step.robust_acc == step.clean_acc  # one step along no gradient goes nowhere
    assert walk.robust_acc < walk.clean_acc - 0.1


@pytest.mark.parametrize(
    ("attacks", "norm", "message"),
    [
        ([{"attack": "pgdd"}], "linf", "did you mean 'pgd'"),
        ([{"attack": "ddn"}], "l1", "cannot do l1"),
        ([{"attack": "pgd", "stepps": 3}], "linf", "did you mean 'steps'"),
        ([{"attack": "pgd", "loss": "foo"}], "linf", "must be one of"),
        ([{"attack": "pgd", "steps": 1.5}], "linf", "must be int"),
        ([{"attack": "pgd"}, {"attack": "pgd"}], "linf", "two attacks"),
        ([{"attack": "no.such.module:f"}], "linf", "no module"),
        ([{"attack": "test_suite:no_such"}], "linf", "defines no function"),
        ("fastt", "linf", "unknown ensemble"),
        ([], "linf", "names no attack"),
    ],
)
def test_an_attack_that_cannot_be_run_is_told_with_what_is_allowed(attacks, norm, message) -> None:
    with pytest.raises(UnknownAttackError, match=message):
        resolve(attacks, norm)
