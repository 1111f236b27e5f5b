"""What is installed: the wheel is the attack library alone; the pins fit what is asked for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FIVE_LINES = """
import torch
from epsball.attacks import ThreatModel, evaluate
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
x, y = torch.rand(8, 1, 4, 4), torch.randint(3, (8,))
result = evaluate(model, x, y, ThreatModel("linf", 0.1), ensemble="fast")
"""
ALONE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {hidden}:
            raise ModuleNotFoundError(f"{{name}} is not installed here")
sys.meta_path.insert(0, Absent())
"""
# Everything that a researcher who installs torch and the wheel does not have.
HIDDEN = {
    *("attacks", "models", "pipeline", "dvc", "mlflow", "pandas", "pyarrow", "pydantic", "yaml"),
    *("rich", "numpy", "scipy", "sklearn", "statsmodels", "torchvision", "jinja2", "matplotlib"),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the build leaves nothing in the repository."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("attacks", "models", "pipeline", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    built = subprocess.run(
        [sys.executable, "-c", build, str(out)], cwd=source, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    (path,) = out.glob("epsball-*.whl")
    return path


def test_the_wheel_holds_the_attack_library_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    modules = {name for name in names if ".dist-info/" not in name}
    assert modules == {
        f"epsball/attacks/{path.relative_to(ROOT / 'attacks').as_posix()}"
        for path in (ROOT / "attacks").rglob("*.py")
    }
    required = re.findall(r"^Requires-Dist: (?!.*extra ==)(.*)$", text, re.MULTILINE)
    assert required == ["torch>=2.11"]
    assert any(name.endswith("LICENSE") for name in names)


def test_five_lines_judge_a_model_with_the_wheel_and_torch_alone(
    wheel: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    show = "import epsball.attacks\nprint(epsball.attacks.__file__)\nprint(result)\n"
    script = tmp_path / "script.py"
    script.write_text(ALONE.format(hidden=HIDDEN) + FIVE_LINES + show)
    ran = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    place, *shown = ran.stdout.splitlines()
    assert Path(place).is_relative_to(tmp_path / "installed")
    assert re.search(r"robust accuracy +[0-9.]+%", "\n".join(shown))


def _requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [*project["dependencies"], *(name for extra in extras for name in extra)]


def _pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_every_direct_requirement_is_pinned_to_a_version_it_allows() -> None:
    from packaging.requirements import Requirement

    pins = _pins()
    for requirement in map(Requirement, _requirements()):
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        assert name in pins, f"constraints.txt lacks {name}"
        assert requirement.specifier.contains(pins[name]), f"{requirement} against {pins[name]}"


def test_no_pin_names_a_registry_or_a_build() -> None:
    pins = _pins()
    assert pins
    for name, version in pins.items():
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), f"{name}=={version}"


def _make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_make_lists_its_commands() -> None:
    shown = _make()
    assert shown.returncode == 0
    for command in ("repro", "look", "test", "experiment", "ui", "verify", "clean"):
        assert re.search(rf"^  make {command} +\w", shown.stdout, re.MULTILINE), command


def test_make_tells_which_experiments_there_are() -> None:
    ran = _make("repro", "EXPERIMENT=minst")
    assert ran.returncode == 2
    assert "EXPERIMENT=minst" in ran.stderr
    assert "there are: default" in ran.stderr


def _copy_of_makefile(folder: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "params.yaml"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.mark.parametrize(
    ("python", "told"),
    [
        ("exit 1", "needs Python 3.11 or newer"),  # what an older Python answers to the question
        ('case "$2" in *ensurepip*) exit 1;; esac', "apt install python3-venv"),
    ],
)
def test_make_says_what_is_wrong_with_a_python(tmp_path: Path, python: str, told: str) -> None:
    folder = _copy_of_makefile(tmp_path)
    fake = folder / "fake-python"
    fake.write_text(f"#!/bin/sh\n{python}\n")
    fake.chmod(0o755)
    # Without uv on the path, which would need no ensurepip.
    tools = folder / "tools"
    tools.mkdir()
    for tool in ("sh", "touch", "make", "git", "grep"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    ran = subprocess.run(
        ["make", "repro", f"PYTHON={fake}"],
        cwd=folder,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert told in ran.stderr
    assert not (folder / ".venv").exists()
