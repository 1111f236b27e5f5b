"""Progress of long work: a bar in a terminal, plain lines in a log.

A log must stay readable, so a line comes at most every few seconds, and one at the end.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

SECONDS_BETWEEN_LINES = 5.0

Field = str | int | float


class Progress:
    """Counts steps of known total and writes plain lines to standard error.

    Use it as a context manager and call `update` after each step. `fields` are shown as
    `name=value` and kept until they are given again; percentages and units are the caller's.
    """

    def __init__(self, total: int, label: str) -> None:
        self.total = total
        self.label = label
        self.done = 0
        self.fields: dict[str, Field] = {}
        self._started = self._shown = time.monotonic()

    def __enter__(self) -> Progress:
        self._started = self._shown = time.monotonic()
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close(failed=error is not None)

    def update(self, n: int = 1, **fields: Field) -> None:
        """Count `n` more finished steps, and show `fields` from now on."""
        self.done += n
        self.fields.update(fields)
        self._show()

    def _open(self) -> None:
        """Nothing to do before the first line."""

    def _show(self) -> None:
        now = time.monotonic()
        # The end gets its own line when the block closes.
        if now - self._shown >= SECONDS_BETWEEN_LINES and self.done < self.total:
            self._shown = now
            elapsed = now - self._started
            left = elapsed / self.done * (self.total - self.done) if self.done else None
            self._line("" if left is None else f"about {duration(left)} left")

    def _close(self, failed: bool) -> None:
        elapsed = duration(time.monotonic() - self._started)
        self._line(f"stopped after {elapsed}" if failed else f"took {elapsed}")

    def _line(self, remark: str) -> None:
        parts = [f"{self.label}: {self.done}/{self.total}", shown(self.fields), remark]
        print("  ".join(part for part in parts if part), file=sys.stderr, flush=True)


class _Bar(Progress):
    """The same count as a bar of rich, redrawn in place."""

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._rich = RichProgress(
            # markup off: a label or a value with brackets is text, not style
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[shown]}", markup=False),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=Console(stderr=True),
        )
        self._task: TaskID = self._rich.add_task(self.label, total=self.total, shown="")
        self._rich.start()

    def _show(self) -> None:
        self._rich.update(self._task, completed=self.done, shown=shown(self.fields))

    def _close(self, failed: bool) -> None:
        self._rich.stop()


def progress(total: int, label: str) -> Progress:
    """Progress over `total` steps, named `label`: a bar in a terminal, else plain lines.

    >>> with progress(3, "train plain") as bar:
    ...     bar.update(loss=0.12, accuracy="97.5%")
    """
    return _Bar(total, label) if _can_draw() else Progress(total, label)


def shown(fields: dict[str, Field]) -> str:
    """`loss=0.1234 accuracy=97.5%`; floats with four significant digits."""
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in fields.items()
    )


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s` or `1 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _can_draw() -> bool:
    """Whether standard error is a terminal and rich is installed (a lone library need not)."""
    if not sys.stderr.isatty():
        return False
    try:
        import rich.progress  # noqa: F401
    except ImportError:
        return False
    return True
