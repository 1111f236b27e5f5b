"""The pipeline as users run it: `dvc repro`, edits and kills, on a small grid of its own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from pipeline.__main__ import main
from pipeline.base.store import read_npz
from project import Project, stages_run
from test_stages import tiny

ROOT = Path(__file__).parent.parent
OWN = {"model": "mine:build", "weights": "mine.pt", "code": ["parts.py"]}
SOURCE = """\
import torch
from parts import UNITS


def build():
    middle = [torch.nn.Linear(64, UNITS), torch.nn.ReLU(), torch.nn.Linear(UNITS, 10)]
    return torch.nn.Sequential(torch.nn.Flatten(), *middle)
"""
pytestmark = pytest.mark.timeout(600)


def verdicts(project: Project, network: str = "plain") -> dict[str, np.ndarray]:
    return read_npz(project.folder / f"artifacts/attack/{network}/linf/verdicts.npz")


def save_weights(project: Project, seed: int) -> None:
    """The file of weights that OWN names."""
    torch.manual_seed(seed)
    first, second = torch.nn.Linear(64, 8), torch.nn.Linear(8, 10)
    state = {"1.weight": first.weight, "1.bias": first.bias}
    state |= {"3.weight": second.weight, "3.bias": second.bias}
    torch.save({name: value.detach() for name, value in state.items()}, project.folder / "mine.pt")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("project"))
    params = tiny()
    params["evaluation"]["diagnosis"] = 20
    project.edit(lambda empty: empty.update(params))
    return project


def cells(stage: str, *networks: str) -> set[str]:
    return {f"{stage}@{network}-linf" for network in networks}


def test_edits_rerun_what_depends_on_them_and_nothing_else(project: Project) -> None:
    both = ("plain", "hard")
    # Side by side, as `make repro` runs them; each stage once.
    printed = project.call("python", "-m", "pipeline", "repro", "--jobs", "2").stdout
    assert len(re.findall("Running stage 'train@", printed)) == 2
    assert stages_run(printed) == {
        "data",
        "train@plain",
        "train@hard",
        *cells("attack", *both),
        *cells("noise", *both),
        "transfer",
        "memorize@plain",
        "report",
        "track",
    }
    assert project.repro() <= {"track"}

    # One suite's budgets: its attack and noise for each network, then report and track.
    def shift(params: dict[str, Any]) -> None:
        params["suites"]["linf"]["eps"] = [0.1, 0.15]

    project.edit(shift)
    again = {*cells("attack", *both), *cells("noise", *both), "transfer", "report", "track"}
    assert project.repro() == again

    # Reverted: everything comes back from DVC's run cache but what is never cached.
    before = verdicts(project)

    def back(params: dict[str, Any]) -> None:
        params["suites"]["linf"]["eps"] = [0.05, 0.15]

    project.edit(back)
    assert project.repro() <= {"report", "track"}
    assert verdicts(project)["eps_grid"].tolist() == [0.05, 0.15]
    assert before["eps_grid"].tolist() == [0.1, 0.15]

    # A seed more of a network: the first seed's run stays as it is, to the second that it took.
    folder = project.folder / "artifacts/networks/plain"
    kept = {name: (folder / name).read_bytes() for name in ("network.pt", "training.json")}
    project.edit(lambda params: params["networks"]["plain"].update(seeds=[0, 1]))
    assert project.repro("attack@plain-linf") == {"train@plain", "attack@plain-linf"}
    for name, content in kept.items():
        assert (folder / name).read_bytes() == content
        assert (folder / "seed-1" / name).read_bytes() != content
    assert (project.folder / "artifacts/attack/plain/linf/seed-1/witnesses.npz").exists()
    project.edit(lambda params: params["networks"]["plain"].pop("seeds"))

    # A network more, and it is the user's own: that network alone.
    def more(params: dict[str, Any]) -> None:
        params["networks"]["third"] = OWN

    (project.folder / "mine.py").write_text(SOURCE)
    (project.folder / "parts.py").write_text("UNITS = 8\n")
    save_weights(project, 0)
    project.edit(more)
    assert project.repro() == {
        "train@third",
        "attack@third-linf",
        "noise@third-linf",
        "transfer",
        "report",
        "track",
    }
    assert '"third"' in (project.folder / "reports/metrics.json").read_text()

    # Another file of weights, and another line of code that it is listed to depend on: that network
    # is taken in again, and what rests on it has changed.
    resting = {"attack@third-linf", "noise@third-linf", "transfer", "report"}
    save_weights(project, 1)
    assert project.repro("train@third") == {"train@third"}
    assert project.outdated() == resting
    save_weights(project, 0)
    (project.folder / "parts.py").write_text("UNITS = 2 * 4\n")
    assert project.repro("train@third") == {"train@third"}
    assert project.outdated() == resting

    # A network less: nothing is computed, and no ghost stays in the report.
    project.edit(lambda params: params["networks"].pop("third"))
    assert project.repro() == {"transfer", "report", "track"}
    assert '"third"' not in (project.folder / "reports/metrics.json").read_text()


def test_an_added_attack_trains_nothing(project: Project) -> None:
    folder = project.folder / "attacks"
    source = (folder / "fixed/fgsm.py").read_text().replace("def fgsm(", "def lazy(")
    (folder / "fixed/lazy.py").write_text(source)
    line = "ATTACKS: dict[str, Entry] = {\n"
    added = line + '    "lazy": Entry(".fixed.lazy", "lazy", "fixed"),\n'
    project.rewrite("attacks/registry.py", line, added)
    params = (project.folder / "params.yaml").read_text()
    project.edit(lambda params: params["suites"]["linf"]["attacks"].append({"attack": "lazy"}))
    both = ("plain", "hard")
    outdated = project.outdated()
    assert cells("attack", *both) <= outdated
    assert not [name for name in outdated if name.startswith(("data", "train", "memorize"))]
    assert project.repro("attack@plain-linf") == {"attack@plain-linf"}
    assert "lazy" in verdicts(project)["attack_names"].tolist()
    # Taken away again, it leaves nothing to be done.
    (folder / "fixed/lazy.py").unlink()
    project.rewrite("attacks/registry.py", added, line)
    (project.folder / "params.yaml").write_text(params)
    assert project.repro() <= {"report", "track"}
    assert "lazy" not in verdicts(project)["attack_names"].tolist()


def test_a_bad_file_stops_plain_dvc_repro_and_loses_nothing(project: Project) -> None:
    results = [*project.folder.glob("artifacts/**/*.*"), *project.folder.glob("reports/*.*")]
    before = {path: path.read_bytes() for path in results}
    assert project.folder / "reports/index.html" in before
    good = (project.folder / "params.yaml").read_text()

    def spoil(params: dict[str, Any]) -> None:
        params["recipe"]["epochs"] = "many"
        params["headline"]["eps"] = 99

    project.edit(spoil)
    try:
        done = project.call("dvc", "repro", check=False)
        assert done.returncode != 0
        assert "recipe.epochs" in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        assert (project.folder / "reports/index.html").exists()
    finally:
        (project.folder / "params.yaml").write_text(good)
    assert project.repro() <= {"report", "track"}
    for path, content in before.items():
        assert path.read_bytes() == content


def test_a_killed_run_is_completed_by_the_next_with_the_same_verdicts(project: Project) -> None:
    before = verdicts(project)
    weights = project.folder / "artifacts/networks/plain/network.pt"
    trained = weights.read_bytes()
    # Nothing to restore from: what was killed has to run again.
    target = "attack@plain-linf"
    lock = yaml.safe_load((project.folder / "dvc.lock").read_text())["stages"]
    for stage in ("train@plain", target):
        (out,) = lock[stage]["outs"]
        shutil.rmtree(project.folder / out["path"])
        (project.folder / ".dvc/cache/files/md5" / out["md5"][:2] / out["md5"][2:]).unlink()
    shutil.rmtree(project.folder / ".kept")
    project.kill_in("train plain", ".work/train-plain-*.pt", target=target, orphan=True)
    assert not weights.exists()
    pieces = ".work/attack-plain-linf-*/0-0.npz"
    project.kill_in("attack plain linf", pieces, target=target, orphan=False)
    assert weights.exists()
    assert not (project.folder / "artifacts/attack/plain/linf").exists()
    (project.folder / "reports/index.html").unlink()
    ran = project.repro()
    # Nothing else: the other stages after it get the same weights and verdicts.
    assert {"attack@plain-linf", "report"} <= ran
    assert ran <= {"attack@plain-linf", "transfer", "report", "track"}
    after = verdicts(project)
    assert weights.read_bytes() == trained
    for column, values in before.items():
        assert np.array_equal(values, after[column], equal_nan=values.dtype.kind == "f"), column
    assert not list(project.folder.glob("artifacts/attack/plain/.*"))

    # The report: killed at work, the page is the old one or the new one but whole.
    page = project.folder / "reports/index.html"
    project.edit(lambda params: params["headline"].update(eps=0.05))
    project.kill_in("report", "reports/.tables.*", target="report", orphan=False)
    assert page.read_text().rstrip().endswith("</html>")
    assert project.repro("report") == {"report"}
    assert '"eps": 0.05' in (project.folder / "reports/tables/summary.json").read_text()


def test_experiments_live_side_by_side(project: Project) -> None:
    project.repro()
    project.call("python", "-m", "pipeline", "experiment", "small")
    path = project.folder / "experiments/small/params.yaml"
    params = yaml.safe_load(path.read_text())
    params["networks"] = {"plain": {"epochs": 1}}
    params["data"]["seed"] = 1
    path.write_text(yaml.safe_dump(params))
    before = (project.folder / "reports/index.html").read_bytes()
    ran = project.repro("experiments/small/dvc.yaml")
    assert "experiments/small/dvc.yaml:attack@plain-linf" in ran
    assert (project.folder / "experiments/small/reports/index.html").exists()
    assert (project.folder / "reports/index.html").read_bytes() == before
    assert project.repro() <= {"track"}
    assert project.repro("experiments/small/dvc.yaml") <= {"experiments/small/dvc.yaml:track"}


def test_dvc_metrics_and_experiments_work_as_their_users_expect(project: Project) -> None:
    shown = project.call("dvc", "metrics", "show").stdout
    for name in ("plain", "clean_acc", "robust_acc", "eps50"):
        assert name in shown
    project.call("git", "add", ".")
    project.call(
        "git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", "results"
    )
    done = project.call(
        "dvc", "exp", "run", "-n", "shorter", "-S", "networks.plain.epochs=1", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Running stage 'train@plain'" in done.stdout
    assert "Running stage 'train@hard'" not in done.stdout
    table = project.call("dvc", "exp", "show", "--only-changed", "--csv").stdout
    assert "shorter" in table
    changed = project.call("dvc", "metrics", "diff").stdout
    assert "plain.clean_acc" in changed


def test_a_run_is_compared_with_a_revision(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The test above left a commit of results, and results of other parameters after it."""
    monkeypatch.chdir(project.folder)

    def commit(*arguments: str) -> None:
        project.call("git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", *arguments)

    def compared(base: str = "HEAD") -> tuple[int, list[str], str]:
        code = main(["compare", "--base", base])
        told = capsys.readouterr()
        return code, [line for line in told.out.splitlines() if line.startswith("| ")], told.err

    code, rows, _ = compared()
    assert code == 0
    assert rows[1:]
    page = (project.folder / "reports/compare.html").read_text()
    changed = re.search(r"networks\.plain\.epochs: (\d+) → 1", page)
    assert changed is not None
    assert changed[1] != "1"
    assert any(row.startswith("| hard") and row.count("the same images") == 2 for row in rows)
    assert any(row.startswith("| plain") and " → " in row for row in rows)

    # An experiment of DVC's, here the one whose results lie in the workspace.
    code, same, _ = compared("shorter")
    assert code == 0
    assert len(same) == len(rows)
    assert not any(" → " in row for row in same)

    # Without DVC's cache, from the tables of the report that were committed with it.
    cache, away = project.folder / ".dvc/cache", project.folder.parent / "cache"
    cache.rename(away)
    try:
        assert compared() == (0, rows, "")
        project.call("git", "rm", "-q", "--cached", "reports/tables/verdicts.parquet")
        commit("-q", "-m", "no tables")
        code, _, told = compared()
        assert code == 2
        assert "DVC's cache no longer holds artifacts/" in told
        assert "`dvc fetch` from a remote" in told
    finally:
        away.rename(cache)
    assert compared() == (0, rows, "")
    project.call("git", "rm", "-q", "--cached", "dvc.lock")
    commit("-q", "-m", "no lock")
    code, _, told = compared()
    assert code == 2
    assert "dvc.lock is not committed there" in told
    assert "git add dvc.lock" in told
