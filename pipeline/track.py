"""Stage `track`: MLflow shows what the result files hold, and nothing else.

Stages never log. A stage that DVC skips or restores from its cache would log nothing, and one that
is tried again would log twice. So MLflow is a projection: one run per network, known by a key that
follows from the content of its results. What is there already is left alone, what is missing is
made, and a deleted database is rebuilt whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base.errors import UserError
from .base.store import Place, fingerprint, read_json, write_json
from .tracking import projection
from .tracking.records import read_records, report_files

if TYPE_CHECKING:
    from .base.config import Config

SQLITE = "sqlite:///"


def run(place: Place, config: Config) -> None:
    """Bring MLflow up to date with every result of this place; nothing is done twice.

    The store is `MLFLOW_TRACKING_URI`, or else mlflow.db in the root of the repository.

    Raises:
        UserError: a result is missing, or MLflow cannot be used.
    """
    records = read_records(place, config)
    report = report_files(place) if config.tracking.artifacts else []
    drawn = fingerprint(*report) if report else ""
    uri = tracking_uri()
    database = _database(uri)
    asked = {
        "uri": hashlib.sha256(uri.encode()).hexdigest(),  # it may hold a password
        "keys": [[record.network, record.key] for record in records],  # their order gives colours
        "report": drawn,
        "register": config.tracking.register_weights,
    }
    stamp = place.work / "mlflow.json"
    with _locked(database or _root() / "mlflow.db"):
        if _is_synced(stamp, asked, database):
            return
        wanted = projection.Wanted(
            place=place,
            records=records,
            report=report,
            drawn=drawn,
            tags={projection.PLACE: place.name, "dataset": config.data.name, **_provenance()},
            # An experiment that DVC runs in a temporary copy outdates nothing.
            current=Path.cwd().resolve() == _root(),
            register=config.tracking.register_weights,
        )
        write_json(stamp, {**asked, "runs": projection.sync(uri, database, wanted)})


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, or the database in the root of the repository.

    DVC names the root in `DVC_ROOT`, also when it runs an experiment in a temporary copy: a path
    relative to that copy would be lost with it, so that relative paths start at the root.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    database = _database(uri)
    if database is None:
        return uri
    _, mark, options = uri.partition("?")
    return f"{SQLITE}{database}{mark}{options}"


def _is_synced(stamp: Path, asked: dict[str, Any], database: Path | None) -> bool:
    """Whether the last sync wrote exactly this and its runs are still there, without MLflow.

    Only a database on this machine can be asked that cheaply.
    """
    if database is None or not database.exists():
        return False
    try:
        last = read_json(stamp)
    except UserError:  # missing or damaged: a sync writes it anew
        return False
    if not isinstance(last, dict) or {**last, "runs": None} != {**asked, "runs": None}:
        return False
    runs = last["runs"]
    query = "SELECT count(*) FROM runs WHERE lifecycle_stage = 'active' AND run_uuid IN "
    try:
        with closing(sqlite3.connect(database)) as connection:
            rows = connection.execute(f"{query}({','.join('?' * len(runs))})", runs)
            return bool(rows.fetchone()[0] == len(runs))
    except sqlite3.Error:
        return False


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    """One sync at a time: two that create the database together leave it broken for good."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{database}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _root() -> Path:
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()


def _database(uri: str) -> Path | None:
    """The file of an SQLite store, absolute; None for anything else."""
    return _root() / uri.removeprefix(SQLITE).split("?")[0] if uri.startswith(SQLITE) else None


def _provenance() -> dict[str, str]:
    """Where the code stands: the commit, and the name that DVC gave the experiment."""
    tags = {}
    if shutil.which("git"):
        git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
        if git.returncode == 0:
            # The second is where MLflow's own column of versions looks.
            tags["git_commit"] = tags["mlflow.source.git.commit"] = git.stdout.strip()
    if os.environ.get("DVC_EXP_NAME"):
        tags["DVC_EXP_NAME"] = os.environ["DVC_EXP_NAME"]
    return tags
