"""Who is attacked again, and what the race of Square gives up."""

from __future__ import annotations

import torch

from asked import Asked
from attacks.fixed.multitargeted import multitargeted
from attacks.fixed.square import square
from attacks.losses import margin
from attacks.minimum.fmn import fmn
from attacks.oracle import Oracle
from attacks.registry import resolve
from attacks.suite import run_suite
from attacks.threat import ThreatModel
from networks import Linear, digits, near_boundary, trained


def right(count: int):
    _, _, x, y = digits()
    model = trained()
    rows = (model(x).argmax(1) == y).nonzero()[:count, 0]
    return model, x[rows], y[rows], rows


def test_only_examples_close_to_the_boundary_are_attacked_again() -> None:
    model, x, y, keys = right(40)
    oracle, threat = Oracle(model), ThreatModel("linf", 0.1)
    with torch.no_grad():
        clean = margin(model(x), y)
        # What is known of half of the examples: an image that has half of the way behind it.
        closest = torch.full_like(x, torch.nan)
        closest[:20] = multitargeted(oracle, x, y, ThreatModel("linf", 0.04), keys=keys)[:20]
        share = margin(model(closest[:20]), y[:20]) / clean[:20]
    within = float(share.median())
    before, _ = oracle.passes(keys)
    found = multitargeted(
        oracle, x, y, threat, keys=keys, closest=closest, within=within, targets=2, steps=5
    )
    spent = oracle.passes(keys)[0] - before
    far = torch.zeros(40, dtype=torch.bool)
    far[:20] = share > within
    assert 5 <= int(far.sum()) <= 15
    assert torch.equal(found[far], x[far])
    assert int(spent[far].max()) <= 2  # the two passes that say how far it is
    # The others are attacked: those that are close, and those of which nothing is known.
    assert ((found - x).flatten(1).abs().amax(dim=1) > 0)[~far].all()


def test_a_suite_hands_on_the_closest_image_of_the_same_budget() -> None:
    """With rounds that take what is close, the suite breaks what rounds for everyone break."""
    model, x, y, keys = right(60)
    first = {"attack": "multitargeted", "name": "first", "targets": 1, "steps": 4}
    second = {"attack": "multitargeted", "name": "second", "steps": 20}
    results = {}
    for within in (1.0, 0.6, 0.0):
        attackers = resolve([first, second | {"within": within}], "linf")
        results[within] = run_suite(model, x, y, "linf", [0.05, 0.08], attackers, keys=keys)
    broken = {
        within: int((result.rows["outcome"].view(2, 2, 60) == 1).any(dim=1).sum())
        for within, result in results.items()
    }
    spent = {within: int(result.rows["forwards"].sum()) for within, result in results.items()}
    assert broken[0.6] >= broken[1.0] - 1
    assert broken[0.0] < broken[0.6]  # nobody is at the boundary itself: the second round is empty
    assert spent[0.0] < spent[0.6] < spent[1.0]


def test_a_race_breaks_what_the_whole_search_breaks_and_asks_less() -> None:
    model, x, y, keys = right(80)
    threat = ThreatModel("linf", 0.12)
    broken, asked = {}, {}
    for race in (False, True):
        oracle = Oracle(model)
        found = square(oracle, x, y, threat, keys=keys, queries=3000, race=race)
        with torch.no_grad():
            broken[race] = model(found).argmax(1) != y
        asked[race] = oracle.passes(keys)[0]
    assert 10 <= int(broken[False].sum()) <= 70
    # A raced example walks the same path, and is only ever given up earlier.
    assert not (broken[True] & ~broken[False]).any()
    assert int((broken[False] & ~broken[True]).sum()) <= 2
    unbroken = ~broken[False]
    assert asked[True][unbroken].sum() < asked[False][unbroken].sum() / 2


def test_a_race_does_not_depend_on_company() -> None:
    model, x, y, keys = right(30)
    threat = ThreatModel("linf", 0.1)
    whole = square(model, x, y, threat, keys=keys, queries=600, race=True)
    for rows in (torch.arange(29, -1, -1), torch.tensor([3]), torch.arange(0, 30, 4)):
        alone = square(model, x[rows], y[rows], threat, keys=keys[rows], queries=600, race=True)
        assert torch.equal(alone, whole[rows])


class Bowl(torch.nn.Module):
    """Equally near the boundary in every corner of a ball around grey; broken from 0.102 on."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        margin = 0.102 - (x - 0.5).abs().flatten(1).mean(dim=1)
        return torch.stack([margin, torch.zeros_like(margin)], dim=1)


def test_a_race_ends_where_random_search_rests_no_nearer_than_gradients_came() -> None:
    x, y = torch.full((3, 1, 3, 3), 0.5), torch.zeros(3, dtype=torch.int64)
    threat, closest, oracle = ThreatModel("linf", 0.1), x + 0.1, Oracle(Bowl())
    closest[1] -= 0.05  # random search came nearer
    closest[2] = torch.nan  # there was nothing before it
    square(oracle, x, y, threat, keys=torch.arange(3), closest=closest, race=True)
    # Beside the queries each image is asked once, and what is known.
    assert oracle.passes(torch.arange(3))[0].tolist() == [1002, 5002, 5001]


class Cliff(torch.nn.Module):
    """Clean margins of almost nothing, in a hollow: most of the ball is far from the boundary."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        move = x.flatten(1)[:, 0] - 0.5
        margin = 1e-4 + 40 * move.square() - 60 * move.clamp_min(0).pow(3) * 8
        return torch.stack([margin, torch.zeros_like(margin)], dim=1)


