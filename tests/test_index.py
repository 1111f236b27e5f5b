"""One page leads to the reports of all experiments."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from pipeline import index
from pipeline.__main__ import main
from pipeline.base import store
from pipeline.base.errors import UserError
from pipeline.base.store import Place


def reported(place: Place, data: str, eps50: str) -> None:
    """What a report leaves for the page."""
    cells = ["plain", "98.1 %", "3.6 %", eps50, "360"]
    table = {
        "head": ["network", "clean", "robust, L∞ ε = 0.15", "eps50", "n"],
        "rows": [[{"text": text, "interval": "", "share": None, "mark": ""} for text in cells]],
    }
    summary = {
        "data": {"name": data, "checksum": "0" * 64},
        "headline": {"suite": "linf", "norm": "linf", "eps": 0.15},
        "sentences": [f"On 360 test images of {data}, half break.", "Noise.", "Memory."],
        "table": table,
        "lines": [],
    }
    store.write_json(place.reports / "tables" / "summary.json", summary)
    store.write_text(place.reports / "index.html", f"<h1>{data}</h1>")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("mnist", "cifar10"):
        store.write_text(tmp_path / "experiments" / name / "params.yaml", "")
    reported(Place(tmp_path), "digits", "0.0916")
    reported(Place(tmp_path / "experiments/mnist"), "mnist", "0.131")
    return tmp_path


def test_it_lists_what_has_been_run_with_numbers_and_links_that_lead_there(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index"]) == 0
    assert "reports/experiments.html" in capsys.readouterr().out
    page = root / "reports/experiments.html"
    text = page.read_text()
    assert re.findall(r'<section id="([^"]+)"', text) == ["default", "mnist", "not-run"]
    assert text.index("0.0916") < text.index("0.131")
    links = re.findall(r'href="([^#d][^"]*)"', text)
    assert [(page.parent / link).read_text() for link in links] == [
        "<h1>digits</h1>",
        "<h1>mnist</h1>",
    ]
    assert "make repro EXPERIMENT=cifar10" in text
    assert not re.search(r'(?:src|href)="(?:http|/)', text)


def test_equal_reports_give_equal_bytes_and_the_day_is_that_of_the_commit(root: Path) -> None:
    left = root / "reports/tables/summary.json"
    os.utime(left, (86400 * 365, 86400 * 365))
    first = index.write(root).read_bytes()
    assert b"digits, made 1971-01-01" in first
    assert index.write(root).read_bytes() == first
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(root)]
    dated = os.environ | {"GIT_COMMITTER_DATE": "2020-02-02T12:00:00Z"}
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "reports/tables"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "results"], check=True, env=dated)
    assert "digits, made 2020-02-02" in index.write(root).read_text()
    left.write_text(left.read_text() + "\n")
    assert "made 2020-02-02" not in index.write(root).read_text()


def test_without_any_report_it_says_how_to_make_one(tmp_path: Path) -> None:
    text = index.write(tmp_path).read_text()
    assert "<code>make repro</code> runs the first" in text


def test_a_damaged_summary_is_named(root: Path) -> None:
    (root / "experiments/mnist/reports/tables/summary.json").write_text("{")
    with pytest.raises(UserError, match=r"mnist/reports/tables/summary\.json: damaged"):
        index.write(root)
