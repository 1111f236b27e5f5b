"""8-bit mode: perturbed images are ones that a file can hold, and break after being stored."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from attacks import ThreatModel, evaluate
from attacks.beyond.transformation import Transformation
from attacks.errors import ThreatError
from attacks.losses import is_broken, margin
from attacks.noise import in_ball
from attacks.oracle import Oracle
from attacks.registry import ATTACKS
from attacks.threat import NORMS
from attacks.views.levels import Levels, rounded, rounded_inside
from attacks.views.targeted import Targeted, against
from networks import Linear, digits, trained
from test_attacks import QUICK

EPS = {"linf": 20 / 255, "l2": 0.5, "l1": 2.5}
CASES = [(name, n) for name, entry in ATTACKS.items() for n in entry.norms if n in NORMS]


@pytest.fixture(autouse=True)
def _no_graphs() -> Iterator[None]:
    with torch.no_grad():
        yield


def stored(count: int) -> tuple[Tensor, Tensor]:
    """Digits as 8-bit files hold them."""
    _, _, x, y = digits()
    return (x[:count] * 255).round().to(torch.uint8).float() / 255, y[:count]


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_what_broke_it_breaks_it_after_a_trip_through_an_8_bit_file(name: str, norm: str) -> None:
    x, y = stored(50)
    ensemble = [{"attack": name, **QUICK.get(name, {})}]
    threat = ThreatModel(norm, EPS[norm])
    result = evaluate(trained(), x, y, threat, ensemble, levels=256, signs=0)
    found = result.witnesses
    assert len(found.index) > 4
    assert ((found.x_adv * 255) == (found.x_adv * 255).round()).all()
    file = (found.x_adv * 255).to(torch.uint8)
    read = file.float() / 255
    assert torch.equal(read, found.x_adv)
    again = Oracle(trained()).judged(read, found.index)
    assert is_broken(again, y[found.index]).all()
    assert (threat.distance(read, x[found.index]) <= EPS[norm] + 1e-6).all()
    assert result.levels == 256
    assert "256 levels" in str(result)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_rounding_stays_in_the_ball_and_gives_away_no_more_than_it_must(
    norm: str, levels: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = rounded(torch.rand(300, 1, 6, 6, generator=generator), levels)
    top = levels - 1
    eps = {"linf": max(1, top // 12) / top, "l2": 0.9, "l1": 4.0}[norm]
    threat = ThreatModel(norm, eps)
    inside = threat.project(x + 3 * in_ball(torch.arange(300), (1, 6, 6), threat), x)
    found = rounded_inside(inside, x, norm, eps, levels)
    assert torch.equal(found, rounded(found, levels))
    assert found.min() >= 0
    assert found.max() <= 1
    assert (threat.distance(found, x) <= eps + 1e-6).all()
    assert ((found - inside).abs() * top < 1 + 1e-4).all()
    nearest = rounded(inside, levels)
    fits = threat.distance(nearest, x) <= eps + 5e-7
    assert torch.equal(found[fits], nearest[fits])
    if norm == "linf":
        assert fits.all()
    elif levels > 2:
        assert not fits.all()
        # One pixel less rounded back, and it would not fit: short of the ball by one level at most.
        assert (threat.distance(found, x)[~fits] > eps - 1.01 / top).all()


def test_images_without_a_perturbation_stay_as_they_are() -> None:
    for levels in (17, 256):
        x = torch.arange(levels).float().view(-1, 1, 1, 1) / (levels - 1)
        assert torch.equal(rounded(x, levels), x)
        for norm in NORMS:
            assert torch.equal(rounded_inside(x, x, norm, 0.0, levels), x)


def test_the_search_sees_what_is_judged() -> None:
    """With two levels to either side, most of a perturbation is lost in rounding it at the end."""
    _, _, x, y = digits()
    threat, ensemble = ThreatModel("linf", 1 / 16), [{"attack": "pgd", "steps": 30}]
    aware = evaluate(trained(), x, y, threat, ensemble, levels=17, signs=0)
    free = evaluate(trained(), x, y, threat, ensemble, signs=0)
    late = rounded(free.witnesses.x_adv, 17)
    held = is_broken(trained()(late), free.witnesses.label)
    wrong = int((trained()(x).argmax(dim=1) != y).sum())
    assert free.broken.sum() >= aware.broken.sum()
    assert aware.broken.sum() > wrong + held.sum() + 10


def test_a_linear_network_falls_at_the_level_beyond_its_distance() -> None:
    model = Linear(2, (1, 6, 9))
    x = torch.rand(80, 1, 6, 9, generator=torch.Generator().manual_seed(3))
    x = rounded(0.1 + 0.8 * x, 256)
    y = model(x).argmax(dim=1)
    optimum = model.optimum(x, y, "linf")
    for level in (2, 6, 12):
        # The corner of the ball is on the grid, and the best point there is.
        threat = ThreatModel("linf", level / 255)
        broken = evaluate(model, x, y, threat, "fast", levels=256, signs=0).broken
        assert 3 < broken.sum() < 77
        assert torch.equal(broken, optimum < level / 255)


def test_batch_size_order_and_subset_change_no_bit() -> None:
    x, y = stored(20)
    keys = torch.arange(20) * 7
    ensemble = [{"attack": "pgd", "steps": 8}, {"attack": "square", "queries": 60}]

    def run(rows: Tensor) -> dict[int, list[str]]:
        result = evaluate(
            trained(), x[rows], y[rows], ThreatModel("l2", 0.4), ensemble,
            keys=keys[rows], levels=256, signs=0,
        )  # fmt: skip
        found: dict[int, list[str]] = {}
        names = ("index", "outcome", "adv_pred", "distance", "margin", "forwards", "backwards")
        for key, *rest in zip(*(result.suite.rows[n].tolist() for n in names), strict=True):
            found.setdefault(key, []).append(repr(rest))
        return found

    whole = run(torch.arange(20))
    for size in (1, 7):
        for begin in range(0, 14, size):
            assert run(torch.arange(begin, begin + size)).items() <= whole.items()
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    assert run(order[:13]).items() <= whole.items()


@pytest.mark.parametrize("norm", NORMS)
def test_an_attack_held_in_a_ball_sees_what_will_be_judged(norm: str) -> None:
    x, y = stored(40)
    keys, eps = torch.arange(40) * 5, torch.linspace(0.2, 1, 40).double() * EPS[norm]
    if norm == "linf":
        eps = (eps * 255).round() / 255
    threat = ThreatModel(norm, eps.float().view(-1, 1, 1, 1))
    x_adv = threat.project(x + 3 * in_ball(keys, (1, 8, 8), threat), x)
    plain = Oracle(trained(), slots=16)
    targeted = Targeted(Levels(plain, 256), keys, (y + 1) % 10)  # views lie on each other
    held = targeted.within(keys, x, norm, eps)
    settled = targeted.settle(x_adv, x, norm, eps)
    some = torch.tensor([7, 31, 2])
    judged = against(plain.judged(settled, keys), (y + 1) % 10)
    assert torch.equal(held.logits(x_adv[some], keys[some]), judged[some])
    seen = held.ascent(x_adv, keys, margin, torch.zeros_like(y))
    assert torch.equal(seen.logits, judged)
    if norm != "linf":
        assert not torch.equal(targeted.logits(x_adv, keys), judged)


def test_the_judge_is_shown_what_it_is_given() -> None:
    """Rounding is for the search: a verdict on an image off the grid is that image's."""
    x, _ = stored(10)
    off = (x + 0.001).clamp(0, 1)
    keys, plain = torch.arange(10), Oracle(trained())
    assert torch.equal(Levels(plain, 256).judged(off, keys), plain.judged(off, keys))
    assert torch.equal(Levels(plain, 256).logits(off, keys), plain.logits(x, keys))


def test_what_has_no_place_on_the_grid_is_refused() -> None:
    _, _, x, y = digits()
    eight, _ = stored(len(x))
    for images, threat, levels, message in (
        (x, ThreatModel("linf", 8 / 255), 256, "not on the grid k/255"),
        (eight, ThreatModel("linf", 0.03), 256, "between 7/255 and 8/255"),
        (eight, ThreatModel("l2", 0.5), 1, "levels must be"),
        (eight, ThreatModel("l2", 0.5), 256.0, "levels must be"),
        (eight, Transformation("rotation", 10.0), 256, "rotation"),
    ):
        with pytest.raises(ThreatError, match=message):
            evaluate(trained(), images, y, threat, levels=levels)
