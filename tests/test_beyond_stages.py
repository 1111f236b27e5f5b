"""A suite of transformations through the stages: attack, noise, verify, report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline import attack, data, memorize, noise, report, train, transfer, verify
from pipeline.base.config import Config, ConfigError, load
from pipeline.base.errors import UserError
from pipeline.base.store import Place, read_npz, write_npz
from pipeline.report import recheck
from test_stages import ROOT, tiny

ATTACKS = [{"attack": "grid", "spacing": 2.0}, {"attack": "steepest", "steps": 5, "restarts": 2}]
SUITES = {
    "turned": {"norm": "rotation", "eps": [10, 20, 40], "attacks": ATTACKS},
    "moved": {"norm": "rigid", "eps": [0.2, 0.5], "attacks": ATTACKS},
    "flat": {"norm": "contrast", "eps": [0.5, 0.9], "attacks": ATTACKS},
}


def beyond(**changes: Any) -> dict[str, Any]:
    params = tiny()
    params["networks"] = {"plain": {"epochs": 10}}
    params["suites"] = dict(SUITES)
    noise_eps = {"rotation": [90, 180], "rigid": [1.0], "contrast": [1.0]}
    params["noise"] |= {"kinds": ["random"], "draws": 3, "eps": noise_eps}
    params["headline"] = {"suite": "turned", "eps": 20}
    params["evaluation"] |= {"samples": 40, "diagnosis": 10}
    return params | changes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Config]:
    folder = tmp_path_factory.mktemp("beyond")
    (folder / "params.yaml").write_text(yaml.safe_dump(beyond()))
    config, place = load(folder / "params.yaml"), Place.of(folder / "params.yaml")
    data.run(place, config)
    train.run(place, config, "plain")
    for suite in config.suites:
        attack.run(place, config, "plain", suite)
        noise.run(place, config, "plain", suite)
    memorize.run(place, config, "plain")
    transfer.run(place, config)
    report.run(place, config)
    return place, config


@pytest.mark.parametrize("suite", list(SUITES))
def test_witnesses_keep_their_parameters_within_eps(made, suite: str) -> None:
    place, _ = made
    for stage in (place.attack, place.noise):
        found = read_npz(stage("plain", suite) / "witnesses.npz")
        scale = {"turned": [1.0], "moved": [30, 0.1, 0.1], "flat": [1.0]}[suite]
        assert len(found["index"]) > 0
        assert found["theta"].shape == (len(found["index"]), len(scale))
        assert (np.abs(found["theta"] / scale).max(axis=1) <= found["eps"] + 1e-6).all()


def test_verify_renders_the_witnesses_again(made, capsys) -> None:
    place, config = made
    verify.run(place, config)
    assert capsys.readouterr().out.count("all hold") == 3 * len(SUITES)
    path = place.attack("plain", "moved") / "witnesses.npz"
    good = read_npz(path)
    for name, value in (("theta", good["theta"] * 20), ("x_adv", good["x_adv"] * 0.9)):
        write_npz(path, **(good | {name: value.astype(np.float32)}))
        with pytest.raises(UserError, match="do not hold"):
            verify.run(place, config)
    write_npz(path, **good)


def test_the_report_tells_sizes_in_their_own_units(made) -> None:
    place, _ = made
    page = (place.reports / "index.html").read_text().replace("\u00a0", " ")
    assert "it turns by at most" in page
    assert "ε (rotation, degrees)" in page
    assert "rotation and translation (ε = 1 is 30° and 0.1 of the side)" in page
    assert "contrast (factor 1 ± ε)" in page
    assert "/255" not in page.split("</header>")[0]
    assert "What else does it take for a" in page
    assert "rotation (degrees)" in (place.reports / "report.md").read_text()


@pytest.mark.parametrize("suite", list(SUITES))
def test_the_printed_recheck_renders_in_plain_pytorch(made, suite: str) -> None:
    place, config = made

    def run() -> subprocess.CompletedProcess[str]:
        code = recheck.recheck(place, "plain", suite, config.suites[suite].norm)
        script = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"
        return subprocess.run(
            [sys.executable, "-c", script], cwd=place.folder, capture_output=True, text=True
        )

    assert "witnesses hold" in run().stdout, run().stderr
    path = place.attack("plain", suite) / "witnesses.npz"
    good = read_npz(path)
    write_npz(path, **(good | {"theta": good["theta"] * np.float32(0.5)}))
    assert "AssertionError" in run().stderr
    write_npz(path, **good)


def test_fooling_images_are_kept_with_what_the_network_reads(made) -> None:
    place, _ = made
    found = read_npz(place.attack("plain", "turned") / "fooling.npz")
    assert len(np.unique(found["target"])) == 4
    assert sorted(set(found["start"].tolist())) == ["blank", "noise"]
    assert found["reached"].all()
    assert (found["confidence"] >= found["asked"]).all()
    assert (found["prediction"] == found["target"]).all()


def test_the_readmes_suite_of_rotations_fits_the_shipped_parameters(tmp_path: Path) -> None:
    (block,) = (
        part.split("```")[0]
        for part in (ROOT / "README.md").read_text().split("```yaml\n")[1:]
        if part.startswith("suites:")
    )
    shown = yaml.safe_load(block)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["suites"] |= shown["suites"]
    params["noise"] |= {"kinds": shown["noise"]["kinds"]}
    params["noise"]["eps"] |= shown["noise"]["eps"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    assert load(tmp_path / "params.yaml").suites["rotation"].norm == "rotation"


@pytest.mark.parametrize(
    ("suite", "noise", "told"),
    [
        ({"norm": "rotaton"}, {}, "did you mean 'rotation'"),
        ({"attacks": [{"attack": "pgd"}]}, {}, "pgd cannot do rotation"),
        ({"eps": [90, 270]}, {}, "270 is more than rotation allows"),
        ({}, {"kinds": ["uniform"]}, "none of them can do rotation"),
        ({}, {"eps": {"linf": [0.5]}}, "noise.eps.rotation: missing"),
    ],
)
def test_what_a_transformation_cannot_be_is_told(
    tmp_path: Path, suite: dict[str, Any], noise: dict[str, Any], told: str
) -> None:
    params = beyond(suites={"turned": SUITES["turned"] | suite})
    params["headline"]["eps"] = params["suites"]["turned"]["eps"][0]
    params["noise"] = params["noise"] | noise
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(ConfigError) as error:
        load(tmp_path / "params.yaml")
    assert told in str(error.value)
