"""Who is attacked again, and what the race of Square gives up."""

from __future__ import annotations

import torch

from attacks.fixed.multitargeted import multitargeted
from attacks.fixed.square import square
from attacks.losses import margin
from attacks.oracle import Oracle
from attacks.registry import resolve
from attacks.suite import run_suite
from attacks.threat import ThreatModel
from networks import digits, trained


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
        found = square(oracle, x, y, threat, keys=keys, queries=1500, race=race)
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
