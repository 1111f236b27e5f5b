"""Benchmarks that are meant for a GPU: what they run is run here, small and on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import aims, recipes, training
from pipeline.base.config import load
from pipeline.sources.source import Source
from training import CPU, made_up

ROOT = Path(__file__).parent.parent
EXPERIMENTS = [None, *(path.name for path in sorted((ROOT / "experiments").iterdir()))]
ABSENT = ("pydantic", "dvc", "mlflow", "pandas", "matplotlib", "sklearn")
TRAIN, TEST = made_up(40), made_up(12, seed=1)


def source(name: str, root: Any) -> Source:
    return Source((TRAIN.x, TRAIN.y), (TEST.x, TEST.y), TRAIN.classes)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_recipes_are_those_of_the_pipeline(experiment: str | None) -> None:
    folder = ROOT / "experiments" / experiment if experiment else ROOT
    config, params = load(folder / "params.yaml"), recipes.read(experiment)
    for network in config.networks:
        asked = recipes.trained(params, network)
        assert asked.model_dump() == config.recipe_of(network).model_dump()
        assert asked.seed == config.recipe_of(network).seed
    for network in config.memorize.networks:
        found = recipes.memorizing(params, network).model_dump()
        assert found == config.memorizing(network).model_dump()


def test_they_need_no_more_than_a_borrowed_machine_has() -> None:
    code = f"import sys; sys.modules.update(dict.fromkeys({ABSENT})); import benchmarks.training; "
    code += "from benchmarks import aims; aims.main([])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"EPSBALL_DEVICE": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()[1:]
    assert len(told) == len(aims.AIMS)
    assert all(line.startswith("NOT RUN") and "no CUDA device here" in line for line in told)


def test_every_aim_runs_and_claims_nothing_where_it_is_cut_down(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EPSBALL_DEVICE", "cpu")
    monkeypatch.setattr(aims, "load_source", source)
    aims.main(["--smoke"])
    accuracy, robustness, memorization = capsys.readouterr().out.splitlines()[1:]
    assert "of 12 test images" in accuracy and "first epoch" in accuracy
    assert "% of 4 under PGD-2-2" in robustness
    assert "% of 16 random labels fitted in 1 epochs" in memorization
    assert all(line.startswith("NOT RUN") for line in (accuracy, robustness, memorization))


@pytest.mark.parametrize(
    ("reached", "seconds", "told"),
    [(True, 29.0, "REACHED"), (True, 31.0, "NOT REACHED"), (False, 29.0, "NOT REACHED")],
)
def test_an_aim_is_reached_by_its_result_and_its_time(
    reached: bool, seconds: float, told: str
) -> None:
    outcome = aims.Outcome([seconds, seconds], "94 %", reached)
    assert aims.verdict(aims.AIMS["accuracy"], outcome) == told


def test_the_first_epoch_is_not_counted_and_every_contest_is_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EPSBALL_DEVICE", "cpu")
    monkeypatch.setattr(training, "load_source", source)
    subject = training.Subject("cifar10", "small_cnn", 12, 4, 1, True, 2)
    contests = training.contests(subject, CPU)
    assert {name: images for name, (*_, images) in contests.items()} == {
        "augmented": 24,
        "plain": 24,
        "adversarial": 12,
    }
    for name, (mine, other, images) in contests.items():
        for run in (mine, other):
            laps = training.Laps(CPU)
            run(laps)
            assert len(laps.ends) == 1 + images / 12, name
            assert laps.seconds == laps.ends[-1] - laps.ends[0] > 0
    training.main(["--subjects", "CIFAR-10, resnet20", "--runs", "1", "--samples", "4"])
    assert capsys.readouterr().out.count("CIFAR-10, resnet20") == 3
