"""Targeted attacks: every attack of the registry drives images into a class that was chosen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from attacks import ModelError, ThreatModel, evaluate
from attacks.errors import ThreatError
from attacks.fixed.pgd import pgd
from attacks.losses import is_broken
from attacks.oracle import Oracle
from attacks.registry import ATTACKS, load
from attacks.threat import NORMS
from attacks.views.targeted import Targeted
from networks import Linear, digits, trained
from test_attacks import FACTOR, QUICK, SETTINGS

CASES = [(name, n) for name, entry in ATTACKS.items() for n in entry.norms if n in NORMS]
SHAPE = (1, 6, 9)


@pytest.fixture(autouse=True)
def _no_graphs() -> Iterator[None]:
    with torch.no_grad():
        yield


def to_class(model: Linear, x: Tensor, target: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """Distance at which the target ties with the rival whose boundary is farthest, and whether it
    leads all others there: then it is the distance to the target's region. The box is far."""
    weight = model.layer.weight.double()
    logits = x.flatten(1).double() @ weight.T
    gap = logits - logits.gather(1, target[:, None])
    between = weight[target][:, None] - weight[None]
    order = {"linf": 1, "l2": 2, "l1": torch.inf}[norm]
    dual = torch.linalg.vector_norm(between, order, dim=2)
    distance = (gap / dual).scatter(1, target[:, None], -torch.inf).max(dim=1)
    rows = torch.arange(len(x))
    slope, size = between[rows, distance.indices], distance.values[:, None]
    if norm == "linf":
        step = size * slope.sign()
    elif norm == "l2":
        step = size * slope / slope.norm(dim=1, keepdim=True)
    else:
        best = slope.abs().argmax(dim=1, keepdim=True)
        step = torch.zeros_like(slope).scatter(1, best, size * slope.gather(1, best).sign())
    reached = (x.flatten(1).double() + step) @ weight.T
    lead = reached.gather(1, target[:, None]) - reached
    return distance.values, (lead > -1e-9).all(dim=1)


