"""Records written to MLflow: the only module that imports mlflow, and only when it must.

A run is whole or it does not count: until it is finished, which is its last line, the next sync
takes it for what a crash left, and deletes it.
"""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.errors import UserError, first_line
from ..base.store import Place
from .records import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

KEY, KIND = "epsball.key", "epsball.kind"
PLACE, REPORT, PARENT = "epsball.place", "epsball.report", "mlflow.parentRunId"
ATONCE = 1000  # MLflow takes no more metrics in one call
NOTE = """\
[Networks by robust accuracy]({0}) and [their curves]({0}&compareRunsMode=CHART).
Of `robust_acc/<suite>` and `noise_acc/<suite>` the step is ε in thousandths: step 150 is ε = 0.15.
Runs of results that were replaced: `tags.superseded = "true"`.
"""
# Pages of model training, not those of language models, which MLflow opens first.
SORTED = "runs?workflowType=machine_learning&orderByKey=metrics.%60robust_acc%60&orderByAsc=false"
CONTEXTS = {"train": "training", "test": "evaluation"}  # parts of the data, as MLflow calls them


@dataclass(frozen=True)
class Wanted:
    """What MLflow is to show of one experiment.

    `drawn` is the fingerprint of the report's files, "" where they stay out; `tags` are common to
    all runs; `current`: whether these results replace what the experiment had before; `register`:
    whether weights go to the model registry.
    """

    place: Place
    records: list[Record]
    report: list[Path]
    drawn: str
    tags: dict[str, str]
    current: bool
    register: bool


def sync(uri: str, database: Path | None, wanted: Wanted) -> list[str]:
    """Make MLflow hold exactly this; the ids of the runs that show it.

    Args:
        database: the file behind `uri`; None where it is a server's.

    Raises:
        UserError: MLflow cannot be used.
    """
    # Telemetry off; and a server that is away is told after seconds, not minutes.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    name = f"epsball/{wanted.place.name}"  # by folder: another one may use the same data set
    try:
        client = MlflowClient(tracking_uri=uri)
        experiment = _experiment(client, name, database)
        there = _existing(client, experiment, wanted.place)
        parent = _parent(client, experiment, there, wanted)
        known = {run.data.tags[KEY]: run for run in there if KEY in run.data.tags}
        made = [record for record in wanted.records if record.key not in known]
        ids = {key: str(run.info.run_id) for key, run in known.items()}
        for record in made:
            ids[record.key] = _create(client, experiment, record, {**wanted.tags, PARENT: parent})
        current = {ids[record.key]: record for record in wanted.records}
        _mark(client, list(known.values()), current, parent, wanted.current)
        if wanted.register:
            for record in [record for record in wanted.records if record.weights]:
                _register(client, ids[record.key], wanted.place, record)
    except (MlflowException, SQLAlchemyError) as error:
        raise UserError(
            f"MLflow cannot be used ({first_line(error)}). The results are safe: they are plain "
            "files. Check MLFLOW_TRACKING_URI, or delete mlflow.db, and run this again"
        ) from error
    print(f"MLflow: {len(current)} networks in experiment {name}, {len(made)} of them new")
    return [parent, *current]


def _experiment(client: MlflowClient, name: str, database: Path | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        # A server knows where its artifacts go; beside a database of our own, they lie next to it.
        beside = (database.parent / "mlartifacts" / name).as_uri() if database else None
        made = str(client.create_experiment(name, artifact_location=beside))
        client.set_experiment_tag(
            made, "mlflow.note.content", NOTE.format(f"#/experiments/{made}/{SORTED}")
        )
        return made
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
        if run.info.status != "FINISHED":
            client.delete_run(run.info.run_id)
    return [run for run in found if run.info.status == "FINISHED"]


def _parent(client: MlflowClient, experiment: str, there: list[Run], wanted: Wanted) -> str:
    """The one run that all others of the place hang under; it holds the latest report."""
    parents = [run for run in there if run.data.tags.get(KIND) == "report"]
    if parents:
        parent = str(parents[0].info.run_id)
    else:
        title = f"{wanted.tags['dataset']}: the report"
        tags = {**wanted.tags, KIND: "report"}
        parent = str(client.create_run(experiment, run_name=title, tags=tags).info.run_id)
        client.set_terminated(parent)
    if not parents or parents[0].data.tags.get(REPORT) != wanted.drawn:
        for file in wanted.report:
            below = file.parent.name if file.parent.name == "figures" else None
            client.log_artifact(parent, str(file), below)
        client.set_tag(parent, REPORT, wanted.drawn)
    return parent


def _create(client: MlflowClient, experiment: str, record: Record, tags: dict[str, str]) -> str:
    """The whole run of one network, in as few calls as there can be."""
    from mlflow.entities import Metric, Param

    title = f"{tags['dataset']}/{record.network}"
    tags = {**tags, **record.tags, KEY: record.key, "superseded": "false"}
    run = str(client.create_run(experiment, run_name=title, tags=tags).info.run_id)
    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, value, step in record.metrics]
    params = [Param(name, value) for name, value in record.params.items()]
    client.log_batch(run, metrics=metrics[:ATONCE], params=params)
    for start in range(ATONCE, len(metrics), ATONCE):
        client.log_batch(run, metrics=metrics[start : start + ATONCE])
    client.log_inputs(run, [_dataset(record, part) for part in CONTEXTS])
    client.set_terminated(run)
    return run


def _dataset(record: Record, part: str) -> DatasetInput:
    """One part of the data set, known to MLflow by name and checksum, without its images."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = record.data
    return DatasetInput(
        Dataset(
            name=f"{data.name}/{part}",
            digest=data.checksum[:32],  # MLflow takes 36 characters
            source_type="local",
            source=json.dumps({"uri": data.file}),
            profile=json.dumps({"images": data.sizes[part], "classes": data.classes}),
        ),
        [InputTag("mlflow.data.context", CONTEXTS[part])],
    )


def _mark(
    client: MlflowClient, known: list[Run], current: dict[str, Record], parent: str, replaces: bool
) -> None:
    """Tell outdated runs from current ones, and give these their colours."""
    for run in known:
        is_current = run.info.run_id in current
        wanted = {"superseded": "false" if is_current else "true", PARENT: parent}
        if is_current:
            wanted |= current[run.info.run_id].tags
        for tag, value in wanted.items():
            if (is_current or replaces) and run.data.tags.get(tag) != value:
                client.set_tag(run.info.run_id, tag, value)


def _register(client: MlflowClient, run: str, place: Place, record: Record) -> None:
    """A version of the network in the model registry, once for each run."""
    from mlflow.exceptions import MlflowException

    name = f"epsball-{place.name}-{record.network}"
    if client.search_model_versions(f"name = '{name}' and run_id = '{run}'"):
        return
    for file in record.weights:
        below = file.parent.relative_to(place.network(record.network)).as_posix()
        client.log_artifact(run, str(file), "weights" if below == "." else f"weights/{below}")
    try:
        client.create_registered_model(name)
    except MlflowException:  # there already
        client.get_registered_model(name)
    source = f"{client.get_run(run).info.artifact_uri}/weights"
    client.create_model_version(name, source, run_id=run)
