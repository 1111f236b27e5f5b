"""`make repro`: `dvc repro`, in which stages that do not need each other run side by side.

DVC runs one stage after another, and a stage of small images takes one core. For branches of a
pipeline its manual has several `dvc repro` run at once, each waiting for DVC's lock between stages.
Here networks are trained side by side, then attacks and noise of each. A last `dvc repro` runs what
needs them all, and finds the rest done.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .base.errors import UserError
from .base.store import Place
from .cores import stages_at_once

if TYPE_CHECKING:
    from .base.config import Config

# What DVC says for each of its commands, and need be said once.
_CHATTER = re.compile(
    r"\s*|(Updating|Generating) lock file .*|To (track|enable) .*|\s*(git add|dvc config) .*"
    r"|Use `dvc push` .*|Stage .* didn't change, skipping|Data and pipelines are up to date\."
)


def run(place: Place, config: Config, jobs: int | None = None) -> int:
    """Bring every result of the experiment up to date.

    Args:
        jobs: how many stages may run at once; as many as there are cores for, if not given.

    Returns:
        0, or the exit status of the `dvc repro` that failed.

    Raises:
        UserError: if there is no dvc.yaml beside params.yaml.
    """
    file = place.folder / "dvc.yaml"
    if not file.exists():
        raise UserError(f"{file}: missing; `make experiment NAME=...` makes a folder that has one")
    jobs = stages_at_once(config) if jobs is None else jobs
    rounds = _changed(file, config) if jobs > 1 else []
    if sum(map(len, rounds)) > 1:
        for branches in [[["data", "watch"]], *rounds]:
            status = _side_by_side(file, branches, jobs)
            if status:
                return status
    return subprocess.run(_repro(str(file)), env=_environment(), check=False).returncode


def _changed(file: Path, config: Config) -> list[list[list[str]]]:
    """What DVC finds changed, or needs what is, of each round; nothing if it cannot say."""
    command = [sys.executable, "-m", "dvc", "status", "--json", str(file)]
    asked = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    try:
        told = json.loads(asked.stdout)
    except ValueError:  # the `dvc repro` that follows tells what is wrong
        return []
    changed = {stage.rpartition(":")[2] for stage in told}
    return [
        [
            branch.stages
            for branch in branches
            if not changed.isdisjoint(["data", *branch.needs, *branch.stages])
        ]
        for branches in _rounds(config)
    ]


class Branch(NamedTuple):
    """Stages to be run one after another, and a stage of an earlier round that they need."""

    stages: list[str]
    needs: list[str]


def _rounds(config: Config) -> list[list[Branch]]:
    """Branches in rounds: those of a round do not need each other."""
    memorized = [Branch([f"memorize@{network}"], []) for network in config.memorize.networks]
    trained = [Branch([f"train@{network}"], []) for network in config.networks]
    judged = [
        Branch([f"{stage}@{network}-{suite}" for suite in config.suites], [f"train@{network}"])
        for stage in ("attack", "noise")
        for network in config.networks
    ]
    return [memorized + trained, judged]


def _side_by_side(file: Path, branches: Sequence[Sequence[str]], jobs: int) -> int:
    """Run all branches, dealt out to so many `dvc repro`; the status of one that failed, or 0."""
    hands = [itertools.chain.from_iterable(branches[deal::jobs]) for deal in range(jobs)]
    asked = [targets for hand in hands if (targets := [f"{file}:{stage}" for stage in hand])]
    with ThreadPoolExecutor(jobs) as pool:  # what others have begun when one fails is finished
        commands = [_repro("--single-item", *targets) for targets in asked]
        return max(pool.map(_shown, commands), key=abs, default=0)


def _repro(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *arguments]


def _environment() -> dict[str, str]:
    """Stages start as `python`, which has to be this one; what they print is to come at once."""
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return os.environ | {"PATH": here, "PYTHONUNBUFFERED": "1"}


def _shown(command: Sequence[str]) -> int:
    """Run `command` and print its lines, each whole, as others print theirs; its status."""
    with subprocess.Popen(
        command,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not _CHATTER.fullmatch(line.rstrip("\n")):
                sys.stdout.write(line)
                sys.stdout.flush()
    return process.returncode
