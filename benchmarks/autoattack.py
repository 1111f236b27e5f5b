"""An ensemble of ours against the official AutoAttack, image by image.

    AUTOATTACK=/where/its/checkout/is .venv/bin/python benchmarks/autoattack.py --ensemble standard

Same networks, images and budgets. Its verdicts are taken again by our judge, from the images that
it returns; what it calls broken and is not is told. Without AUTOATTACK its part is NOT RUN.

`theirs alone` are the images that AutoAttack breaks and ours does not, `ours alone` the reverse:
never weaker means that in 1,000 images no more than 2 more survive ours.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from pgd import Counted
from torch import Tensor

import networks
from attacks import ThreatModel, evaluate
from attacks.oracle import Oracle
from attacks.verdict import BROKEN, judge
from networks import Subject

BATCH = 128
NAMES = {"linf": "Linf", "l2": "L2", "l1": "L1"}


class Outcome(NamedTuple):
    """broken: (N,) bool, clean mistakes among them. Passes are summed over all images."""

    broken: Tensor
    seconds: float
    forwards: int
    backwards: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ensemble", default="standard")
    parser.add_argument("--networks", nargs="+", default=list(map("/".join, networks.EPS)))
    parser.add_argument("--norms", nargs="+", default=["linf", "l2"])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    checkout = os.environ.get("AUTOATTACK")
    if checkout is None:
        print("AutoAttack: NOT RUN (AUTOATTACK names no checkout)")
    else:
        sys.path.insert(0, checkout)
    print(f"{options.ensemble}, {options.images} images, 1 thread; CPU seconds")
    print("                                        robust           broken alone       seconds")
    print("network              norm      eps seed      ours AutoAttack  theirs  ours", end="")
    print("    ours  theirs   ratio   forwards/image  backwards/image")
    for name in options.networks:
        subject = networks.load(name, options.images)
        for norm in options.norms:
            for seed in options.seeds:
                mine = ours(subject, norm, options.ensemble, seed)
                theirs = official(subject, norm, seed) if checkout else None
                show(subject, norm, seed, mine, theirs)


def ours(subject: Subject, norm: str, ensemble: str, seed: int) -> Outcome:
    threat = ThreatModel(norm, subject.eps[norm])
    started = time.process_time()
    result = evaluate(
        subject.model, subject.x, subject.y, threat, ensemble, keys=subject.keys, seed=seed
    )
    seconds = time.process_time() - started
    rows = result.suite.rows
    if result.suite.errors:
        print(f"errors: {result.suite.errors}")
    passes = int(rows["forwards"].sum()), int(rows["backwards"].sum())
    return Outcome(result.broken.cpu(), seconds, *passes)


def official(subject: Subject, norm: str, seed: int) -> Outcome:
    """AutoAttack's standard version, and our verdict on the images that it returns."""
    from autoattack import AutoAttack

    x, y, eps = subject.x, subject.y, subject.eps[norm]
    counted = Counted(subject.model)
    attack = AutoAttack(counted, norm=NAMES[norm], eps=eps, seed=seed, device="cpu", verbose=False)
    started = time.process_time()
    x_adv = attack.run_standard_evaluation(x, y, bs=BATCH)
    seconds = time.process_time() - started
    with torch.no_grad():
        wrong = subject.model(x).argmax(1) != y
        claimed = (subject.model(x_adv).argmax(1) != y) | wrong
    # It may leave the ball by rounding; what is further outside is not broken.
    threat = ThreatModel(norm, eps)
    near = (threat.distance(x_adv, x) <= eps * (1 + 1e-4)).view(-1, 1, 1, 1)
    x_adv = torch.where(near, threat.project(x_adv, x), x_adv)
    oracle = Oracle(subject.model)
    broken = wrong | (judge(oracle, x, x_adv, y, subject.keys, norm, eps).outcome == BROKEN)
    if int((claimed & ~broken).sum()):
        print(f"  of AutoAttack's claims, {int((claimed & ~broken).sum())} do not hold")
    return Outcome(broken, seconds, counted.forwards, counted.backwards)


def show(subject: Subject, norm: str, seed: int, mine: Outcome, theirs: Outcome | None) -> None:
    count = len(subject.x)

    def left(outcome: Outcome) -> str:
        return f"{1 - float(outcome.broken.double().mean()):.1%}"

    line = f"{subject.name:20s} {norm:5s} {subject.eps[norm]:7.4f} {seed:3d} {left(mine):>9s}"
    if theirs is None:
        print(f"{line}     NOT RUN                 {mine.seconds:7.1f}")
        return
    alone = int((theirs.broken & ~mine.broken).sum()), int((mine.broken & ~theirs.broken).sum())
    print(
        f"{line} {left(theirs):>11s} {alone[0]:7d} {alone[1]:5d}"
        f" {mine.seconds:7.1f} {theirs.seconds:7.1f} {theirs.seconds / mine.seconds:6.1f}x"
        f" {mine.forwards / count:7.0f} {theirs.forwards / count:7.0f}"
        f" {mine.backwards / count:7.0f} {theirs.backwards / count:7.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
