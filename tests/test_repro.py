"""`python -m pipeline repro`: stages side by side. A whole run of it is in test_dvc.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline import cores
from pipeline.__main__ import main
from pipeline.base.config import load
from pipeline.cores import stages_at_once
from project import Project, stages_run
from test_stages import tiny

ROOT = Path(__file__).parent.parent


@pytest.mark.timeout(600)
def test_a_stage_that_fails_is_told_and_what_others_have_made_stays(tmp_path: Path) -> None:
    project = Project(tmp_path)
    params = tiny()
    (tmp_path / "damaged.pt").write_text("no weights")
    params["networks"]["hard"] = {"weights": "damaged.pt"}
    project.edit(lambda empty: empty.update(params))
    done = project.call("python", "-m", "pipeline", "repro", "--jobs", "2", check=False)
    assert done.returncode not in (0, 1)
    assert "damaged.pt" in done.stdout
    assert "failed to reproduce 'train@hard'" in done.stdout
    assert (tmp_path / "artifacts/networks/plain/network.pt").exists()
    # Nothing that rests on networks was begun, and what was trained is not trained again.
    assert not (tmp_path / "artifacts/attack").exists()
    project.edit(lambda params: params["networks"].pop("hard"))
    again = project.call("python", "-m", "pipeline", "repro", "--jobs", "2")
    ran = stages_run(again.stdout)
    assert {"attack@plain-linf", "report"} <= ran
    assert not {"data", "train@plain"} & ran
    assert project.repro() <= {"track"}


def test_without_a_pipeline_beside_the_parameters_it_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    assert main(["repro", "--params", str(path)]) == 2
    assert f"{tmp_path / 'dvc.yaml'}: missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("experiment", "threads", "expected"),
    [
        ("params.yaml", None, 8),  # digits: a thread for each stage
        ("params.yaml", "3", 2),
        ("params.yaml", "16", 1),
        ("params.yaml", "2,1", 4),
        ("experiments/mnist/params.yaml", None, 1),  # torch takes all cores for one stage
        ("experiments/mnist/params.yaml", "1", 8),
    ],
)
def test_as_many_stages_as_there_are_cores_for(
    experiment: str, threads: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(ROOT / experiment)
    monkeypatch.setenv("EPSBALL_DEVICE", "cpu")
    monkeypatch.setenv(cores.THREADS, threads or "")
    if threads is None:
        monkeypatch.delenv(cores.THREADS)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert stages_at_once(config) == expected


def test_a_gpu_takes_one_stage_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load(ROOT / "params.yaml")
    monkeypatch.setenv(cores.THREADS, "1")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("EPSBALL_DEVICE", raising=False)
    monkeypatch.setattr(cores, "_GPUS", (str(tmp_path / "none"),))
    assert stages_at_once(config) == 8
    monkeypatch.setattr(cores, "_GPUS", (str(tmp_path),))
    assert stages_at_once(config) == 1
    monkeypatch.setenv("EPSBALL_DEVICE", "cpu")
    assert stages_at_once(config) == 8
    monkeypatch.setenv("EPSBALL_DEVICE", "cuda:0")
    assert stages_at_once(config) == 1
