"""What the comparison's page and Markdown show, put together once for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..report import wording
from ..report.images import data_uri
from . import told
from .changes import NetworkChange, SuiteChange
from .curves import curves
from .images import Images
from .runs import Run

SHOWN = 7  # images per network: a row of them


@dataclass(frozen=True)
class Moved:
    """An image that breaks at another ε than before."""

    uri: str
    alt: str
    heading: str
    before: str
    now: str
    worse: bool


def content(
    base: Run,
    new: Run,
    images: Images,
    grids: dict[str, np.ndarray],
    found: list[NetworkChange],
    headline: tuple[str, float] | None,
) -> dict[str, Any]:
    """Everything the templates show, by name."""
    shown = headline[0] if headline else next(iter(grids))
    return {
        "title": f"{new.title} against {base.title}",
        "data": new.data or base.data or "the data set",
        "n": len(images.new),
        "summary": told.summary(found),
        "table": told.table(found, headline),
        "moved": told.moved(found, headline),
        "headline_eps": wording.grid_eps(headline[1]) if headline else "",
        "notes": images.notes + told.notes(base, new, found, grids),
        "method": told.method(found),
        "charts": [
            curves(suite, found, headline[1] if headline and headline[0] == suite else None)
            for suite in grids
        ],
        "galleries": [
            (change.network, pictures)
            for change in found
            if shown in change.suites and (pictures := _moved(change.suites[shown], images, new))
        ],
        "suite": shown,
    }


def _moved(change: SuiteChange, images: Images, new: Run) -> list[Moved]:
    """The images that lost most; without the test images at hand, none can be shown."""
    row = {int(number): at for at, number in enumerate(new.index_test)}
    found = []
    for position in told.changed(change)[:SHOWN]:
        number = int(images.new[position])
        if number not in row:
            continue
        image = new.x_test[row[number]] / new.levels
        before, now = (_breaks(side.smallest[position]) for side in (change.base, change.new))
        worse = bool(change.new.smallest[position] < change.base.smallest[position])
        found.append(
            Moved(data_uri(image), f"image {number}", f"image {number}", before, now, worse)
        )
    return found


def _breaks(smallest: float) -> str:
    if smallest == 0:
        return "misread"
    return f"ε = {wording.grid_eps(smallest)}" if np.isfinite(smallest) else "survives"
