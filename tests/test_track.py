"""MLflow is a projection of the result files: complete, never doubled, rebuilt when it is lost."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import track
from pipeline.base import palette, store
from pipeline.base.errors import UserError
from pipeline.base.store import Place
from pipeline.tracking import projection
from pipeline.tracking.records import by_eps
from training import recipe

ROOT = Path(__file__).parent.parent
NETWORKS = ["plain", "adversarial"]
RECIPE = recipe(epochs=2, schedule="cosine", adversarial={"norm": "linf", "eps": 0.15, "steps": 7})


def config(networks: list[str] = NETWORKS) -> Any:
    """The part of a configuration that tracking reads."""
    return SimpleNamespace(
        data=SimpleNamespace(name="digits"),
        networks={name: {"epochs": 2, "adversarial": {"eps": 0.15}} for name in networks},
        recipe_of=lambda network: RECIPE,
        suites={"linf": SimpleNamespace(norm="linf")},
        memorize=SimpleNamespace(networks=[]),
        tracking=SimpleNamespace(artifacts=True, register_weights=False),
    )


def write_results(folder: Path) -> Place:
    """Every file that tracking reads, as small as can be."""
    place = Place(folder)
    epochs = [
        {"epoch": epoch, "loss": 1 / epoch, "train_acc": 0.5, "validation_acc": 0.4, "lr": 0.1}
        | {"validation_robust_acc": None, "seconds": 0.2}
        for epoch in (1, 2)
    ]
    for name in NETWORKS:
        store.write_bytes(place.network(name) / "network.pt", f"weights of {name}".encode())
        store.write_json(
            place.network(name) / "training.json",
            {"network": name, "history": epochs, "parameters": 1234, "seconds": 3.0},
        )
        for cell in (place.attack(name, "linf"), place.noise(name, "linf")):
            store.write_bytes(cell / "verdicts.npz", f"verdicts on {name}".encode())
    run = {"name": "50 % random labels", "history": epochs, "test_acc": 0.6, "seconds": 1.0}
    run |= {"parameters": 1234}
    recipe = {"architecture": "mlp", "lr": 0.1}
    store.write_json(place.memorize("plain"), {"runs": [run], "device": {}, "recipe": recipe})
    set_metrics(place, plain={"clean_acc": 0.98, "eps50": 0.08, "robust_acc": 0.2})
    rows = [f"{name},linf,0.08,uniform" for name in NETWORKS]
    rows += [f"{name},l2,,uniform" for name in NETWORKS]
    store.write_text(
        place.reports / "tables" / "networks.csv", "\n".join(["network,suite,eps50,noise", *rows])
    )
    rows = ["network,suite,curve,kind,eps,acc"]
    rows += [
        f"{name},linf,{curve},{kind},{eps},{1 - factor * eps:.2f}"
        for name in NETWORKS
        for curve, kind, factor, grid in (
            ("the suite", "attack", 2, (0.0, 0.1, 0.3)),
            ("worst case", "worst_case", 2, (0.0, 0.1, 0.3)),
            ("corners", "noise", 0.5, (0.0, 0.1, 0.3, 1.0)),
            ("uniform", "noise", 0.5, (0.0, 0.1, 0.3, 1.0)),
            ("uniform_x50", "noise_worst", 1, (0.0, 0.1, 0.3, 1.0)),
        )
        for eps in grid
    ]
    store.write_text(place.reports / "tables" / "curves.csv", "\n".join(rows) + "\n")
    told = {"name": "digits", "checksum": "ab" * 32, "classes": 10}
    told["sizes"] = {"train": 1293, "validation": 144, "test": 360}
    store.write_json(place.reports / "tables" / "summary.json", {"data": told})
    store.write_text(place.reports / "index.html", "<h1>How far?</h1>")
    store.write_text(place.reports / "report.md", "# How far?")
    store.write_text(place.reports / "figures" / "curves.svg", "<svg/>")
    return place


def set_metrics(place: Place, plain: dict[str, Any]) -> None:
    other = {f"metric_{number:02}": number for number in range(20)} | {"clean_acc": 0.97}
    store.write_json(place.reports / "metrics.json", {"plain": plain, "adversarial": other})


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables made: making them takes longer than a test."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    client(path).search_experiments()
    return path


@pytest.fixture
def place(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    return write_results(Path("."))


def client(database: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{database.resolve()}")


def runs(database: Path = Path("mlflow.db"), experiment: str = "epsball/default") -> list[Any]:
    """The runs of the networks, oldest first."""
    found = client(database).get_experiment_by_name(experiment)
    if found is None:
        return []
    shown = client(database).search_runs([found.experiment_id], order_by=["start_time ASC"])
    return [run for run in shown if "network" in run.data.tags]


def superseded(found: list[Any]) -> list[tuple[str, str]]:
    return sorted((run.data.tags["network"], run.data.tags["superseded"]) for run in found)


def test_a_run_shows_recipe_headlines_curves_and_where_it_comes_from(place: Place) -> None:
    track.run(place, config())

    found = {run.data.tags["network"]: run for run in runs()}
    assert set(found) == set(NETWORKS)
    plain = found["plain"]
    assert plain.info.run_name == "digits/plain"
    assert plain.info.status == "FINISHED"
    assert plain.data.metrics["clean_acc"] == 0.98
    assert plain.data.metrics["eps50"] == plain.data.metrics["eps50/linf"] == 0.08
    assert "eps50/l2" not in plain.data.metrics  # half of the images never broke
    assert plain.data.params["optimizer"] == "sgd"
    assert plain.data.params["adversarial.eps"] == "0.15"
    assert plain.data.tags["dataset"] == "digits"
    assert plain.data.tags["architecture"] == "small_cnn"
    assert plain.data.tags["recipe"] == "epochs=2, adversarial.eps=0.15"
    contexts = {i.dataset.name: i.tags[0].value for i in plain.inputs.dataset_inputs}
    assert contexts == {"digits/test": "evaluation", "digits/train": "training"}
    assert {i.dataset.digest for i in plain.inputs.dataset_inputs} == {"ab" * 16}

    def curve(name: str) -> list[tuple[int, float]]:
        history = client(Path("mlflow.db")).get_metric_history(plain.info.run_id, name)
        return sorted((point.step, point.value) for point in history)

    assert curve("loss") == [(1, 1.0), (2, 0.5)]
    # ε in thousandths is the step: MLflow draws robust accuracy against it
    assert curve("robust_acc/linf") == [(0, 1.0), (100, 0.8), (300, 0.4)]
    assert curve("noise_acc/linf") == [(0, 1.0), (100, 0.95), (300, 0.85), (1000, 0.5)]
    assert "validation_robust_acc" not in plain.data.metrics


def test_what_was_memorized_has_runs_of_its_own(place: Place) -> None:
    asked = config()
    asked.memorize.networks = ["plain"]
    track.run(place, asked)
    found = {run.data.tags["network"]: run for run in runs()}
    assert set(found) == {*NETWORKS, "memorize/plain"}
    run = found["memorize/plain"]
    assert run.info.run_name == "digits/memorize/plain"
    assert run.data.params == {"architecture": "mlp", "lr": "0.1", "parameters": "1234"}
    history = client(Path("mlflow.db")).get_metric_history(
        run.info.run_id, "50_random_labels/train_acc"
    )
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.5)]
    assert run.data.metrics["50_random_labels/test_acc"] == 0.6
    place.memorize("plain").unlink()
    with pytest.raises(UserError, match=r"memorize/plain\.json"):
        track.run(place, asked)


def test_on_a_grid_finer_than_thousandths_no_two_eps_share_a_step() -> None:
    rows = [
        {"suite": "linf", "kind": "worst_case", "curve": "", "eps": str(k / 1020), "acc": "0.5"}
        for k in (0, 1, 2, 8)
    ]
    suite = {"suite": "linf", "noise": "uniform"}
    assert [step for name, _, step in by_eps(rows, [suite], []) if name == "robust_acc/linf"] == [
        0,
        1,
        2,
        8,
    ]
    rows[1]["eps"] = "0.0003"
    steps = [step for name, _, step in by_eps(rows, [suite], []) if name == "robust_acc/linf"]
    assert steps == [0, 300, 1961, 7843]


def test_a_network_of_several_seeds_shows_their_spread(place: Place) -> None:
    """At the headline's ε beside the first run's numbers, and as curves against ε."""
    ends = {"mean": 0.21, "low": 0.15, "high": 0.27}
    numbers = {"clean_acc": 0.98, "eps50": 0.08, "robust_acc": 0.2}
    set_metrics(place, plain=numbers | {"seeds": {"n": 3, "robust_acc": ends}})
    with pytest.raises(UserError, match=r"seeds_curves\.csv: missing"):
        track.run(place, config())
    rows = ["network,suite,eps,seeds,mean,low,high"]
    rows += [f"plain,linf,{eps},3,{1 - eps},{0.9 - eps},1" for eps in (0.0, 0.1, 0.3)]
    store.write_text(place.reports / "tables" / "seeds_curves.csv", "\n".join(rows))
    track.run(place, config())

    found = {run.data.tags["network"]: run for run in runs()}
    shown = found["plain"].data.metrics
    assert {end: shown[f"robust_acc/seeds_{end}"] for end in ends} == ends
    assert shown["robust_acc"] == 0.2  # of the first
    history = client(Path("mlflow.db")).get_metric_history(
        found["plain"].info.run_id, "robust_acc/linf_seeds_low"
    )
    points = sorted((point.step, point.value) for point in history)
    assert points == [(0, 0.9), (100, pytest.approx(0.8)), (300, pytest.approx(0.6))]
    assert not [name for name in found["adversarial"].data.metrics if "seeds" in name]


def test_a_network_that_was_trained_elsewhere_has_no_curves_by_epoch(place: Place) -> None:
    path = place.network("plain") / "training.json"
    store.write_json(path, {"network": "plain", "parameters": 7, "history": []})
    track.run(place, config())
    (plain,) = [run for run in runs() if run.data.tags["network"] == "plain"]
    assert "loss" not in plain.data.metrics
    assert plain.data.metrics["robust_acc"] == 0.2


def test_weights_are_registered_only_where_asked_and_once(place: Place) -> None:
    track.run(place, config())
    mlflow = client(Path("mlflow.db"))
    assert not mlflow.search_registered_models()
    seed = place.network("plain") / "seed-1" / "network.pt"
    store.write_bytes(seed, b"weights of another seed")
    asked = config()
    asked.tracking.register_weights = True
    for _ in range(2):
        track.run(place, asked)
        (place.work / "mlflow.json").unlink()  # nothing tells that it was done
    models = {model.name for model in mlflow.search_registered_models()}
    assert models == {"epsball-default-plain", "epsball-default-adversarial"}
    (version,) = mlflow.search_model_versions("name = 'epsball-default-plain'")
    (plain,) = [run for run in runs() if run.data.tags["network"] == "plain"]
    assert version.run_id == plain.info.run_id
    folder = Path(mlflow.download_artifacts(version.run_id, "weights"))
    assert (folder / "network.pt").read_bytes() == b"weights of plain"
    assert (folder / "seed-1/network.pt").read_bytes() == b"weights of another seed"
    assert version.source.endswith(f"{version.run_id}/artifacts/weights")


def test_at_most_a_dozen_headlines_the_known_ones_first(place: Place) -> None:
    track.run(place, config())
    (run,) = [run for run in runs() if run.data.tags["network"] == "adversarial"]
    curves = {"loss", "train_acc", "validation_acc"}
    curves |= {f"{name}/linf" for name in ("robust_acc", "noise_acc")}
    headlines = set(run.data.metrics) - curves
    assert len(headlines) == 12
    assert "clean_acc" in headlines


def test_the_report_lies_in_one_parent_run_and_follows_its_changes(place: Place) -> None:
    track.run(place, config())
    store.write_text(place.reports / "report.md", "# How far must a pixel move?")
    track.run(place, config())

    (parent,) = {run.data.tags["mlflow.parentRunId"] for run in runs()}
    mlflow = client(Path("mlflow.db"))
    assert {item.path for item in mlflow.list_artifacts(parent)} == {
        "index.html",
        "report.md",
        "figures",
    }
    assert [item.path for item in mlflow.list_artifacts(parent, "figures")] == [
        "figures/curves.svg"
    ]
    (copy,) = Path("mlartifacts").rglob("report.md")
    assert copy.read_text() == "# How far must a pixel move?"
    assert len(runs()) == 2


def test_artifacts_can_be_left_out(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[list[Path]] = []

    def watched(uri: str, database: Path, wanted: projection.Wanted) -> list[str]:
        reports.append(wanted.report)
        return []

    monkeypatch.setattr(projection, "sync", watched)
    for artifacts in (True, False):
        asked = config()
        asked.tracking.artifacts = artifacts
        track.run(place, asked)
    assert place.reports / "index.html" in reports[0] and reports[1] == []


def test_a_second_sync_creates_nothing_and_does_not_import_mlflow(place: Place) -> None:
    track.run(place, config())
    before = Path("mlflow.db").read_bytes()

    again = (
        "import sys; sys.path.insert(0, 'tests'); import os, test_track as t; "
        f"os.chdir({str(Path.cwd())!r}); t.track.run(t.Place(t.Path('.')), t.config()); "
        "sys.exit('mlflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", again], cwd=ROOT, check=True)
    started = time.monotonic()
    track.run(place, config())
    assert time.monotonic() - started < 0.3
    assert Path("mlflow.db").read_bytes() == before


def test_timings_alone_make_no_new_run(place: Place) -> None:
    track.run(place, config())
    training = place.network("plain") / "training.json"
    value = json.loads(training.read_text())
    value["seconds"] = value["history"][0]["seconds"] = 99.0
    store.write_json(training, value)
    track.run(place, config())
    assert len(runs()) == 2


def test_changed_results_make_a_new_run_and_going_back_makes_none(place: Place) -> None:
    track.run(place, config())
    verdicts = place.attack("plain", "linf") / "verdicts.npz"
    first = verdicts.read_bytes()

    verdicts.write_bytes(b"other verdicts")
    track.run(place, config())
    assert superseded(runs()) == [("adversarial", "false"), ("plain", "false"), ("plain", "true")]
    outdated = {run.info.run_id for run in runs() if run.data.tags["superseded"] == "true"}

    verdicts.write_bytes(first)
    track.run(place, config())
    assert superseded(runs()) == [("adversarial", "false"), ("plain", "false"), ("plain", "true")]
    now = {run.info.run_id for run in runs() if run.data.tags["superseded"] == "true"}
    assert now != outdated


def test_networks_have_the_colours_of_the_report(place: Place) -> None:
    def colors() -> dict[str, str]:
        return {run.data.tags["network"]: run.data.tags["mlflow.runColor"] for run in runs()}

    track.run(place, config())
    first = colors()
    assert first == {"plain": palette.color(0), "adversarial": palette.color(1)}
    track.run(place, config(["adversarial", "plain"]))
    assert colors() == {"adversarial": first["plain"], "plain": first["adversarial"]}


def test_a_removed_network_is_superseded(place: Place) -> None:
    track.run(place, config())
    track.run(place, config(["plain"]))
    assert superseded(runs()) == [("adversarial", "true"), ("plain", "false")]


def test_a_run_deleted_in_mlflow_comes_back(place: Place) -> None:
    track.run(place, config())
    client(Path("mlflow.db")).delete_run(runs()[0].info.run_id)
    track.run(place, config())
    assert superseded(runs()) == [("adversarial", "false"), ("plain", "false")]


def test_what_a_crash_left_half_written_is_replaced(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    log_batch = MlflowClient.log_batch

    def crash(self: Any, run_id: str, **values: Any) -> None:
        log_batch(self, run_id, **values)
        raise KeyboardInterrupt

    monkeypatch.setattr(MlflowClient, "log_batch", crash)
    with pytest.raises(KeyboardInterrupt):
        track.run(place, config())
    (leftover,) = runs()
    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)

    track.run(place, config())
    assert superseded(runs()) == [("adversarial", "false"), ("plain", "false")]
    assert leftover.info.run_id not in {run.info.run_id for run in runs()}


def test_the_tracking_uri_is_respected(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    track.run(place, config())
    other = tmp_path / "elsewhere" / "other.db"
    other.parent.mkdir()
    other.write_bytes(Path("mlflow.db").read_bytes())
    with sqlite3.connect(other) as connection:
        connection.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    track.run(place, config())
    assert len(runs(other)) == 2
    assert {run.info.run_id for run in runs(other)}.isdisjoint(run.info.run_id for run in runs())


def test_a_relative_tracking_uri_starts_at_the_root(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mlflow.db").rename("mine.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mine.db?timeout=20")
    assert track.tracking_uri() == f"sqlite:///{tmp_path / 'mine.db'}?timeout=20"
    track.run(place, config())
    assert superseded(runs(Path("mine.db"))) == [("adversarial", "false"), ("plain", "false")]
    assert list(tmp_path.glob("mlartifacts/epsball/default/*/artifacts/report.md"))
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir("/")
    assert track.tracking_uri() == f"sqlite:///{tmp_path / 'mine.db'}?timeout=20"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"{}"])
def test_a_damaged_note_of_the_last_sync_counts_as_none(place: Place, content: bytes) -> None:
    track.run(place, config())
    stamp = place.work / "mlflow.json"
    whole = stamp.read_bytes()
    stamp.write_bytes(content)
    track.run(place, config())
    assert stamp.read_bytes() == whole
    assert superseded(runs()) == [("adversarial", "false"), ("plain", "false")]


def test_an_experiment_in_a_temporary_copy_goes_to_the_main_database_and_outdates_nothing(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    track.run(place, config())
    copy = tmp_path / "copy"
    copy.mkdir()
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_EXP_NAME", "lucky-shot")
    (write_results(Path(".")).network("plain") / "network.pt").write_bytes(b"other weights")
    track.run(Place(Path(".")), config())

    found = runs(tmp_path / "mlflow.db")
    assert superseded(found) == [("adversarial", "false"), ("plain", "false"), ("plain", "false")]
    assert [run.data.tags.get("DVC_EXP_NAME") for run in found].count("lucky-shot") == 1
    assert not (copy / "mlflow.db").exists()


def test_experiments_have_one_mlflow_experiment_each(place: Place) -> None:
    """Named after the folder: the data set, here the same for all three, does not mix them."""
    track.run(place, config())
    track.run(write_results(Path("experiments/mine")), config())
    track.run(write_results(Path("experiments/digits")), config())
    assert superseded(runs(experiment="epsball/digits")) == superseded(runs())
    assert superseded(runs()) == [("adversarial", "false"), ("plain", "false")]
    assert superseded(runs(experiment="epsball/mine")) == superseded(runs())


@pytest.mark.parametrize(
    "missing",
    [
        "reports/metrics.json",
        "reports/tables/curves.csv",
        "reports/tables/networks.csv",
        "reports/tables/summary.json",
        "artifacts/networks/plain/network.pt",
        "artifacts/noise/adversarial/linf/verdicts.npz",
    ],
)
def test_a_missing_result_is_named_before_anything_is_written(place: Place, missing: str) -> None:
    Path(missing).unlink()
    with pytest.raises(UserError, match=missing):
        track.run(place, config())
    assert runs() == []


def test_a_database_that_is_none_is_told_without_a_traceback(place: Place) -> None:
    Path("mlflow.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(UserError, match=r"delete mlflow\.db"):
        track.run(place, config())


def test_two_at_once_on_a_cold_start_and_a_deleted_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_results(tmp_path)
    start = (
        "import sys; sys.path.insert(0, 'tests'); import os, test_track as t; "
        f"os.chdir({str(tmp_path)!r}); t.track.run(t.Place(t.Path('.')), t.config())"
    )
    keep = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    monkeypatch.chdir(tmp_path)
    for attempt in ("no database yet", "database deleted"):
        Path("mlflow.db").unlink(missing_ok=True)
        command = [sys.executable, "-c", start]
        both = [subprocess.Popen(command, cwd=ROOT, env=keep) for _ in range(2)]
        assert [process.wait(timeout=100) for process in both] == [0, 0], attempt
        assert superseded(runs()) == [("adversarial", "false"), ("plain", "false")], attempt