def known(classes: int, norm: str) -> tuple[Linear, Tensor, Tensor, Tensor, Tensor]:
    """A linear network, images around grey, labels, targets, and distances to the targets."""
    model = Linear(classes, SHAPE)
    x = 0.5 + 0.05 * torch.randn(400, *SHAPE, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(dim=1)
    target = (y + 1 + torch.arange(400) % (classes - 1)) % classes
    distance, exact = to_class(model, x, target, norm)
    linf, _ = to_class(model, x, target, "linf")
    far = 0.25 if norm == "l1" else torch.inf  # one pixel bears the whole L1 perturbation
    chosen = (exact & (linf > 0.005) & (linf < 0.2) & (distance < far)).nonzero()[:16, 0]
    assert len(chosen) >= 8
    return model, x[chosen], y[chosen], target[chosen], distance[chosen]


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize(("name", "norm"), CASES)
def test_a_linear_network_gives_way_at_the_distance_of_the_target(
    name: str, norm: str, classes: int
) -> None:
    if name == "fgsm" and classes > 2:
        pytest.skip("one step of cross-entropy heads for the nearest class of two alone")
    model, x, y, target, optimum = known(classes, norm)
    keys, given = torch.arange(len(x)) * 3, SETTINGS.get(name, {})
    view = Targeted(Oracle(model), keys, target)
    zeros = torch.zeros_like(y)
    if ATTACKS[name].kind == "minimum":
        found = load(ATTACKS[name])(view, x, zeros, norm, keys=keys, **given)
        assert torch.equal(model(found).argmax(dim=1), target)
        ratio = ThreatModel(norm, 1.0).distance(found, x) / optimum
        assert ratio.min() >= 1 - 1e-4
        assert ratio.max() <= FACTOR[name], ratio
        return
    factor = FACTOR[name]
    for scale, reached in ((factor, True), (0.999, False)):
        threat = ThreatModel(norm, scale * optimum.float().view(-1, 1, 1, 1))
        effort = given if reached else given | QUICK.get(name, {})
        found = load(ATTACKS[name])(view, x, zeros, threat, keys=keys, **effort)
        assert ((model(found).argmax(dim=1) == target) == reached).all(), scale


def test_broken_is_what_is_predicted_as_its_target_and_nothing_else() -> None:
    _, _, x, y = digits()
    model, keys = trained(), torch.arange(len(x)) + 1000
    targets = (y + 3) % 10
    clean = model(x).argmax(dim=1)
    targets[(clean != y).nonzero()[-1, 0]] = clean[clean != y][-1]
    already = clean == targets
    assert already.any()
    assert ((clean != y) & ~already).any()
    threat = ThreatModel("linf", 0.15)
    result = evaluate(model, x, y, threat, targets=targets, keys=keys)
    assert result.broken[already].all()
    rows, times = result.suite.rows, len(result.attackers)
    assert (rows["distance"][already.repeat(times)] == 0).all()
    assert torch.equal(rows["label"], y.repeat(times))
    assert torch.equal(rows["clean_pred"], clean.repeat(times))
    found = result.witnesses
    assert len(found.index) > 30
    assert torch.equal(model(found.x_adv).argmax(dim=1), targets[found.index - 1000])
    assert torch.equal(found.prediction, targets[found.index - 1000])
    assert torch.equal(found.label, y[found.index - 1000])
    assert set(found.index.tolist()) == set(keys[result.broken & ~already].tolist())
    # Driven anywhere is easier than driven there, and a third class is no success.
    anywhere = evaluate(model, x, y, threat, signs=0).broken
    assert result.broken.sum() < anywhere.sum() - 100
    still = evaluate(model, x, y, ThreatModel("linf", 1e-6), targets=targets, keys=keys)
    assert torch.equal(still.broken, already)
    assert "kept from target" in str(result)
    assert result.robust_acc == 1 - float(result.broken.double().mean())


def test_with_two_classes_the_target_is_the_other_one() -> None:
    model = Linear(2, SHAPE)
    x = 0.5 + 0.1 * torch.randn(60, *SHAPE, generator=torch.Generator().manual_seed(0))
    y = model(x.clamp(0, 1)).argmax(dim=1)
    y[:9] = 1 - y[:9]
    threat, x = ThreatModel("l2", 0.15), x.clamp(0, 1)
    targeted = evaluate(model, x, y, threat, targets=1 - y)
    untargeted = evaluate(model, x, y, threat, signs=0)
    assert 9 < targeted.broken.sum() < 60
    assert torch.equal(targeted.broken, untargeted.broken)


@pytest.mark.parametrize("name", ["pgd", "square", "fab", "deepfool"])
def test_batch_size_order_and_subset_change_no_bit(name: str) -> None:
    _, _, x, y = digits()
    x, y, keys = x[:30], y[:30], torch.arange(30) * 11 + 5
    targets, model, threat = (y + 1) % 10, trained(), ThreatModel("linf", 0.2)
    ensemble = [{"attack": name, **QUICK.get(name, {})}]

    def run(rows: Tensor) -> dict[int, tuple]:
        result = evaluate(
            model, x[rows], y[rows], threat, ensemble, targets=targets[rows], keys=keys[rows]
        )
        columns = [
            result.suite.rows[n].tolist()
            for n in ("index", "outcome", "adv_pred", "distance", "margin", "forwards", "backwards")
        ]
        return {key: repr(rest) for key, *rest in zip(*columns, strict=True)}

    whole = run(torch.arange(30))
    for size in (1, 7):
        for begin in range(0, 14, size):
            part = run(torch.arange(begin, begin + size))
            assert part.items() <= whole.items()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    assert run(order[:20]).items() <= whole.items()


def test_an_attack_alone_takes_the_view_as_its_model() -> None:
    _, _, x, y = digits()
    keys, targets = torch.arange(100), (y[:100] + 1) % 10
    view = Targeted(Oracle(trained()), keys, targets)
    zeros = torch.zeros_like(targets)
    found = pgd(view, x[:100], zeros, ThreatModel("linf", 0.3), keys=keys, restarts=2)
    fell = trained()(found).argmax(dim=1) == targets
    assert fell.sum() > 60
    assert torch.equal(is_broken(view.logits(found, keys), zeros), fell)


def test_targets_that_mean_nothing_are_refused() -> None:
    _, _, x, y = digits()
    x, y, threat = x[:5], y[:5], ThreatModel("linf", 0.1)
    for targets, error, message in (
        (y, ThreatError, "its own label"),
        ((y + 1)[:3], ThreatError, "one int64 class for each"),
        (y.float() + 1, ThreatError, "one int64 class for each"),
        (torch.full_like(y, 10), ModelError, "10 outputs"),
        (torch.full_like(y, -1), ModelError, "10 outputs"),
    ):
        with pytest.raises(error, match=message):
            evaluate(trained(), x, y, threat, targets=targets)
