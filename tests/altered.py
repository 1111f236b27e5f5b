"""The made results of `synthetic`, and the same with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import synthetic
from pipeline.report import checks, claims, loading, measures
from pipeline.report.results import Cell, Results

NETWORKS = {"plain": (0.05, 5.0, 0.98), "adversarial": (0.21, 4.0, 0.97)}
EPS = 0.1


def made_results(folder: Path) -> Results:
    """Two networks judged by two suites, written below `folder` and loaded."""
    return loading.load(synthetic.write(folder, NETWORKS), synthetic.config(NETWORKS))


def with_cell(made: Results, change: Callable[[Cell], Cell], network: str = "plain") -> Results:
    """The results with one cell, a network by linf, changed."""
    key = (network, "linf")
    return replace(made, cells=made.cells | {key: change(made.cells[key])})


def with_rows(cell: Cell, **columns: np.ndarray) -> Cell:
    return replace(cell, attack=replace(cell.attack, rows=cell.attack.rows | columns))


def with_recipe(made: Results, network: str, **changes: Any) -> Results:
    info = made.training[network]
    changed = info | {"recipe": info["recipe"] | changes}
    return replace(made, training=made.training | {network: changed})


def with_training(made: Results, network: str, **changes: Any) -> Results:
    info = made.training[network] | changes
    return replace(made, training=made.training | {network: info})


def check_of(made: Results, words: str) -> checks.Check:
    (found,) = [c for c in checks.checks(made, measures.measures(made)) if words in c.question]
    return found


def claim_of(made: Results, words: str) -> claims.Claim:
    found = measures.measures(made)
    headline = [found[network, "linf"] for network in made.networks]
    (claim,) = [c for c in claims.claims(made, headline, EPS) if words in c.claim]
    return claim
