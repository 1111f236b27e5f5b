"""The report stage on made results whose truth is known."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthetic
from pipeline import report
from pipeline.base import store
from pipeline.base.errors import UserError
from pipeline.base.store import Place
from pipeline.report import images, loading, measures, results, wording

TWO = {"plain": (0.09, 5.0, 0.98), "adversarial": (0.21, 4.0, 0.97)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = synthetic.write(tmp_path_factory.mktemp("made"), TWO)
    report.run(place, synthetic.config(TWO))
    return place


def _copy(place: Place, to: Path) -> Place:
    shutil.copytree(place.folder, to, dirs_exist_ok=True)
    return Place(to)


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _page(place: Place) -> str:
    """The page, with the spaces that hold numbers together told as plain ones."""
    return (place.reports / "index.html").read_text().replace("\u00a0", " ")


def _rows(place: Place, table: str) -> list[dict[str, str]]:
    with (place.reports / "tables" / f"{table}.csv").open() as file:
        return list(csv.DictReader(file))


def test_same_results_give_same_bytes_and_nothing_is_left_over(made: Place, tmp_path: Path) -> None:
    before = _hashes(made.reports)
    again = _copy(made, tmp_path)
    (again.reports / "figures" / "ghost.svg").write_text("from an older run")
    report.run(again, synthetic.config(TWO))
    assert _hashes(again.reports) == before


def test_the_page_is_small_and_asks_for_nothing(made: Place) -> None:
    page = (made.reports / "index.html").read_text()
    assert len(page) < 5_000_000
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert "http" not in page.replace("http-equiv", "")


def test_ids_in_the_page_are_unique_and_references_resolve(made: Place) -> None:
    page = (made.reports / "index.html").read_text()
    ids = re.findall(r"\sid=\"([^\"]+)\"", page)
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r"href=\"#([^\"]+)\"|url\(#([^)]+)\)", page))
    assert {a or b for a, b in wanted} <= set(ids)


def test_markdown_shows_figures_that_exist(made: Place) -> None:
    text = (made.reports / "report.md").read_text()
    figures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert len(figures) == 18
    assert all((made.reports / figure).read_bytes().startswith(b"<?xml") for figure in figures)


def test_metrics_are_flat_and_few_and_agree_with_the_verdicts(made: Place) -> None:
    metrics = json.loads((made.reports / "metrics.json").read_text())
    assert list(metrics) == sorted(TWO)
    stored = store.read_npz(made.attack("plain", "linf") / "verdicts.npz")
    at = np.isclose(stored["eps"], 0.1)
    broken = np.unique(stored["index"][at & (stored["outcome"] == 1)])
    for name, values in metrics.items():
        assert len(values) <= 12, name
        assert all(isinstance(value, int | float) for value in values.values())
    assert metrics["plain"]["robust_acc"] == pytest.approx(1 - len(broken) / 200)
    assert metrics["plain"]["eps50"] == pytest.approx(0.09, rel=0.25)
    assert metrics["plain"]["eps50"] < metrics["adversarial"]["eps50"]
    # the most harmful of the made kinds is gaussian: 1.05 times the made factor
    assert metrics["plain"]["noise_multiple"] == pytest.approx(5 * 1.05, rel=0.15)
    assert metrics["plain"]["noise_worst_multiple"] == pytest.approx(2.5 * 1.05, rel=0.15)


def test_the_summary_holds_the_table_that_the_page_of_all_experiments_shows(made: Place) -> None:
    summary = json.loads((made.reports / "tables" / "summary.json").read_text())
    metrics = json.loads((made.reports / "metrics.json").read_text())
    assert summary["table"]["head"][:3] == ["network", "clean", "robust, L∞ ε = 0.1"]
    for row in summary["table"]["rows"]:
        name, clean, robust, eps50, _ = row
        told = metrics[name["text"]]
        assert clean["share"] == pytest.approx(told["clean_acc"], abs=1e-6)
        assert robust["share"] == pytest.approx(told["robust_acc"], abs=1e-6)
        assert float(eps50["text"]) == pytest.approx(told["eps50"], rel=0.01)
        assert all(cell["interval"] for cell in (clean, robust, eps50))
    assert len(summary["table"]["rows"]) == len(metrics)


def test_tables_hold_every_network_suite_and_verdict(made: Place) -> None:
    assert {(row["network"], row["suite"]) for row in _rows(made, "networks")} == {
        (network, suite) for network in TWO for suite in synthetic.SUITES
    }
    curve = [
        float(row["acc"])
        for row in _rows(made, "curves")
        if (row["network"], row["suite"], row["kind"]) == ("plain", "linf", "attack")
    ]
    assert len(curve) == 7
    assert curve == sorted(curve, reverse=True)
    import pandas as pd

    verdicts = pd.read_parquet(made.reports / "tables" / "verdicts.parquet")
    tried = pd.read_parquet(made.reports / "tables" / "transfer.parquet")
    stored = [store.read_npz(made.transfer(suite)) for suite in synthetic.SUITES]
    assert len(tried) == sum(len(each["index"]) for each in stored)
    assert set(tried["source"]) == set(tried["target"]) == set(TWO)
    broken = sum(int(each["outcome"].sum()) for each in stored)
    assert (tried["outcome"] == "broken").sum() == broken > 0
    sizes = [len(store.read_npz(path)["index"]) for path in made.artifacts.rglob("verdicts.npz")]
    assert len(verdicts) == sum(sizes)
    assert set(verdicts["outcome"]) == {"survived", "broken"}


def test_worst_case_is_per_example_and_counts_noise_of_the_same_or_smaller_size(
    made: Place, tmp_path: Path
) -> None:
    place = _copy(made, tmp_path)
    loaded = loading.load(place, synthetic.config(TWO)).cells["plain", "linf"]
    survivors = loaded.attack.smallest(results.BROKEN) == np.inf
    assert survivors.any(), "the made results must leave something for noise to break"
    y, wrong = loaded.attack.label, ~loaded.attack.right
    lucky = np.where(survivors, 0.15, np.inf)
    synthetic.write_verdicts(
        place.noise("plain", "linf"), "plain", "linf", y, wrong,
        {"uniform": lucky}, synthetic.NOISE["linf"], cascade=False,
    )  # fmt: skip
    report.run(place, synthetic.config(TWO))
    found = measures.measure(loading.load(place, synthetic.config(TWO)).cells["plain", "linf"])
    lost = survivors.sum()
    for eps, suite, worst in zip(
        found.suite_curve.eps, found.suite_curve.accuracy, found.worst_curve.accuracy, strict=True
    ):
        assert suite.count - worst.count == (lost if eps >= 0.15 else 0)
    assert found.noise_only.tolist() == [0, 0, 0, lost, lost, lost]
    assert f"Noise broke {lost} image" in _page(place)


def test_the_worst_of_many_draws_includes_what_one_draw_broke(tmp_path: Path) -> None:
    place = synthetic.write(tmp_path, TWO)
    y = np.zeros(200, dtype=np.int64)
    wrong = np.zeros(200, dtype=bool)
    one = np.where(np.arange(200) < 80, 0.3, np.inf)
    many = np.where(np.arange(200) < 130, 0.3, np.inf)
    synthetic.write_verdicts(
        place.noise("plain", "linf"), "plain", "linf", y, wrong,
        {"corners": one, "corners_x100": many}, synthetic.NOISE["linf"],
    )  # fmt: skip
    synthetic.write_verdicts(
        place.attack("plain", "linf"), "plain", "linf", y, wrong, {"pgd": one}, [0.3, 0.5]
    )
    found = measures.measure(loading.load(place, synthetic.config(TWO)).cells["plain", "linf"])
    assert found.worst_draw is not None
    assert found.worst_draw.curve.at_least(0.3)[1].count == 70
    assert found.one_draw.curve.at_least(0.3)[1].count == 120


def test_noise_is_judged_at_each_eps_by_itself(tmp_path: Path) -> None:
    """One draw may break an image at some eps and not at a larger one; its worst case stays."""
    place = synthetic.write(tmp_path, TWO)
    path = place.noise("plain", "linf") / "verdicts.npz"
    y, wrong = np.zeros(200, dtype=np.int64), np.zeros(200, dtype=bool)
    synthetic.write_verdicts(
        path.parent, "plain", "linf", y, wrong,
        {"uniform": np.full(200, np.inf), "uniform_x100": np.full(200, np.inf)},
        synthetic.NOISE["linf"], cascade=False,
    )  # fmt: skip
    stored = store.read_npz(path)
    image = stored["index"] // 3
    one = (stored["attack"] == 0) & np.isclose(stored["eps"], 0.15) & (image < 120)
    many = (stored["attack"] == 1) & np.isclose(stored["eps"], 0.3) & (image < 60)
    stored["outcome"][one | many] = 1
    store.write_npz(path, **stored)
    synthetic.write_verdicts(
        place.attack("plain", "linf"), "plain", "linf", y, wrong,
        {"pgd": np.full(200, np.inf)}, [0.1, 0.2, 0.3],
    )  # fmt: skip
    synthetic.write_transfer(place, "linf", dict.fromkeys(TWO, np.full(200, np.inf)), [0.3])
    found = measures.measure(loading.load(place, synthetic.config(TWO)).cells["plain", "linf"])
    assert found.worst_draw is not None
    curves = [found.one_draw.curve, found.worst_draw.curve]
    assert [[a.count for a in curve.accuracy[2:4]] for curve in curves] == [[80, 200], [80, 140]]
    # 60 % at 0.15 after none at 0.05: half is reached on the way, and not lost again
    assert found.one_draw.eps50.value == pytest.approx(0.05 + 0.1 * 0.5 / 0.6)
    # broken inside the ball of 0.15, and so inside every larger one
    assert [a.count for a in found.worst_curve.accuracy] == [200, 200, 80, 80]


def test_the_true_size_of_clipped_noise_is_told(tmp_path: Path) -> None:
    place = synthetic.write(tmp_path, {"plain": TWO["plain"]})
    config = synthetic.config({"plain": TWO["plain"]})
    report.run(place, config)
    assert "true size 0" not in _page(place)
    assert "true mean size" not in _page(place)
    cell = loading.load(place, config).cells["plain", "linf"]
    thresholds = {"uniform": np.full(200, 0.5)}
    synthetic.write_verdicts(
        place.noise("plain", "linf"), "plain", "linf", cell.attack.label, ~cell.attack.right,
        thresholds, synthetic.NOISE["linf"], cascade=False, clipped=0.8,
    )  # fmt: skip
    report.run(place, config)
    page = _page(place)
    assert "true size 0.800" in page  # beside eps = 1 in the numbers of the curves
    assert "where the noise's true mean size is 0.240" in page  # at 0.3
    (row,) = [
        row
        for row in _rows(place, "curves")
        if (row["curve"], row["suite"], row["eps"]) == ("uniform", "linf", "1")
    ]
    assert float(row["mean_distance"]) == pytest.approx(0.8)


def test_a_network_that_reads_nothing_rightly_is_told_so(tmp_path: Path) -> None:
    networks = {"plain": TWO["plain"], "blind": (0.09, 5.0, -1.0)}
    place = _report(tmp_path, networks)
    told = _summary(place)
    assert "half of the images that the network plain gets right" in told[0]
    assert "blind reads nothing rightly, so nothing is left to break" in told[0]
    assert "kept more than half" not in told[0]
    assert "blind reads too few images rightly" in told[1]
    assert "unknown for blind, which reads nothing rightly" in _page(place)
    only = _report(tmp_path / "only", {"blind": (0.09, 5.0, -1.0)})
    assert "blind reads nothing rightly" in _summary(only)[0]


def test_networks_that_no_attack_half_broke_are_named_in_the_sentence_on_noise(
    tmp_path: Path,
) -> None:
    place = _report(tmp_path, {"plain": TWO["plain"], "stone": (30.0, 1.0, 0.98)})
    assert "broke no half of the images of stone for sure" in _summary(place)[1]


def test_the_regularizers_of_memorizing_networks_are_those_of_the_recipe(
    made: Place, tmp_path: Path
) -> None:
    assert "no regularization" in _page(made)
    place = _copy(made, tmp_path)
    path = place.memorize("plain")
    info: dict[str, Any] = store.read_json(path)
    info["recipe"] |= {"weight_decay": 0.005, "augmentation": "light"}
    store.write_json(path, info)
    report.run(place, synthetic.config(TWO))
    assert "training images, weight decay 0.005, light augmentation" in _page(place)
    assert "no regularization" not in _page(place)


def test_each_network_is_told_with_what_it_takes(made: Place) -> None:
    page = re.sub(r"<[^>]+>", " ", _page(made))
    table = page[page.index("multiply-accumulates per image") :][:1000]
    for told in ("plain", "small_cnn", "12\u2009345", "49.4 kB", "6.66 kB", "116 k"):
        assert told in table, told


def test_noise_beside_an_attack_shows_the_size_that_it_has(made: Place) -> None:
    cell = loading.load(made, synthetic.config(TWO)).cells["plain", "l2"]
    stored = cell.gallery
    true = np.linalg.norm((stored["noise"][0] - stored["x"][0]).ravel())
    assert true < 0.99 * stored["eps"][0], "the made noise must be clipped"
    (shown, *_) = images.examples(cell, synthetic.CLASSES)
    assert shown.pictures[1].heading == f"noise {wording.number(float(true))}"


def test_clean_mistakes_count_as_broken_but_not_in_eps50(made: Place) -> None:
    cell = loading.load(made, synthetic.config(TWO)).cells["plain", "linf"]
    found = measures.measure(cell)
    mistakes = int((~cell.attack.right).sum())
    assert mistakes > 0
    assert found.suite_curve.accuracy[0].count == 200 - mistakes
    assert (cell.attack.smallest(results.BROKEN)[~cell.attack.right] == 0).all()
    assert found.eps10.low > 0


def test_errors_make_accuracy_a_range_that_is_marked(tmp_path: Path) -> None:
    place = synthetic.write(tmp_path, TWO)
    y, wrong = np.zeros(200, dtype=np.int64), np.zeros(200, dtype=bool)
    thresholds = np.where(np.arange(200) < 100, 0.05, np.inf)
    errors = np.arange(200) >= 180
    synthetic.write_verdicts(
        place.attack("plain", "linf"), "plain", "linf", y, wrong,
        {"pgd": thresholds}, [0.05, 0.1], errors=errors,
    )  # fmt: skip
    config = synthetic.config(TWO)
    synthetic.write_verdicts(
        place.noise("plain", "linf"), "plain", "linf", y, wrong,
        {"uniform": np.full(200, np.inf)}, [0.1, 0.2],
    )  # fmt: skip
    synthetic.write_transfer(place, "linf", dict.fromkeys(TWO, np.full(200, np.inf)), [0.1])
    report.run(place, config)
    values = json.loads((place.reports / "metrics.json").read_text())["plain"]
    assert (values["robust_acc"], values["robust_acc_upper"], values["errors"]) == (0.4, 0.5, 20)
    page = _page(place)
    assert "40.0 % to 50.0 %" in page
    assert "not complete" in page
    # plain leaves 40 to 50 % to errors; adversarial keeps fewer at the largest eps
    assert re.search(r"[\d.]+ % to 50.0 % of the images survive the attacks", page)


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("attack/plain/l2/verdicts.npz", "attack plain x l2"),
        ("attack/plain/l2/gallery.npz", "attack plain x l2"),
        ("noise/adversarial/linf", "noise adversarial x linf"),
        ("networks/plain/training.json", "network plain"),
        ("memorize/plain.json", "memorize plain"),
        ("transfer/linf.npz", "transfer x linf"),
        ("data.npz", "the data set"),
    ],
)
def test_a_missing_cell_is_named(made: Place, tmp_path: Path, gone: str, named: str) -> None:
    place = _copy(made, tmp_path)
    path = place.artifacts / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = _hashes(place.reports)
    with pytest.raises(UserError, match=f"no result for {named} "):
        report.run(place, synthetic.config(TWO))
    assert _hashes(place.reports) == before, "a report that cannot be made leaves the old one"


def test_attack_and_noise_on_different_images_are_refused(made: Place, tmp_path: Path) -> None:
    place = _copy(made, tmp_path)
    path = place.noise("plain", "linf") / "verdicts.npz"
    stored = store.read_npz(path)
    store.write_npz(path, **(stored | {"index": stored["index"] + 1}))
    with pytest.raises(UserError, match="different images"):
        report.run(place, synthetic.config(TWO))


def test_a_transfer_of_other_networks_or_images_is_refused(made: Place, tmp_path: Path) -> None:
    place = _copy(made, tmp_path)
    stored = store.read_npz(place.transfer("linf"))
    store.write_npz(place.transfer("linf"), **(stored | {"index": stored["index"] + 1}))
    with pytest.raises(UserError, match="transfer judged different images"):
        report.run(place, synthetic.config(TWO))
    others = np.array(["somebody", "else"])
    store.write_npz(place.transfer("linf"), **(stored | {"target_names": others}))
    with pytest.raises(UserError, match="transfer x linf knows no plain"):
        report.run(place, synthetic.config(TWO))


def test_results_of_a_removed_network_are_not_read(made: Place, tmp_path: Path) -> None:
    place = _copy(made, tmp_path)
    config = synthetic.config({"plain": TWO["plain"]})
    report.run(place, config)
    assert list(json.loads((place.reports / "metrics.json").read_text())) == ["plain"]
    assert "adversarial</th>" not in (place.reports / "index.html").read_text()


def _summary(place: Place) -> list[str]:
    return json.loads((place.reports / "tables" / "summary.json").read_text())["sentences"]


def _report(folder: Path, networks: dict[str, tuple[float, float, float]]) -> Place:
    place = synthetic.write(folder, networks)
    report.run(place, synthetic.config(networks))
    return place


def test_sentences_follow_the_data(tmp_path: Path, made: Place) -> None:
    apart, alike = _summary(made), _summary(_report(tmp_path / "a", {"plain": (0.09, 1.0, 0.98)}))
    assert "the direction of a change matters more than its size" in apart[1]
    assert "for plain, noise does nearly the same harm" in alike[1]
    assert "matters more" not in alike[1]
    assert "adversarial holds out longest" in apart[0]
    never = _summary(_report(tmp_path / "b", {"plain": (30.0, 1.0, 0.98)}))
    assert "broke half of the rightly classified images of no network" in never[0]
    assert "cannot be said" in never[1]


def test_noise_that_never_breaks_half_is_told_as_a_bound(tmp_path: Path) -> None:
    place = _report(tmp_path, {"plain": (0.09, 1000.0, 0.98)})
    values = json.loads((place.reports / "metrics.json").read_text())["plain"]
    assert "noise_multiple" not in values
    assert values["noise_multiple_above"] == pytest.approx(1 / values["eps50"], rel=1e-3)
    assert f"more than {values['noise_multiple_above']:.1f} times" in _summary(place)[1]


def test_memorization_is_told_as_it_went(made: Place, tmp_path: Path) -> None:
    place = _copy(made, tmp_path)
    path = place.memorize("plain")
    stored: dict[str, Any] = store.read_json(path)
    (random,) = [run for run in stored["runs"] if run["name"] == "random labels"]
    random |= {"fitted_epoch": None, "train_acc": 0.61, "test_acc": 0.35}
    store.write_json(path, stored)
    report.run(place, synthetic.config(TWO))
    assert "fits 100 %" in _summary(made)[2]
    assert "reaches 61.0 %" in _summary(place)[2]
    assert "above chance" in _summary(place)[2]
    assert "not fitted within the epochs given" in (place.reports / "report.md").read_text()


def test_three_lines_for_the_terminal(made: Place) -> None:
    lines = report.headline_lines(made)
    assert len(lines) == 3
    metrics = json.loads((made.reports / "metrics.json").read_text())
    for name, values in metrics.items():
        assert f"{name} {100 * values['robust_acc']:.1f} %" in lines[1]


def test_the_word_robust_is_never_a_verdict(made: Place) -> None:
    for name in ("index.html", "report.md"):
        text = (made.reports / name).read_text()
        assert not re.search(r"\b(is|are|was|stays?|remains?) robust\b", text)


def test_levels_and_draws_are_told_and_what_one_draw_cannot_check(
    made: Place, tmp_path: Path
) -> None:
    place = _copy(made, tmp_path)
    for name in TWO:
        path = place.attack(name, "linf") / "run.json"
        draws = 20 if name == "plain" else None
        store.write_json(path, store.read_json(path) | {"levels": 17, "draws": draws})
    report.run(place, synthetic.config({"plain": TWO["plain"]}))
    for text in (_page(place), (place.reports / "report.md").read_text()):
        assert "perturbed images have 17 levels per pixel (noise: any value)" in text
        assert "each verdict is the majority over 20 random draws (plain)" in text
    assert "asks it once for each witness, the verdict was the majority over 20" in _page(place)
    assert "random draws" not in _page(made)
    assert "asks it once for each witness" not in _page(made)


def test_without_memorization_and_with_one_network_the_page_still_stands(tmp_path: Path) -> None:
    one = {"plain": TWO["plain"]}
    place = synthetic.write(tmp_path, one)
    config = synthetic.config(one)
    config.memorize.networks = []
    report.run(place, config)
    page = _page(place)
    assert "Can the networks learn by heart?" not in page
    assert "Are the networks really different?" not in page
    assert "share of images that survived is 38.5 % for plain." in _summary(place)[2]
