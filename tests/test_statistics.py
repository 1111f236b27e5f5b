"""The report's statistics against values known in closed form or from other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pipeline.report import statistics

GRID = np.array([0.1, 0.2, 0.4])


def _broken(smallest: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """(N, E) of images that stay broken from their smallest breaking eps on."""
    return smallest[:, None] <= grid * (1 + 1e-9)


def _breaks(smallest: np.ndarray, grid: np.ndarray) -> statistics.Breaks:
    broken = _broken(smallest, grid)
    return statistics.Breaks(broken, broken, grid)


@pytest.mark.parametrize(("count", "n"), [(0, 50), (17, 50), (50, 50), (431, 1000)])
def test_wilson_interval_is_the_roots_of_its_quadratic(count: int, n: int) -> None:
    low, high = statistics.wilson(count, n)
    z = stats.norm.ppf(0.975)
    for end in (low, high):
        assert (count / n - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / n, abs=1e-12)
    assert low <= count / n + 1e-12
    assert count / n <= high + 1e-12


def test_an_error_makes_accuracy_a_range_and_never_a_result() -> None:
    value = statistics.accuracy(60, 100, unknown=10)
    assert (value.value, value.upper, value.complete) == (0.6, 0.7, False)
    assert value.low == statistics.wilson(60, 100)[0]
    assert value.high == statistics.wilson(70, 100)[1]
    assert statistics.accuracy(60, 100).complete


def test_crossing_interpolates_between_grid_points() -> None:
    assert statistics.crossing(GRID, np.array([0.2, 0.6, 1.0]), 0.5) == pytest.approx(0.175)
    assert statistics.crossing(GRID, np.array([0.2, 0.6, 1.0]), 0.1) == pytest.approx(0.05)
    assert statistics.crossing(GRID, np.array([0.2, 0.3, 0.49]), 0.5) == math.inf
    assert statistics.crossing(GRID, np.array([0.2, 0.5, 0.5]), 0.5) == pytest.approx(0.2)


def test_crossing_reads_many_curves_at_once() -> None:
    curves = np.array([[0.2, 0.6, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.1]])
    assert statistics.crossing(GRID, curves, 0.5).tolist() == pytest.approx([0.175, 0.3, math.inf])


def test_eps50_of_evenly_spread_thresholds() -> None:
    grid = np.linspace(0.05, 1, 20)
    thresholds = (np.arange(1000) + 0.5) / 1000
    smallest = grid[np.searchsorted(grid, thresholds)]
    found = statistics.breaking_eps(_broken(smallest, grid), grid, 0.5)
    assert found.value == pytest.approx(0.5, abs=1e-6)
    # the order statistics that bracket the median of 1000: 0.5 -+ 1.96 * sqrt(.25 / 1000)
    assert found.low == pytest.approx(0.469, abs=0.002)
    assert found.high == pytest.approx(0.532, abs=0.002)


def test_eps50_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    grid = np.linspace(0.02, 1, 50)
    hits = 0
    for _ in range(400):
        smallest = grid[np.searchsorted(grid, rng.uniform(0, 1, 120))]
        found = statistics.breaking_eps(_broken(smallest, grid), grid, 0.5)
        hits += found.low <= 0.5 <= found.high
    assert 0.92 <= hits / 400 <= 0.995


def test_eps_that_is_not_reached_is_bounded_not_guessed() -> None:
    smallest = np.array([0.1] * 30 + [math.inf] * 70)
    found = statistics.breaking_eps(_broken(smallest, GRID), GRID, 0.5)
    assert not found.reached
    assert found.limit == 0.4
    assert statistics.breaking_eps(_broken(smallest, GRID), GRID, 0.1).value == pytest.approx(
        0.1 / 3
    )


def test_errors_make_eps50_a_range_from_all_broken_to_all_survived() -> None:
    smallest = np.array([0.1] * 30 + [0.4] * 70)
    most = np.where(np.arange(100) % 2, smallest, 0.1)
    broken, possible = _broken(smallest, GRID), _broken(most, GRID)
    sure = statistics.breaking_eps(broken, GRID, 0.5)
    unsure = statistics.breaking_eps(broken, GRID, 0.5, possible)
    assert sure.complete
    assert not unsure.complete
    assert unsure.value == statistics.breaking_eps(possible, GRID, 0.5).value < sure.value
    assert (unsure.upper, unsure.high) == (sure.value, sure.high)
    assert unsure.low < sure.low


def test_eps50_of_noise_that_breaks_less_at_a_larger_eps_is_its_smallest_crossing() -> None:
    shares = [0.6, 0.3, 1.0]
    broken = np.stack([np.arange(100) < 100 * share for share in shares], axis=1)
    found = statistics.breaking_eps(broken, GRID, 0.5)
    assert found.value == pytest.approx(0.1 * 0.5 / 0.6)
    assert statistics.broken_shares(broken).tolist() == [0.6, 0.6, 1.0]


def test_no_image_read_rightly_gives_no_eps50_and_no_bound() -> None:
    found = statistics.breaking_eps(np.zeros((0, 3), bool), GRID, 0.5)
    assert not found.known
    assert found.few


@pytest.mark.parametrize("n", [0, 1, statistics.FEW - 1])
@pytest.mark.filterwarnings("error")
def test_no_multiple_is_told_of_too_few_images(n: int) -> None:
    breaks = _breaks(np.full(n, 0.1), GRID)
    found = statistics.eps50_ratio(breaks, breaks)
    assert not found.known
    assert found.few


def test_errors_make_a_multiple_a_range() -> None:
    attack = _broken(np.array([0.1] * 40 + [0.2] * 60), GRID)
    noise = _broken(np.array([0.2] * 40 + [0.4] * 60), GRID)
    failed = np.zeros((100, 3), bool)
    failed[40:, 0] = True  # may have broken at 0.1 already
    sure = statistics.Breaks(noise, noise, GRID)
    known = statistics.eps50_ratio(sure, statistics.Breaks(attack, attack, GRID))
    by_attack = statistics.eps50_ratio(sure, statistics.Breaks(attack, attack | failed, GRID))
    by_noise = statistics.eps50_ratio(
        statistics.Breaks(noise, noise | failed, GRID), statistics.Breaks(attack, attack, GRID)
    )
    assert known.complete
    assert by_attack.value == by_noise.upper == known.value
    assert by_attack.upper > known.value > by_noise.value
    assert by_attack.high > known.high
    assert by_noise.low < known.low


def test_ratio_of_a_table_and_its_double_is_two_with_a_tight_interval() -> None:
    rng = np.random.default_rng(0)
    fine = np.linspace(0.01, 2, 200)
    thresholds = rng.uniform(0.1, 0.9, 500)
    attack = fine[np.searchsorted(fine, thresholds)]
    noise = fine[np.searchsorted(fine, 2 * thresholds)]
    found = statistics.eps50_ratio(_breaks(noise, fine), _breaks(attack, fine))
    assert found.value == pytest.approx(2, abs=0.05)
    assert found.low <= 2 <= found.high
    assert found.high - found.low < 0.15  # paired: an unpaired bootstrap is several times wider


def test_ratio_where_noise_never_broke_half_is_a_bound() -> None:
    attack = np.array([0.1, 0.2] * 50)
    under = _breaks(attack, GRID)
    found = statistics.eps50_ratio(_breaks(np.full(100, math.inf), GRID), under)
    assert not found.reached
    assert found.limit == pytest.approx(
        0.4 / statistics.breaking_eps(under.broken, GRID, 0.5).value
    )


def test_ratio_where_the_attack_never_broke_half_is_unknown() -> None:
    never = _breaks(np.full(100, math.inf), GRID)
    found = statistics.eps50_ratio(_breaks(np.full(100, 0.1), GRID), never)
    assert not found.known
    assert not found.few


def test_mcnemar_is_the_binomial_test_of_the_disagreements() -> None:
    first = np.array([True] * 60 + [True] * 15 + [False] * 5 + [False] * 20)
    second = np.array([True] * 60 + [False] * 15 + [True] * 5 + [False] * 20)
    found = statistics.compare(first, second)
    assert (found.only_first, found.only_second, found.n) == (15, 5, 100)
    assert found.p == pytest.approx(stats.binomtest(5, 20, 0.5).pvalue)
    assert found.difference == pytest.approx(0.1)


def test_networks_that_never_disagree_are_not_distinguishable() -> None:
    same = np.array([True, False, True])
    assert statistics.compare(same, same).p == 1


@pytest.mark.parametrize(("ours", "theirs"), [(0.0, 0.06), (0.03, 0.12), (0.3, 0.2)])
def test_the_interval_of_a_difference_holds_it_19_times_in_20(ours: float, theirs: float) -> None:
    drawn = np.random.default_rng(0).multinomial(100, [ours, theirs, 1 - ours - theirs], 2000)
    ends = [statistics.Comparison(b, c, 100, (b - c) / 100, 1.0).interval for b, c, _ in drawn]
    held = [low <= ours - theirs <= high for low, high in ends]
    assert 0.935 < np.mean(held) <= 1
    sure = statistics.Comparison(0, 50, 200, -0.25, 0.0).interval
    assert sure == pytest.approx((-0.308, -0.187), abs=0.001)  # Wald: -0.31 to -0.19


def test_holm_multiplies_by_the_tests_left_and_never_falls() -> None:
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([]) == []
