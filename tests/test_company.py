"""The headline ensemble on the CPU: an image's verdict is the same bits in any company."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from attacks.registry import ATTACKS, load, resolve
from attacks.suite import SuiteResult, run_suite
from attacks.threat import ThreatModel
from attacks.verdict import BROKEN
from networks import digits, trained

EPS = {"linf": 0.08, "l2": 0.5}  # in L1 a judgement takes three times as long
COUNT = 8


def chosen(norm: str) -> Tensor:
    """Images whose nearest adversarial image is about as far away as the budget reaches, and two
    that are far from falling."""
    _, _, x, y = digits()
    rows = (trained()(x).argmax(1) == y).nonzero()[:100, 0]
    found = load(ATTACKS["fmn"])(trained(), x[rows], y[rows], norm, keys=rows, steps=30)
    away = ThreatModel(norm, 1.0).distance(found, x[rows]) - EPS[norm]
    order = away.abs().argsort()
    return rows[torch.cat([order[: COUNT - 2], away.argsort()[-2:]])]


def judged(rows: Tensor, norm: str) -> SuiteResult:
    _, _, x, y = digits()
    attackers = resolve("standard", norm)
    return run_suite(trained(), x[rows], y[rows], norm, [EPS[norm]], attackers, keys=rows)


def of_each(result: SuiteResult) -> dict[int, list[str]]:
    """By image, all that is told of it, its floats to the last bit and its witness with them."""
    found: dict[int, list[str]] = {}
    for row, key in enumerate(result.rows["index"].tolist()):
        told = [f"{name} {values[row].item()!r}" for name, values in result.rows.items()]
        found.setdefault(key, []).extend(told)
    for row, key in enumerate(result.witnesses.index.tolist()):
        found[key].append(str(result.witnesses.x_adv[row].tolist()))
    return found


@pytest.mark.parametrize("norm", EPS)
def test_batch_size_order_and_subset_change_no_bit_of_the_headline(norm: str) -> None:
    rows = chosen(norm)
    result = judged(rows, norm)
    whole = of_each(result)
    broken = (result.rows["outcome"] == BROKEN).view(-1, COUNT).any(dim=0)
    assert 2 <= broken.sum() <= COUNT - 2
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    unbroken = int((~broken).nonzero()[0, 0])  # so near, and unbroken, it meets all attacks
    for part in (order[1:], torch.tensor([unbroken])):
        found = of_each(judged(rows[part], norm))
        assert found == {key: whole[key] for key in rows[part].tolist()}
