"""What several training runs of one recipe spread, and what the report says of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import synthetic
from pipeline.base.errors import UserError
from pipeline.base.store import Place
from pipeline.report import loading, luck, run
from pipeline.report.comparisons import ALIKE, APART, UNTESTED
from pipeline.report.measures import measures
from pipeline.report.section import Findings
from pipeline.report.sections import comparison
from pipeline.report.sections import luck as luck_section
from pipeline.report.spread import Spread, spread, welch

NETWORKS = {"plain": (0.09, 5.0, 0.98), "twin": (0.09, 5.0, 0.98), "hard": (0.21, 4.0, 0.97)}
SEEDS = {"plain": [0, 1, 2], "twin": [3, 4, 5], "hard": [0, 1, 2]}


def test_the_interval_is_students_over_runs_and_stays_within_what_can_be() -> None:
    found = spread([0.5, 0.6, 0.7])
    assert found is not None
    assert found.mean == pytest.approx(0.6) and found.deviation == pytest.approx(0.1)
    half = 4.302653 * 0.1 / math.sqrt(3)  # Student's 97.5 % quantile of two degrees of freedom
    assert (found.low, found.high) == pytest.approx((0.6 - half, 0.6 + half))
    cut = spread([0.9, 1.0], largest=1.0)
    assert cut is not None and cut.high == 1.0 and cut.low == pytest.approx(0.95 - 12.7062 * 0.05)
    same = spread([0.1, 0.1, 0.1])
    assert same is not None and same.deviation == 0 and same.low == same.high == 0.1
    assert spread([0.5]) is None
    assert spread([0.5, math.inf, 0.6]) is None and spread([0.5, math.nan]) is None


def test_recipes_are_compared_by_welchs_test_with_runs_as_the_unit() -> None:
    first, second = [0.5, 0.55, 0.61], [0.7, 0.9]
    found = welch(_spread(first), _spread(second))
    expected = stats.ttest_ind(first, second, equal_var=False)
    assert found is not None
    assert found.value == pytest.approx(np.mean(first) - 0.8)
    assert found.p == pytest.approx(expected.pvalue)
    ends = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    # Equal runs have no measure of chance, however far apart two recipes are.
    assert welch(_spread([0.1, 0.1]), _spread([0.9, 0.9])) is None
    pairs = luck.pairs(
        {
            "a": _spread([0.1, 0.1]),
            "b": _spread([0.9, 0.9]),
            "c": _spread([0.5, 0.50001]),
            "d": _spread([0.0, 1.0]),
        }
    )
    told = {(pair.first, pair.second): pair.verdict for pair in pairs}
    assert told["a", "b"] == UNTESTED
    assert told["a", "c"] == told["b", "c"] == APART
    assert told["a", "d"] == told["b", "d"] == told["c", "d"] == ALIKE
    adjusted = {(pair.first, pair.second): pair.adjusted for pair in pairs}
    alone = welch(_spread([0.1, 0.1]), _spread([0.5, 0.50001]))
    assert alone is not None
    assert adjusted["a", "c"] == pytest.approx(5 * alone.p, rel=1e-3)  # five can be tested


def _spread(values: list[float]) -> Spread:
    found = spread(values)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("luck")
    place = synthetic.write(folder, NETWORKS, n=60, seeds=SEEDS)
    run(place, synthetic.config(NETWORKS))
    return place


def test_every_number_of_the_spread_follows_from_the_runs(place: Place) -> None:
    tables = {
        name: pd.read_csv(place.reports / f"tables/{name}.csv")
        for name in ("networks", "curves", "seeds", "seeds_spread", "seeds_pairs")
    }
    runs = tables["seeds"]
    assert len(runs) == 3 * 2 * 3
    first = runs[(runs.network == "plain") & (runs.suite == "linf") & (runs.seed == 0)].iloc[0]
    shown = tables["networks"].set_index(["network", "suite"]).loc[("plain", "linf")]
    assert (first.clean_acc, first.eps50) == (shown.clean_acc, shown.eps50)
    metrics = json.loads((place.reports / "metrics.json").read_text())
    for network in NETWORKS:
        mine = runs[(runs.network == network) & (runs.suite == "linf")]
        found = metrics[network]["seeds"]
        assert found["n"] == 3
        for name in ("clean_acc", "robust_acc", "eps50"):
            assert found[name]["mean"] == pytest.approx(mine[name].mean(), abs=1e-5)
            assert found[name]["low"] <= found[name]["mean"] <= found[name]["high"]
        assert metrics[network]["robust_acc"] == pytest.approx(mine.robust_acc.iloc[0], abs=1e-5)
    assert runs[runs.suite == "l2"].robust_acc.isna().all()  # the headline's suite alone has an ε
    curves = pd.read_csv(place.reports / "tables/seeds_curves.csv")
    for suite, (_, grid) in synthetic.SUITES.items():
        mine = curves[(curves.network == "hard") & (curves.suite == suite)]
        assert mine.eps.tolist() == [0.0, *grid]
        assert (mine["mean"].diff().dropna() <= 0).all()  # no image breaks at a smaller ε alone
        assert ((mine.low <= mine["mean"]) & (mine["mean"] <= mine.high)).all()
    at = curves[(curves.suite == "linf") & (curves.eps == 0.1)].set_index("network")
    for network in NETWORKS:
        spread_there = {end: at.loc[network, end] for end in ("mean", "low", "high")}
        assert spread_there == pytest.approx(metrics[network]["seeds"]["robust_acc"], abs=1e-5)
    pairs = tables["seeds_pairs"].set_index(["number", "first", "second"]).verdict
    assert pairs["robust_acc", "plain", "twin"] == ALIKE
    assert pairs["robust_acc", "plain", "hard"] == APART


def test_the_report_says_how_much_is_luck(place: Place) -> None:
    page, text = ((place.reports / name).read_text() for name in ("index.html", "report.md"))
    assert (
        'id="luck"' in page
        and "plain, seed 2" in page
        and (place.reports / "figures/luck.svg").exists()
    )
    part = text.partition("## How much is luck?")[2].partition("\n## ")[0]
    assert "not distinguishable: plain and twin" in part
    assert "3 runs of one recipe" in part
    compared = text.partition("## Are the networks really different?")[2].partition("\n## ")[0]
    assert "other runs are compared under How much is luck." in compared


def test_what_is_said_of_other_runs_follows_from_the_seeds(tmp_path: Path) -> None:
    for several, told in (
        (
            {},
            "They do not cover another training run of the same recipe, which needs several seeds.",
        ),
        ({"hard": [0, 7]}, "under How much is luck, but not of plain and twin, trained once."),
    ):
        place = synthetic.write(tmp_path, NETWORKS, n=30, seeds=several)
        config = synthetic.config(NETWORKS)
        loaded = loading.load(place, config)
        found = measures(loaded)
        head = config.headline
        lucks = luck.luck(loaded, found, head.suite, head.eps)
        findings = Findings(place, config, loaded, found, lucks)
        compared = comparison.section(findings)
        assert compared is not None and told in compared.values["runs"]
        shown = luck_section.section(findings)
        assert (shown is not None) == bool(several) == bool(luck.tables(lucks))
        if shown is not None:  # one network alone is compared with none
            assert shown.values["matrix"] is None
            assert "Over runs" not in shown.values["chart_of"].takeaway


def test_a_seed_without_results_is_named(tmp_path: Path) -> None:
    place = synthetic.write(tmp_path, NETWORKS, n=30, seeds={"hard": [0, 7]})
    missing = place.noise("hard", "l2") / "seed-7/verdicts.npz"
    kept = missing.read_bytes()
    missing.unlink()
    with pytest.raises(UserError, match="no result for noise hard x l2 seed-7"):
        run(place, synthetic.config(NETWORKS))
    missing.write_bytes(kept)
    other = synthetic.write(tmp_path / "other", NETWORKS, n=20, seeds={"hard": [0, 7]})
    (place.attack("hard", "linf") / "seed-7/verdicts.npz").write_bytes(
        (other.attack("hard", "linf") / "seed-7/verdicts.npz").read_bytes()
    )
    with pytest.raises(UserError, match=r"attack hard x linf seed 7 judged\s+different images"):
        run(place, synthetic.config(NETWORKS))
