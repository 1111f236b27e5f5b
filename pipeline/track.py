"""Stage `track`: MLflow shows what the result files hold, and nothing else.

Stages never log. A stage that DVC skips or restores from its cache would log nothing, and one that
is tried again would log twice. So MLflow is a projection: one run per network, known by a key that
follows from the content of its results. What is there already is left alone, what is missing is
made, and a deleted database is rebuilt whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base.errors import UserError
from .base.store import Place, fingerprint, read_json, write_json
from .records import Record, read_records, report_files

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from .base.config import Config

KEY, STATE, KIND = "epsball.key", "epsball.state", "epsball.kind"
SQLITE = "sqlite:///"
PLACE, REPORT, PARENT = "epsball.place", "epsball.report", "mlflow.parentRunId"


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
    wanted = {
        "uri": hashlib.sha256(uri.encode()).hexdigest(),  # it may hold a password
        "keys": {record.network: record.key for record in records},
        "report": drawn,
    }
    stamp = place.work / "mlflow.json"
    with _locked(_database(uri) or _root() / "mlflow.db"):
        if _is_synced(stamp, wanted, _database(uri)):
            return
        runs = _sync(uri, place, config, records, report, drawn)
        write_json(stamp, {**wanted, "runs": runs})


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


def _sync(
    uri: str, place: Place, config: Config, records: list[Record], report: list[Path], drawn: str
) -> list[str]:
    """Make MLflow hold exactly this; the ids of the runs that show it."""
    # Telemetry off; and a server that is away is told after seconds, not minutes.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    name = f"epsball/{place.name}"  # by folder: another one may use the same data set
    try:
        client = MlflowClient(tracking_uri=uri)
        experiment = _experiment(client, name, _database(uri))
        there = _existing(client, experiment, place)
        common = {PLACE: place.name, "dataset": config.data.name, **_provenance()}
        parent = _parent(client, experiment, there, common, report, drawn)
        current, made = [parent], 0
        known = {run.data.tags[KEY]: run for run in there if KEY in run.data.tags}
        for record in records:
            if record.key in known:
                current.append(known[record.key].info.run_id)
            else:
                tags = {**common, "network": record.network, "architecture": record.architecture}
                tags |= {PARENT: parent, KEY: record.key, "superseded": "false"}
                title = f"{config.data.name}/{record.network}"
                current.append(_create(client, experiment, title, tags, record))
                made += 1
        _mark(client, list(known.values()), current, parent)
    except (MlflowException, SQLAlchemyError) as error:
        raise UserError(
            f"MLflow cannot be used ({_first_line(error)}). The results are safe: they are plain "
            "files. Check MLFLOW_TRACKING_URI, or delete mlflow.db, and run this again"
        ) from error
    print(f"MLflow: {len(records)} networks in experiment {name}, {made} of them new")
    return current


def _experiment(client: MlflowClient, name: str, database: Path | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        # A server knows where its artifacts go; beside a database of our own, they lie next to it.
        beside = (database.parent / "mlartifacts" / name).as_uri() if database else None
        return str(client.create_experiment(name, artifact_location=beside))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _existing(client: MlflowClient, experiment: str, place: Place) -> list[Run]:
    """The runs of this place. What a crash left half written is deleted."""
    found: list[Run] = []
    token: str | None = None
    while token != "":
        page = client.search_runs(
            [experiment], f"tags.`{PLACE}` = '{place.name}'", page_token=token
        )
        found += page
        token = page.token or ""
    for run in found:
        if run.data.tags.get(STATE) != "complete":
            client.delete_run(run.info.run_id)
    return [run for run in found if run.data.tags.get(STATE) == "complete"]


def _parent(
    client: MlflowClient,
    experiment: str,
    there: list[Run],
    tags: dict[str, str],
    report: list[Path],
    drawn: str,
) -> str:
    """The one run that all others of the place hang under; it holds the latest report."""
    parents = [run for run in there if run.data.tags.get(KIND) == "report"]
    if parents:
        parent = parents[0].info.run_id
    else:
        parent = _create(client, experiment, "report", {**tags, KIND: "report"}, None)
    if not parents or parents[0].data.tags.get(REPORT) != drawn:
        for file in report:
            below = file.parent.name if file.parent.name == "figures" else None
            client.log_artifact(parent, str(file), below)
        client.set_tag(parent, REPORT, drawn)
    return parent


def _create(
    client: MlflowClient, experiment: str, name: str, tags: dict[str, str], record: Record | None
) -> str:
    """A whole run. Until its last line is written it counts as left over from a crash."""
    from mlflow.entities import Metric, Param

    made = client.create_run(experiment, run_name=name, tags={**tags, STATE: "writing"})
    run_id = str(made.info.run_id)
    if record is not None:
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value, step in record.metrics]
        client.log_batch(run_id, params=[Param(k, v) for k, v in record.params.items()])
        for start in range(0, len(metrics), 1000):  # MLflow takes no more at once
            client.log_batch(run_id, metrics=metrics[start : start + 1000])
    client.set_terminated(run_id)
    client.set_tag(run_id, STATE, "complete")
    return run_id


def _mark(client: MlflowClient, known: list[Run], current: list[str], parent: str) -> None:
    """Tell outdated runs from current ones.

    An experiment that DVC runs in a temporary copy outdates nothing: the workspace has not moved.
    """
    in_workspace = Path.cwd().resolve() == _root()
    for run in known:
        is_current = run.info.run_id in current
        wanted = {"superseded": "false" if is_current else "true", PARENT: parent}
        for tag, value in wanted.items():
            if (is_current or in_workspace) and run.data.tags.get(tag) != value:
                client.set_tag(run.info.run_id, tag, value)


def _is_synced(stamp: Path, wanted: dict[str, Any], database: Path | None) -> bool:
    """Whether the last sync wrote exactly this and its runs are still there, without MLflow.

    Only a database on this machine can be asked that cheaply.
    """
    if database is None or not database.exists():
        return False
    try:
        last = read_json(stamp)
    except UserError:  # missing or damaged: a sync writes it anew
        return False
    if not isinstance(last, dict) or {**last, "runs": None} != {**wanted, "runs": None}:
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
            tags["git_commit"] = git.stdout.strip()
    if os.environ.get("DVC_EXP_NAME"):
        tags["DVC_EXP_NAME"] = os.environ["DVC_EXP_NAME"]
    return tags


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
