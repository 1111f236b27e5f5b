"""What single sections of the page show, against made results whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import synthetic
from pipeline.base.store import Place
from pipeline.report import (
    confusion,
    loading,
    measures,
    provenance,
    results,
    templates,
    training_checks,
    wording,
)
from pipeline.report.results import Results
from pipeline.report.section import Findings
from pipeline.report.sections import agreement, comparison, literature, training, transfer
from pipeline.report.statistics import Estimate, compare

NETWORKS = {"plain": (0.05, 5.0, 0.98), "adversarial": (0.21, 4.0, 0.97)}
EPS = 0.1


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Results:
    place = synthetic.write(tmp_path_factory.mktemp("made"), NETWORKS)
    return loading.load(place, synthetic.config(NETWORKS))


def test_the_transfer_matrix_counts_what_the_target_reads_rightly(made: Results) -> None:
    cell = made.cells["plain", "linf"]
    found = transfer.share(made, "linf", "adversarial", "plain")
    own = cell.transfer
    tried = np.isfinite(own.eps[0]) & cell.attack.right
    assert found is not None and (found.n, found.count) == (
        tried.sum(), (own.outcome[0][tried] == results.BROKEN).sum(),
    )  # fmt: skip
    assert found.count > 0


def test_the_confusion_matrix_counts_each_image_once_at_its_smallest_eps(made: Results) -> None:
    cell = made.cells["plain", "linf"]
    counts = confusion.matrix(cell.attack, EPS, 10)
    assert counts.sum() == 200
    survived = int((cell.attack.smallest(results.BROKEN) > EPS * (1 + 1e-9)).sum())
    assert np.trace(counts) == survived
    # the made attacks turn class c into c + 3, and clean mistakes are c + 1
    wrong = int((~cell.attack.right).sum())
    shifted = sum(int(np.trace(np.roll(counts, -k, axis=1))) for k in (1, 3))
    assert shifted == 200 - survived and wrong > 0
    assert "most often" in confusion.favourite(counts, synthetic.CLASSES)
    assert confusion.favourite(np.eye(2, dtype=int), ["a", "b"]) == "nothing was misread."


def test_images_are_split_into_always_never_and_disputed(made: Results, tmp_path: Path) -> None:
    place = synthetic.write(tmp_path, NETWORKS)
    found = measures.measures(made)
    config = synthetic.config(NETWORKS)
    shown = agreement.section(Findings(place, config, made, found))
    stand = [found[network, "linf"].worst_smallest > EPS for network in made.networks]
    counts = {row[0].text: int(row[2].text) for row in shown.values["counts"].rows}
    assert counts == {
        "always broken": int((~stand[0] & ~stand[1]).sum()),
        "never broken": int((stand[0] & stand[1]).sum()),
        "disputed": int((stand[0] ^ stand[1]).sum()),
    }
    assert all(
        image.kept == "kept by adversarial" for image in shown.values["pictures"]["disputed"]
    )
    (row, *_) = shown.values["attacks"][0][1].rows
    alone_in = made.cells["plain", "linf"].diagnosis
    assert int(row[5].text) == alone_in.n and row[1].share is not None
    assert sum(cell.share or 0 for cell in row[1:4]) == pytest.approx(1)


def test_networks_trained_without_validation_images_keep_their_recipes(
    made: Results, tmp_path: Path
) -> None:
    def without(info: dict[str, Any]) -> dict[str, Any]:
        history = [
            {key: value for key, value in row.items() if not key.startswith("validation")}
            for row in info["history"]
        ]
        return info | {
            "history": history,
            "clean_acc_validation": None,
            "robust_acc_validation": None,
        }

    changed = replace(
        made,
        data=replace(made.data, sizes=made.data.sizes | {"validation": 0}),
        training={name: without(info) for name, info in made.training.items()},
    )
    config = synthetic.config(NETWORKS)
    section = training.section(Findings(Place(tmp_path), config, changed, []))
    assert section.charts == [] and section.short == "Training"
    html = templates.render("sections/training.html.j2", section.values)
    assert "Recipes" in html
    found = {check.question: check.status for check in training_checks.checks(changed)}
    assert found["Was the epoch chosen without the test images?"] == "PASS"
    assert found["Did robustness fall again before training ended?"] == "NOT RUN"


def test_published_figures_stand_beside_the_same_question_alone(
    made: Results, tmp_path: Path
) -> None:
    def told(data: str, trained_for: float) -> list[str]:
        info = made.training["adversarial"]
        against = info["recipe"]["adversarial"] | {"eps": trained_for}
        info = info | {"recipe": info["recipe"] | {"adversarial": against}}
        changed = replace(
            made,
            data=replace(made.data, name=data),
            training=made.training | {"adversarial": info},
        )
        part = literature.section(
            Findings(Place(tmp_path), synthetic.config(NETWORKS), changed, measures.measures(made))
        )
        parts = part.values["parts"] if part else []
        return [row[0].text for _, table in parts for row in table.rows]

    assert told("digits", 0.3) == []
    # ε = 0.3, PGD; of a network that was trained without attacks nothing is known there
    assert told("mnist", 0.3) == ["adversarial", "Madry et al. 2018"]
    assert told("mnist", 0.15) == []  # trained for another ε: another question
    for entry in literature.published():
        assert entry["source"] and 0 <= entry["robust"] <= entry["clean"] <= 100


def test_an_eps_is_told_in_steps_of_grey_where_images_have_8_bits() -> None:
    value = Estimate(8 / 255, 7 / 255, 9.25 / 255, 0.3, 8 / 255)
    assert wording.size(value, "linf", 255) == ("8.0/255", "7.0–9.2")
    assert wording.size(value, "linf", 16) == ("0.0314", "0.0275–0.0363")
    assert wording.size(value, "l2", 255) == ("0.0314", "0.0275–0.0363")
    beyond = Estimate(np.inf, 0.2, np.inf, 0.3, np.inf)
    assert wording.size(beyond, "linf", 255) == ("> 76.5/255", "51.0–> 76.5")


def test_what_the_page_is_made_from_is_named(made: Results, tmp_path: Path) -> None:
    place, config = Place(tmp_path), synthetic.config(NETWORKS)
    assert provenance.commit(place) is None
    assert provenance.locked(place) is None
    outs = {"outs": [{"path": "artifacts/data.npz", "md5": "ab" * 16, "size": 7}]}
    stages = {"train@plain": outs, "report": outs, "data": outs, "track": {"cmd": "track"}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    locked = provenance.locked(place)
    assert locked is not None
    # the report's own outputs and what follows it would make it differ from run to run
    assert [row[0].text for row in locked.rows] == ["data", "train@plain"]
    assert locked.rows[0][2].text == "ab" * 16
    told = provenance.seeds(made, config)
    assert told == "split of the data 0; training 0; attacks and noise 0; memorizing 0"


def test_a_difference_stands_with_its_interval(made: Results, tmp_path: Path) -> None:
    found = measures.measures(made)
    part = comparison.section(Findings(Place(tmp_path), synthetic.config(NETWORKS), made, found))
    assert part is not None
    cell = part.values["matrix"].rows[1][1]
    first, second = (found[name, "linf"].worst_smallest > EPS for name in NETWORKS)
    low, high = compare(second, first).interval
    assert 0 < low < 0.01 * float(cell.text) < high
    ends = f"{wording.points(low)} to {wording.points(high)}"
    assert cell.interval == f"{ends}, p < 0.0001"
    turned = part.values["matrix"].rows[0][2]
    assert turned.interval.startswith(f"{wording.points(-high)} to {wording.points(-low)}")
