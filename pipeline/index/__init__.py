"""`python -m pipeline index`: one page that lists every experiment with its headline numbers.

It derives nothing: each report left the table of its headline in summary.json.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..base import store
from ..base.store import Place
from ..experiment import TOP, available
from ..report import templates

PAGE = "experiments.html"


@dataclass(frozen=True)
class Entry:
    """An experiment that has a report; `link` leads to it from the page."""

    name: str
    link: str
    data: str
    eps: str
    made: str
    sentences: list[str]
    table: dict[str, Any]


def write(root: Path) -> Path:
    """Write reports/experiments.html below `root`; equal reports give equal bytes.

    Raises:
        UserError: what a report left for it is damaged.
    """
    page = Place(root).reports / PAGE
    names = available(root)
    found = [entry for name in names if (entry := _entry(name, _place(root, name), page))]
    known = {entry.name for entry in found}
    values = {
        "entries": found,
        "waiting": [name for name in names if name not in known],
        "top": TOP,
    }
    store.write_text(page, templates.render(f"{PAGE}.j2", values, __name__))
    return page


def _place(root: Path, name: str) -> Place:
    return Place(root if name == TOP else root / "experiments" / name)


def _entry(name: str, place: Place, page: Path) -> Entry | None:
    """None where there is no report, or one of a time when it left no table."""
    report, left = place.reports / "index.html", place.reports / "tables" / "summary.json"
    if not (report.exists() and left.exists()):
        return None
    summary = store.read_json(left)
    if "table" not in summary:
        return None
    return Entry(
        name=name,
        link=os.path.relpath(report, page.parent),
        data=summary["data"]["name"],
        eps=f"{summary['headline']['eps']:.4g}",
        made=_made(left),
        sentences=summary["sentences"],
        table=summary["table"],
    )


def _made(path: Path) -> str:
    """The day of the last change: of the commit, where Git has the file as it is."""
    if shutil.which("git"):
        folder, name = path.parent, path.name
        git = ["git", "-C", str(folder)]
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", name], capture_output=True, text=True
        )
        if changed.returncode == 0 and not changed.stdout:
            day = subprocess.run(
                [*git, "log", "-1", "--format=%cs", "--", name], capture_output=True, text=True
            ).stdout.strip()
            if day:
                return day
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
