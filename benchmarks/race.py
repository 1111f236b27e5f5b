"""What the races of `standard` give up, of what the whole attack breaks.

    .venv/bin/python benchmarks/race.py --networks held_out/masked mnist/adversarial --eps 0.25
    .venv/bin/python benchmarks/race.py --attack fab --norm l2 --networks mnist/adversarial

What comes before the attack in `standard` is run first; then the attack on the survivors, twice:
whole (Square with all of its 5,000 queries, FAB with all of its restarts), and as the race that
`standard` runs. What the whole attack alone breaks, the race has missed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from scipy.stats import binomtest

import networks
from attacks import ThreatModel, evaluate
from attacks.registry import resolve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attack", default="square", choices=["square", "fab", "fmn"])
    parser.add_argument("--networks", nargs="+", default=["mnist/masked", "digits/masked"])
    parser.add_argument("--norm", default="linf", choices=["linf", "l2", "l1"])
    parser.add_argument("--eps", type=float, nargs="*", help="else the one of benchmarks/networks")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    total = kept = 0
    print("network  eps  survivors  broken by all  of these by the race  passes each")
    for name in options.networks:
        subject = networks.load(name, options.images)
        for eps in options.eps or [subject.eps[options.norm]]:
            threat = ThreatModel(options.norm, eps)
            found = _whole_and_raced(subject, threat, options.attack, options.seed)
            if found is None:
                print(f"{name}  {eps:g}  0: what comes before broke all")
                continue
            whole, raced, asked = found
            total, kept = total + int(whole.sum()), kept + int((whole & raced).sum())
            print(
                f"{name}  {eps:g}  {len(whole)}  {int(whole.sum())}  "
                f"{int((whole & raced).sum())}  {asked[0]:.0f} and {asked[1]:.0f}",
                flush=True,
            )
    if total:
        low = binomtest(kept, total, alternative="greater").proportion_ci(0.95).low
        print(f"kept {kept} of {total}: at least {low:.0%} with 95 % confidence")


def _whole_and_raced(subject: networks.Subject, threat: ThreatModel, attack: str, seed: int):
    """Of the survivors of what comes before `attack`: broken by the whole of it, by its race, and
    passes each, a backward one as two forward ones; None where nothing survives."""
    standard = [
        {"attack": each.attack, "name": each.label, **each.settings}
        for each in resolve("standard", threat.norm)
    ]
    place = [item["attack"] for item in standard].index(attack)
    keys = subject.keys
    first = evaluate(
        subject.model, subject.x, subject.y, threat, standard[:place], keys=keys, seed=seed
    )
    rows = (~first.broken).nonzero()[:, 0]
    if len(rows) == 0:
        return None
    x, y, keys = subject.x[rows], subject.y[rows], keys[rows]
    broken, asked = [], []
    for race in (False, True):
        # With what comes before, which tells a race how near it came.
        entries = [*standard[:place], standard[place] | {"race": race}]
        result = evaluate(subject.model, x, y, threat, entries, keys=keys, seed=seed)
        broken.append(result.broken)
        mine = result.suite.rows["attack"] == int(result.suite.rows["attack"].max())
        passes = result.suite.rows["forwards"] + 2 * result.suite.rows["backwards"]
        asked.append(float(passes[mine].double().mean()))
    return *broken, asked


if __name__ == "__main__":
    main()
