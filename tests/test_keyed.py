"""Random numbers belong to the example: not to its batch, not to torch's generator."""

from __future__ import annotations

import torch

from attacks import keyed


def test_an_example_draws_the_same_alone_and_in_any_company() -> None:
    keys = torch.arange(50)
    together = keyed.normal(keyed.stream(keys, 3, "pgd", 1), (2, 5, 4))
    for row in (0, 7, 49):
        alone = keyed.normal(keyed.stream(keys[row : row + 1], 3, "pgd", 1), (2, 5, 4))
        assert torch.equal(alone[0], together[row])
    backwards = keyed.normal(keyed.stream(keys.flip(0), 3, "pgd", 1), (2, 5, 4))
    assert torch.equal(backwards.flip(0), together)


def test_every_part_of_the_purpose_changes_the_draw() -> None:
    keys = torch.arange(4)
    draws = [
        keyed.uniform(keyed.stream(keys, *purpose), (8,))
        for purpose in ((0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1))
    ]
    for first in range(4):
        for second in range(first):
            assert not torch.equal(draws[first], draws[second])


def test_the_draws_have_the_distributions_they_claim() -> None:
    state = keyed.stream(torch.arange(200), 0, "moments")
    count = 200 * 1000
    uniform = keyed.uniform(state, (1000,)).double()
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 5 * (1 / 12 / count) ** 0.5
    assert abs(uniform.var() - 1 / 12) < 5 * (1 / 180 / count) ** 0.5
    normal = keyed.normal(state, (1000,)).double()
    assert abs(normal.mean()) < 5 / count**0.5
    assert abs(normal.var() - 1) < 5 * (2 / count) ** 0.5
    assert abs((normal**4).mean() - 3) < 5 * (96 / count) ** 0.5
    assert abs((normal[:, 1:] * normal[:, :-1]).mean()) < 5 / count**0.5
    signs = keyed.signs(state, (1000,))
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(signs.double().mean()) < 5 / count**0.5
    integers = keyed.integers(keyed.stream(torch.arange(70000), 0), 7)
    assert ((integers.bincount(minlength=7) - 10000).abs() < 5 * 10000**0.5).all()


def test_torchs_own_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    keyed.normal(keyed.stream(torch.arange(3), 0), (4,))
    assert torch.equal(torch.get_rng_state(), before)
