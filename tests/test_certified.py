"""No attack breaks a point that is provably safe; if one did, the attack or the verdict were wrong.

The proof knows nothing of attacks, and the attacks nothing of it.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

import certificates
from attacks.registry import ATTACKS, L_NORMS, NOISE, Attacker, Entry
from attacks.suite import run_suite
from attacks.verdict import BROKEN
from networks import digits

EPS = {"linf": 0.12, "l2": 0.35, "l1": 0.6}
FEW = {"square": {"queries": 500}, "cw": {"steps": 30}}


@functools.cache
def judged() -> tuple[Tensor, Tensor]:
    _, _, x, y = digits()
    return x, y


def cases(entries: dict[str, Entry]) -> list[tuple[str, str]]:
    return [(name, n) for name, entry in entries.items() for n in entry.norms if n in L_NORMS]


def broken(name: str, entry: Entry, norm: str, settings: dict[str, Any]) -> Tensor:
    """(N,) bool: misread as it is, or broken by this attack alone."""
    x, y = judged()
    attacker = Attacker(name, name, entry, settings)
    found = run_suite(certificates.trained(), x, y, norm, [EPS[norm]], [attacker])
    assert not found.errors
    return found.rows["outcome"] == BROKEN


@pytest.mark.parametrize("norm", L_NORMS)
def test_enough_points_are_certified_and_others_are_not(norm: str) -> None:
    x, y = judged()
    safe = certificates.certified(x, y, EPS[norm], norm)
    right = certificates.trained()(x).argmax(dim=1) == y
    assert 100 <= safe.sum() <= right.sum() - 50
    assert not (safe & ~right).any()


@pytest.mark.parametrize(("name", "norm"), cases(ATTACKS))
def test_no_attack_breaks_a_certified_point(name: str, norm: str) -> None:
    x, y = judged()
    fell = broken(name, ATTACKS[name], norm, FEW.get(name, {}))
    safe = certificates.certified(x, y, EPS[norm], norm)
    assert not (fell & safe).any()
    wrong = certificates.trained()(x).argmax(dim=1) != y
    assert (fell & ~wrong).sum() >= 10  # it did attack, and the others do break


@pytest.mark.parametrize(("name", "norm"), cases(NOISE))
def test_no_noise_breaks_a_certified_point(name: str, norm: str) -> None:
    x, y = judged()
    fell = broken(name, NOISE[name], norm, {"draws": 100})
    assert not (fell & certificates.certified(x, y, EPS[norm], norm)).any()


def test_no_random_corner_leaves_the_bounds() -> None:
    """The certificate itself: what is sampled in the box lies inside the bounds of every gap."""
    x, y = judged()
    model, eps = certificates.network().double(), EPS["linf"]
    model.load_state_dict(certificates.trained().state_dict())
    x = x.double()
    bound = certificates.worst_gaps(model, x, y, eps, "linf")
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        corner = torch.randint(0, 2, x.shape, generator=generator) * 2 - 1
        logits = model((x + eps * corner).clamp(0, 1))
        gaps = logits - logits.gather(1, y[:, None])
        assert (gaps <= bound + 1e-9).all()


def test_a_wrong_certificate_would_be_noticed() -> None:
    """Of points certified in a ball a third as large, attacks break many in the whole ball."""
    x, y = judged()
    nearly = certificates.certified(x, y, EPS["linf"] / 3, "linf")
    assert (broken("pgd", ATTACKS["pgd"], "linf", {}) & nearly).sum() >= 20
