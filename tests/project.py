"""A project of its own that DVC runs: a copy of the code with small parameters."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

ROOT = Path(__file__).parent.parent


def stages_run(printed: str) -> set[str]:
    """The stages that DVC says it ran, but for `watch`, which runs every time."""
    ran = set(re.findall(r"Running stage '([^']+)'", printed))
    return {stage for stage in ran if not stage.endswith("watch")}


class Project:
    """A copy of the code in a Git repository of its own, with small parameters."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("attacks", "custom", "models", "pipeline"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        for name in ("dvc.yaml", "place.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(ROOT / name, folder / name)
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        # DVC falls back on /bin/sh, which on Debian waits beside a command that bash would become.
        self.environment.pop("SHELL", None)
        self._mark()
        self.call("git", "init", "-q")
        self.call("dvc", "init", "-q")
        self.call("dvc", "config", "core.analytics", "false")

    def _mark(self) -> None:
        """Let long work leave traces of being in its middle, and take its time when it is to be
        killed: a checkpoint after each epoch, a piece after every twenty images, the tables."""
        training, pieces = "pipeline/training/checkpoint.py", "pipeline/judging/measure.py"
        self.rewrite(training, "SECONDS_BETWEEN_SAVES = 20.0", "SECONDS_BETWEEN_SAVES = 0.0")
        self.rewrite(pieces, "PART = 500", "PART = 20")
        for file, line, seconds in (
            (training, "        write_bytes(self.path, buffer.getvalue())\n", 0.5),
            (pieces, "                bar.update(done + len(images.x[part]) - bar.done)\n", 0.5),
            (
                "pipeline/report/__init__.py",
                "        tables.write(folder, loaded, found, summary, lucks)\n",
                3,
            ),
        ):
            indent = " " * (len(line) - len(line.lstrip()))
            pause = f"__import__('os').environ.get('SLOW') and __import__('time').sleep({seconds})"
            self.rewrite(file, line, f"{line}{indent}{pause}\n")

    def call(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    def repro(self, *arguments: str) -> set[str]:
        """Run `dvc repro`; the stages whose command was run (not restored, not skipped)."""
        return stages_run(self.call("dvc", "repro", *arguments).stdout)

    def outdated(self) -> set[str]:
        """The stages that `dvc status` finds changed, but for those that it always does."""
        found = json.loads(self.call("dvc", "status", "--json").stdout)
        return {stage for stage, changes in found.items() if changes != ["always changed"]}

    def rewrite(self, file: str, old: str, new: str) -> None:
        """Change a line of the project's copy of the code."""
        text = (self.folder / file).read_text()
        assert text.count(old) == 1, f"{file}: {old!r}"
        (self.folder / file).write_text(text.replace(old, new))

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text()) if path.exists() else {}
        change(params)
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def kill_in(self, stage: str, begun: str | None = None, *, target: str, orphan: bool) -> None:
        """Start `dvc repro target`, and SIGKILL it in the middle of `stage`.

        Args:
            stage: the words after `python -m pipeline`.
            begun: a file of this pattern shows that the stage is in its middle; without one, the
                stage is killed as soon as its process is seen.
            orphan: leave the stage's process alone; it has to end by itself.
        """
        process = subprocess.Popen(
            ["dvc", "repro", target],
            cwd=self.folder,
            env=self.environment | {"SLOW": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        words = ["-m", "pipeline", *stage.split()]
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                try:
                    if child.cmdline()[1 : 1 + len(words)] != words:
                        continue
                except psutil.Error:
                    continue
                if begun and not any(self.folder.glob(begun)):
                    continue
                os.kill(process.pid, signal.SIGKILL)
                if not orphan:
                    child.send_signal(signal.SIGKILL)
                process.wait()
                _, alive = psutil.wait_procs([child], timeout=5)
                assert not alive
                return
            time.sleep(0.005)
        pytest.fail(f"{stage} was never seen at work")
