"""Long work says how far it is: a bar in a terminal, few plain lines in a log."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base import progress as module
from pipeline.base.progress import duration, progress

ROOT = Path(__file__).parent.parent
SHOW = """
from pipeline.base.progress import progress
with progress(3, "train plain [1]") as bar:
    for step in range(3):
        bar.update(loss=0.5 / (step + 1), accuracy="97.5%")
"""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_every_few_seconds_and_one_at_the_end(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress(40, "attack plain") as bar:
        for step in range(40):
            clock[0] += 0.5
            bar.update(eps=0.15, broken=step)

    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "attack plain: 10/40  eps=0.15 broken=9  about 15 s left",
        "attack plain: 20/40  eps=0.15 broken=19  about 10 s left",
        "attack plain: 30/40  eps=0.15 broken=29  about 5.0 s left",
        "attack plain: 40/40  eps=0.15 broken=39  took 20 s",
    ]


def test_short_work_leaves_one_line(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress(2, "train") as bar:
        bar.update(loss=0.123456)
        bar.update()
    assert capsys.readouterr().err == "train: 2/2  loss=0.1235  took 0.0 s\n"


def test_several_steps_at_once_and_work_that_fails(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="broken"), progress(100, "noise") as bar:
        bar.update(30)
        clock[0] += 75
        raise ValueError("broken")
    assert capsys.readouterr().err == "noise: 30/100  stopped after 1 min 15 s\n"


def test_a_terminal_gets_a_bar() -> None:
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    screen = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "━" in screen
    assert "train plain [1]" in screen
    assert "3/3" in screen
    assert "accuracy=97.5%" in screen


def test_without_rich_a_terminal_gets_plain_lines() -> None:
    ours, theirs = pty.openpty()
    hide = "import sys; sys.modules['rich.progress'] = None\n"
    subprocess.run([sys.executable, "-c", hide + SHOW], cwd=ROOT, stderr=theirs, check=True)
    os.close(theirs)
    screen = os.read(ours, 100_000).decode()
    os.close(ours)
    assert screen.startswith("train plain [1]: 3/3  loss=0.1667 accuracy=97.5%  took ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (3900, "1 h 5 min")],
)
def test_durations_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
