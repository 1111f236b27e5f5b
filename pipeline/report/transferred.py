"""What the witnesses of the other networks did to one network."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..base import store
from ..base.store import Place

SURVIVED = 0
OUTCOMES = ["survived", "broken", "error"]
NUMBERS = ("index", "eps", "adv_pred", "distance")


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


def write_table(path: Path, place: Place, suites: list[str]) -> None:
    """Every verdict on a witness of another network, of all suites; one row group each."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    with ExitStack() as stack:
        writer = None
        for suite in suites:
            stored = store.read_npz(place.transfer(suite))
            names = {
                "suite": (np.zeros(len(stored["index"]), np.int16), [suite]),
                "source": (stored["source"], stored["source_names"].tolist()),
                "target": (stored["target"], stored["target_names"].tolist()),
                "outcome": (stored["outcome"], OUTCOMES),
            }
            block = pa.table(
                {
                    name: pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int16)), of)
                    for name, (codes, of) in names.items()
                }
                | {name: pa.array(column) for name, column in stored.items() if name in NUMBERS}
            )
            if writer is None:
                writer = stack.enter_context(
                    pq.ParquetWriter(path, block.schema, compression="zstd")
                )
            writer.write_table(block)


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
