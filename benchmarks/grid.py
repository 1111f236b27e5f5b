"""A grid of five budgets against five runs of one budget each: passes, seconds, agreement.

    .venv/bin/python benchmarks/grid.py --networks mnist/adversarial --ensemble standard

The rule: the grid costs at most twice its costliest budget alone, and on each budget as many images
fall as in a run by itself, within 2 in 1,000.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from torch import Tensor

import networks
from attacks.registry import resolve
from attacks.suite import SuiteResult, run_suite
from attacks.verdict import BROKEN
from networks import Subject

SHARES = [0.25, 0.5, 1.0, 1.5, 2.0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(map("/".join, networks.EPS)))
    parser.add_argument("--norms", nargs="+", default=["linf", "l2"])
    parser.add_argument("--ensemble", default="standard")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument(
        "--shares",
        type=float,
        nargs="+",
        default=SHARES,
        help="the grid, increasing, in parts of the budget at which about half of the images fall",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{options.ensemble}, {options.images} images; seconds of CPU, passes per image")
    for name in options.networks:
        subject = networks.load(name, options.images)
        for norm in options.norms:
            compare(subject, norm, options.ensemble, options.shares)


def compare(subject: Subject, norm: str, ensemble: str, shares: list[float]) -> None:
    """Print what the grid costs and finds beside what each budget does by itself."""
    grid = [share * subject.eps[norm] for share in shares]
    whole, seconds = run(subject, norm, ensemble, grid)
    alone = [run(subject, norm, ensemble, [eps]) for eps in grid]
    spent = [passes(result) for result, _ in alone]
    dearest = max(range(len(grid)), key=spent.__getitem__)
    count = len(subject.x)
    print(
        f"{subject.name} {norm}: grid {seconds:.1f} s, {passes(whole) / count:.0f} passes;"
        f" costliest alone (eps {grid[dearest]:.4g}) {alone[dearest][1]:.1f} s,"
        f" {spent[dearest] / count:.0f} passes: {passes(whole) / spent[dearest]:.2f}x;"
        f" all alone {sum(taken for _, taken in alone):.1f} s"
    )
    for eps, (result, _) in zip(grid, alone, strict=True):
        ours, theirs = broken_at(whole, eps), broken_at(result, eps)
        print(
            f"  eps {eps:.4g}: broken in the grid {int(ours.sum())}, alone {int(theirs.sum())};"
            f" in the grid only {int((ours & ~theirs).sum())},"
            f" alone only {int((theirs & ~ours).sum())}",
            flush=True,
        )


def run(subject: Subject, norm: str, ensemble: str, grid: list[float]) -> tuple[SuiteResult, float]:
    attackers = resolve(ensemble, norm)
    started = time.process_time()
    model, x, y, keys = subject.model, subject.x, subject.y, subject.keys
    return run_suite(model, x, y, norm, grid, attackers, keys=keys), time.process_time() - started


def passes(result: SuiteResult) -> int:
    return int((result.rows["forwards"] + result.rows["backwards"]).sum())


def broken_at(result: SuiteResult, eps: float) -> Tensor:
    """(N,) bool: broken by any attack of the suite at this budget."""
    here = result.rows["eps"] == eps
    attacks = int(result.rows["attack"].max()) + 1
    return (result.rows["outcome"][here] == BROKEN).view(attacks, -1).any(dim=0)


if __name__ == "__main__":
    main()