def test_images_on_the_brink_are_not_given_up_for_a_bad_start() -> None:
    x, y = torch.full((8, 1, 2, 2), 0.5), torch.zeros(8, dtype=torch.int64)
    keys, threat = torch.arange(8), ThreatModel("linf", 0.3)
    for steps in (2, 6, 30):
        found = multitargeted(Cliff(), x, y, threat, keys=keys, steps=steps)
        assert (Cliff()(found).argmax(1) == 1).sum() >= 4, steps
    for queries in (40, 400):
        found = square(Cliff(), x, y, threat, keys=keys, queries=queries, race=True)
        assert (Cliff()(found).argmax(1) == 1).sum() >= 4, queries


def test_an_attack_that_made_things_worse_does_not_stop_the_next() -> None:
    model, x, y, keys = right(10)
    images = x.clone().requires_grad_(True)
    # Not `backward`, which would leave gradients on the network that other tests share.
    (grad,) = torch.autograd.grad(margin(model(images), y).sum(), images)
    away = (x - 0.1 * grad.sign()).clamp(0, 1)
    with torch.no_grad():
        worse = margin(model(away), y) < margin(model(x), y)
    assert worse.sum() >= 5
    threat = ThreatModel("linf", 0.1)
    found = multitargeted(model, x, y, threat, keys=keys, closest=away, within=0.3, steps=4)
    assert ((found - x).flatten(1).abs().amax(dim=1) > 0)[worse].all()


def test_refining_begins_at_the_closest_image_and_at_the_nearest_beyond_the_ball() -> None:
    model, x, y, keys = right(10)
    close, beyond = (x + 0.02).clamp(0, 1), (x - 0.11).clamp(0, 1)
    close[7:], beyond[:3] = torch.nan, torch.nan  # where no such image is known
    beyond[6] = (x[6] - 0.2).clamp(0, 1)  # too far
    threat, oracle = ThreatModel("linf", 0.1), Asked(model)
    settings = {"targets": 2, "restarts": 3, "steps": 1, "within": 2.0, "refine": True}
    multitargeted(oracle, x, y, threat, keys=keys, closest=close, nearest=beyond, **settings)
    begun = oracle.climbed[0].view(3, 2, 10, *x.shape[1:])
    assert begun.isfinite().all()

    def begin(images: torch.Tensor) -> torch.Tensor:
        there = threat.project(images.nan_to_num(0), x).where(images.isfinite(), torch.nan)
        return (begun - there).abs().flatten(3).amax(dim=3) < 1e-6

    first, second = begin(close), begin(beyond)
    assert first[0, :, :7].all()
    assert second[1][:, [3, 4, 5, 7, 8, 9]].all()
    first[0, :, :7] = second[1][:, [3, 4, 5, 7, 8, 9]] = False
    assert not first.any()  # all others at random
    assert not second.any()


def test_what_lies_just_outside_the_ball_is_worth_refining_however_far_the_rest() -> None:
    model, x, y, keys = right(20)
    threat = ThreatModel("linf", 0.04)
    found = fmn(model, x, y, "linf", keys=keys, steps=50)
    distance = threat.distance(found, x)
    assert (distance < 1.15 * 0.04).any()
    assert (distance > 1.15 * 0.04).any()
    oracle = Oracle.of(model)
    settings = {"targets": 1, "steps": 2, "within": 0.0, "refine": True}
    multitargeted(oracle, x, y, threat, keys=keys, closest=x, nearest=found, **settings)
    assert torch.equal(oracle.passes(keys)[1] > 0, distance <= 1.15 * 0.04)


def test_refining_takes_no_second_run_for_a_first_where_classes_are_few() -> None:
    shape = (1, 4, 4)
    model = Linear(3, shape)
    x, y, _ = near_boundary(model, 5, shape, "linf")
    oracle, threat, keys = Asked(model), ThreatModel("linf", 1e-4), torch.arange(len(x))
    settings = {"targets": 4, "restarts": 2, "steps": 1, "within": 2.0}
    multitargeted(oracle, x, y, threat, keys=keys, closest=x, refine=True, **settings)
    first, second = (oracle.climbed[0].view(2, 2, *x.shape) == x).flatten(2).all(dim=2)
    assert first.all()
    assert not second.any()


class Spike(torch.nn.Module):
    """All but broken where the first pixel is 0.6, far from it anywhere else."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        move = x.flatten(1)[:, 0] - 0.6
        margin = 1 - 0.95 * torch.exp(-move.square() / 2e-6)
        return torch.stack([margin, torch.zeros_like(margin)], dim=1)


def test_runs_end_that_do_not_come_near_wherever_they_began() -> None:
    x, y = torch.full((4, 1, 2, 2), 0.5), torch.zeros(4, dtype=torch.int64)
    there, threat, keys = x.clone(), ThreatModel("linf", 0.3), torch.arange(4)
    there[:, :, 0, 0] = 0.6
    settings = {"targets": 1, "steps": 24, "closest": there, "refine": True, "within": 2.0}
    oracle = Oracle(Spike())
    found = multitargeted(oracle, x, y, threat, keys=keys, **settings)
    assert torch.equal(found, there)  # nothing better was found, and what was known is kept
    forwards, backwards = oracle.passes(keys)
    # The image and `closest` are asked, then the points up to a sixth of the steps.
    assert forwards.tolist() == [7] * 4
    assert backwards.tolist() == [5] * 4
