"""What the witnesses of the other networks did to one network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SURVIVED = 0


@dataclass(frozen=True)
class Transferred:
    """Witnesses of S other networks, tried on the N images of one network.

    Attributes:
        sources: the other networks, length S.
        eps: (S, N) the ε of the source's witness; infinite where it has none, because the image
            broke nothing or was misread without a change.
        outcome: (S, N) of the verdict on that witness; survived where there is none.
        foreign: witnesses of images that are not among the N.
    """

    sources: list[str]
    eps: np.ndarray
    outcome: np.ndarray
    foreign: int

    def smallest(self, *outcomes: int) -> np.ndarray:
        """(N,) the smallest ε at which any source's witness had any of `outcomes`, or infinite."""
        hit = np.where(np.isin(self.outcome, outcomes), self.eps, np.inf)
        found: np.ndarray = hit.min(axis=0, initial=np.inf)
        return found


def nobody(n: int) -> Transferred:
    """No other network was tried on the `n` images."""
    return Transferred([], np.zeros((0, n)), np.zeros((0, n), dtype=np.int16), 0)


def arrange(stored: dict[str, np.ndarray], target: str, index: np.ndarray) -> Transferred:
    """The part of a stored table about one target, by example of `index` (N,)."""
    network = target.partition("/")[0]
    names = stored["source_names"].tolist()
    sources = [name for name in names if name != network]
    shape = (len(sources), len(index))
    eps, outcome = np.full(shape, np.inf), np.full(shape, SURVIVED, dtype=np.int16)
    order = np.argsort(index)
    known = np.isin(stored["index"], index)
    of_target = stored["target"] == stored["target_names"].tolist().index(target)
    for row, source in enumerate(sources):
        chosen = of_target & (stored["source"] == names.index(source))
        chosen &= known
        at = order[np.searchsorted(index, stored["index"][chosen], sorter=order)]
        eps[row, at] = stored["eps"][chosen]
        outcome[row, at] = stored["outcome"][chosen]
    return Transferred(sources, eps, outcome, int((~known).sum()))
