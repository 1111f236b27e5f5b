"""What every test has: the fixture `check`, and threads that let others work while they wait."""

import os

# Before torch is imported: threads that spin while they wait slow a busy machine tenfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

# Before any gradient is computed: autograd counts the devices of a process once, at its first.
import elsewhere  # noqa: F401


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Edit the shipped params.yaml, run `check-config` on it: exit code and message."""
    from pipeline.__main__ import main

    shipped = yaml.safe_load((Path(__file__).parent.parent / "params.yaml").read_text())

    def run(edit: Callable[[dict[str, Any]], object]) -> tuple[int, str]:
        params = copy.deepcopy(shipped)
        edit(params)
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(params))
        code = main(["check-config", "--params", str(path)])
        return code, capsys.readouterr().err

    return run
