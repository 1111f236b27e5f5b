"""What single sections of the page show, against made results whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import synthetic
from pipeline.base.store import Place
from pipeline.report import confusion, measures, results
from pipeline.report.results import Results
from pipeline.report.section import Findings
from pipeline.report.sections import agreement, literature, transfer

NETWORKS = {"plain": (0.05, 5.0, 0.98), "adversarial": (0.21, 4.0, 0.97)}
EPS = 0.1


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Results:
    place = synthetic.write(tmp_path_factory.mktemp("made"), NETWORKS)
    return results.load(place, synthetic.config(NETWORKS))


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


def test_published_figures_stand_beside_the_same_question_alone(
    made: Results, tmp_path: Path
) -> None:
    def told(data: str) -> list[str]:
        changed = replace(made, data=replace(made.data, name=data))
        part = literature.section(
            Findings(Place(tmp_path), synthetic.config(NETWORKS), changed, measures.measures(made))
        )
        return (
            [row[0].text for _, table in part.values["parts"] for row in table.rows] if part else []
        )

    assert told("digits") == []
    assert told("mnist") == ["adversarial", "Madry et al. 2018"]  # ε = 0.3, PGD; plain has none
    for entry in literature.published():
        assert entry["source"] and 0 <= entry["robust"] <= entry["clean"] <= 100
