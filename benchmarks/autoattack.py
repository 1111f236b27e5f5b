"""Ensembles of ours against the official AutoAttack, image by image, turn by turn.

    AUTOATTACK=/where/its/checkout/is .venv/bin/python benchmarks/autoattack.py

Same networks, images and budgets. Its verdicts are taken again by our judge, from the images that
it returns; what it calls broken and is not is told. Without AUTOATTACK its part is NOT RUN.

`theirs alone` are the images that AutoAttack breaks and ours does not, `ours alone` the reverse:
never weaker means that in 1,000 images no more than 2 more survive ours. With `--ensembles fast
standard` and `--picture file.png`, strength is drawn against seconds. With `--keep folder` what
AutoAttack found is written there and read back by later runs; its seconds are then those of that
time.
"""

from __future__ import annotations

import argparse
import json
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
from pipeline.base.store import fingerprint, write_text

BATCH = 128
NAMES = {"linf": "Linf", "l2": "L2", "l1": "L1"}
HEADER = """\
                                                   robust           broken alone  \
     seconds           passes of an image: forward, backward
network              norm      eps seed ensemble       ours AutoAttack  theirs  ours  \
  ours  theirs   ratio       ours theirs    ours theirs"""


class Outcome(NamedTuple):
    """broken: (N,) bool, clean mistakes among them. Passes are summed over all images."""

    broken: Tensor
    seconds: float
    forwards: int
    backwards: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ensembles", nargs="+", default=["standard"])
    parser.add_argument("--networks", nargs="+", default=list(map("/".join, networks.EPS)))
    parser.add_argument("--norms", nargs="+", default=["linf", "l2"])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--picture", type=Path, help="strength against seconds, as a PNG")
    parser.add_argument("--keep", type=Path, help="folder of what AutoAttack found, kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    checkout = os.environ.get("AUTOATTACK")
    if checkout is None:
        print("AutoAttack: NOT RUN (AUTOATTACK names no checkout)")
    else:
        sys.path.insert(0, checkout)
    print(f"{options.images} images, 1 thread, torch {torch.__version__}; CPU seconds")
    print(HEADER)
    points: dict[str, list[tuple[str, float, float]]] = {}
    for name in options.networks:
        subject = networks.load(name, options.images)
        for norm in options.norms:
            for seed in options.seeds:
                theirs = kept(subject, norm, seed, options.keep) if checkout else None
                for ensemble in options.ensembles:
                    mine = ours(subject, norm, ensemble, seed)
                    show(subject, norm, seed, ensemble, mine, theirs)
                    if theirs is not None:
                        gained = int(mine.broken.sum()) - int(theirs.broken.sum())
                        point = ensemble, theirs.seconds / mine.seconds, gained / len(mine.broken)
                        points.setdefault(f"{name}, {norm}", []).append(point)
    if options.picture and points:
        draw(points, options.ensembles, options.picture)


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


def kept(subject: Subject, norm: str, seed: int, folder: Path | None) -> Outcome:
    """What `official` finds, from `folder` where it found it before."""
    if folder is None:
        return official(subject, norm, seed)
    asked = [subject.name, norm, subject.eps[norm], seed, subject.keys.tolist()]
    weights = [value.double().sum().item() for value in subject.model.state_dict().values()]
    path = folder / f"{subject.name.replace('/', '-')}-{norm}-{fingerprint([asked, weights])}.json"
    if path.exists():
        broken, *rest = json.loads(path.read_text())
        return Outcome(torch.tensor(broken), *rest)
    found = official(subject, norm, seed)
    write_text(path, json.dumps([found.broken.tolist(), *found[1:]]))
    return found


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


def show(
    subject: Subject, norm: str, seed: int, ensemble: str, mine: Outcome, theirs: Outcome | None
) -> None:
    count = len(subject.x)

    def left(outcome: Outcome) -> str:
        return f"{1 - float(outcome.broken.double().mean()):.1%}"

    line = f"{subject.name:20s} {norm:5s} {subject.eps[norm]:7.4f} {seed:3d}"
    line += f"  {ensemble:10s} {left(mine):>7s}"
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


def draw(
    points: dict[str, list[tuple[str, float, float]]], ensembles: list[str], path: Path
) -> None:
    """For each network a line through its ensembles: how much faster, and how many more broken.

    `points` are (ensemble, AutoAttack's seconds over ours, share of images broken more than by
    AutoAttack), one for each seed; the mean over seeds is drawn.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5.5), layout="constrained")
    for number, (name, found) in enumerate(points.items()):
        means = []
        for ensemble in ensembles:
            seeds = [(faster, gained) for each, faster, gained in found if each == ensemble]
            means.append([sum(column) / len(seeds) for column in zip(*seeds, strict=True)])
        faster, gained = zip(*means, strict=True)
        color = pyplot.get_cmap("tab20")(number % 20)
        axes.plot(faster, [100 * g for g in gained], marker="o", color=color, label=name)
    axes.axhline(0, color="gray", linewidth=1)
    axes.axvline(10, color="gray", linewidth=1, linestyle=":")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set_xlabel("times faster than AutoAttack (CPU seconds)")
    axes.set_ylabel("images broken more than by AutoAttack (points)")
    axes.set_title(f"from right to left: {', '.join(ensembles)}")
    figure.legend(loc="outside lower center", fontsize="small", ncols=4)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
