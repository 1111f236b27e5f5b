"""What a section of the page is made from, and what it is: a question, and what answers it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .chart import Chart
from .luck import Luck
from .measures import Measure
from .results import Results

if TYPE_CHECKING:
    from ..base.config import Config
    from ..base.store import Place


@dataclass(frozen=True)
class Findings:
    """All that was measured. `found` has one entry for each (network, suite), `lucks` one for each
    of a network that was trained with several seeds."""

    place: Place
    config: Config
    results: Results
    found: dict[tuple[str, str], Measure]
    lucks: list[Luck] = field(default_factory=list)

    @property
    def eps(self) -> float:
        """The headline's ε."""
        return self.config.headline.eps

    @property
    def suites(self) -> list[str]:
        """The headline's suite first."""
        head = self.config.headline.suite
        return [head, *(name for name in self.config.suites if name != head)]

    def of(self, suite: str) -> list[Measure]:
        """One suite's measures, network by network."""
        return [self.found[network, suite] for network in self.results.networks]

    @property
    def head(self) -> list[Measure]:
        """The headline suite's measures, network by network."""
        return self.of(self.config.headline.suite)

    @property
    def chance(self) -> float:
        """The accuracy of guessing."""
        return 1 / len(self.results.data.classes)


@dataclass(frozen=True)
class Section:
    """One question of the page.

    Attributes:
        name: of its anchor, and of its templates sections/<name>.html.j2 and, where the Markdown
            has it too, sections/<name>.md.j2.
        short: what the contents call it; empty: they do not list it.
        question: its heading.
        values: what its templates show, by name; they see nothing else.
        charts: those in it, to be written as files too.
    """

    name: str
    short: str
    question: str
    values: dict[str, Any]
    charts: list[Chart] = field(default_factory=list)
