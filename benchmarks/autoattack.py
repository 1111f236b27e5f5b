"""Ensembles of ours against the official AutoAttack, image by image, turn by turn.

    AUTOATTACK=/where/its/checkout/is .venv/bin/python benchmarks/autoattack.py

Same networks, images and budgets. Its verdicts are taken again by our judge, from the images that
it returns; what it calls broken and is not is told. Without AUTOATTACK its part is NOT RUN.

`theirs alone` are the images that AutoAttack breaks and ours does not, `ours alone` the reverse:
never weaker means that in 1,000 images no more than 2 more survive ours. `as many` is how many
times sooner ours had broken as many images as AutoAttack in the end.

With `--keep folder` what AutoAttack found is written there and read back by later runs; its seconds
are then those of that time. With `--picture file.png` what is left standing is drawn against the
seconds spent, after each attack of either side: what a budget of time buys.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
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
from attacks.suite import Progress
from attacks.verdict import BROKEN, judge
from networks import Subject
from pipeline.base.store import fingerprint, write_text

BATCH = 128
NAMES = {"linf": "Linf", "l2": "L2", "l1": "L1"}
HEADER = """\
                                                   robust           broken alone  \
     seconds                     passes of an image: forward, backward
network              norm      eps seed ensemble       ours AutoAttack  theirs  ours  \
  ours  theirs   ratio  as many      ours theirs    ours theirs"""


class Outcome(NamedTuple):
    """What one side did.

    Attributes:
        broken: (N,) bool, clean mistakes among them.
        seconds: of CPU.
        forwards, backwards: passes, summed over all images.
        steps: after each attack, in order: its name, seconds so far, share left standing.
    """

    broken: Tensor
    seconds: float
    forwards: int
    backwards: int
    steps: list[tuple[str, float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ensembles", nargs="+", default=["standard"])
    parser.add_argument("--networks", nargs="+", default=list(map("/".join, networks.EPS)))
    parser.add_argument("--norms", nargs="+", default=["linf", "l2"])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--picture", type=Path, help="strength against seconds, first seed, PNG")
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
    drawn: dict[str, dict[str, Outcome]] = {}
    for name in options.networks:
        subject = networks.load(name, options.images)
        for norm in options.norms:
            for seed in options.seeds:
                theirs = kept(subject, norm, seed, options.keep) if checkout else None
                for ensemble in options.ensembles:
                    mine = ours(subject, norm, ensemble, seed)
                    show(subject, norm, seed, ensemble, mine, theirs)
                    if theirs is not None and seed == options.seeds[0]:
                        sides = drawn.setdefault(f"{name}, {norm}", {"AutoAttack": theirs})
                        sides[ensemble] = mine
    if options.picture and drawn:
        draw(drawn, options.picture)


def ours(subject: Subject, norm: str, ensemble: str, seed: int) -> Outcome:
    threat = ThreatModel(norm, subject.eps[norm])
    with torch.no_grad():
        standing = int((subject.model(subject.x).argmax(1) == subject.y).sum())
    steps = [("", 0.0, standing / len(subject.x))]

    def note(state: Progress) -> None:
        left = steps[-1][2] - state.broken / len(subject.x)
        steps.append((state.attack, time.process_time() - started, left))

    started = time.process_time()
    result = evaluate(
        subject.model,
        subject.x,
        subject.y,
        threat,
        ensemble,
        keys=subject.keys,
        seed=seed,
        on_progress=note,
    )
    seconds = time.process_time() - started
    rows = result.suite.rows
    if result.suite.errors:
        print(f"errors: {result.suite.errors}")
    passes = int(rows["forwards"].sum()), int(rows["backwards"].sum())
    return Outcome(result.broken.cpu(), seconds, *passes, steps)


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


class Log:
    """In place of AutoAttack's, which prints: what it says of the accuracy after each attack."""

    def __init__(self) -> None:
        self.started = time.process_time()
        self.steps: list[tuple[str, float, float]] = []

    def log(self, text: str) -> None:
        told = re.match(r"(?:initial accuracy|robust accuracy after ([\w-]+)): ([\d.]+)%", text)
        if told:
            since = time.process_time() - self.started
            self.steps.append((told[1] or "", since, float(told[2]) / 100))


def official(subject: Subject, norm: str, seed: int) -> Outcome:
    """AutoAttack's standard version, and our verdict on the images that it returns."""
    from autoattack import AutoAttack

    x, y, eps = subject.x, subject.y, subject.eps[norm]
    counted = Counted(subject.model)
    attack = AutoAttack(counted, norm=NAMES[norm], eps=eps, seed=seed, device="cpu", verbose=True)
    attack.logger = log = Log()
    x_adv = attack.run_standard_evaluation(x, y, bs=BATCH)
    seconds = time.process_time() - log.started
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
    return Outcome(broken, seconds, counted.forwards, counted.backwards, log.steps)


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
        f" {sooner(mine, theirs):>8s}"
        f" {mine.forwards / count:7.0f} {theirs.forwards / count:7.0f}"
        f" {mine.backwards / count:7.0f} {theirs.backwards / count:7.0f}",
        flush=True,
    )


def sooner(mine: Outcome, theirs: Outcome) -> str:
    """AutoAttack's seconds over those after which no more images stood than it left; - if never."""
    standing = 1 - float(theirs.broken.double().mean())
    reached = [seconds for _, seconds, left in mine.steps if left <= standing + 1e-9]
    return f"{theirs.seconds / reached[0]:.0f}x" if reached else "-"


def draw(drawn: dict[str, dict[str, Outcome]], path: Path) -> None:
    """A panel for each network and norm: the share left standing, against seconds, of each side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 4
    rows = -(-len(drawn) // columns)
    figure, grid = pyplot.subplots(
        rows, columns, figsize=(11, 2.1 * rows), layout="constrained", squeeze=False
    )
    colors = dict(zip(("standard", "AutoAttack", "fast"), ("C0", "C1", "C2"), strict=True))
    for axes, (name, sides) in itertools.zip_longest(grid.flat, drawn.items(), fillvalue=("", {})):
        if not sides:
            axes.set_axis_off()
            continue
        for side, outcome in sides.items():
            _, seconds, left = zip(*outcome.steps, strict=True)
            # Signs of hidden gradients are looked for at the end, within our seconds.
            seconds, left = (*seconds, outcome.seconds), (*left, left[-1])
            after = [max(each, 0.05) for each in seconds]
            axes.step(after, [100 * each for each in left], where="post", color=colors.get(side))
            axes.plot(after[-1], 100 * left[-1], "o", color=colors.get(side), label=side)
        # Where it is decided: from where AutoAttack's first attack ends.
        ends = [left for outcome in sides.values() for *_, left in outcome.steps[1:]]
        top = sides["AutoAttack"].steps[1][2]
        axes.set_ylim(100 * min(ends) - 1, 100 * top + max(2, 25 * (top - min(ends))))
        axes.set_title(name, fontsize="small")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.tick_params(labelsize="x-small")
        axes.grid(alpha=0.3)
    figure.supxlabel("CPU seconds", fontsize="small")
    figure.supylabel("left standing, %", fontsize="small")
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize="small")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
