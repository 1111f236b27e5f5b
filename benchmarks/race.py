"""What the race of the random search gives up, of what the whole search breaks.

    .venv/bin/python benchmarks/race.py --networks mnist/masked mnist/adversarial --eps 0.25

After the fixed-budget gradient attacks of `standard`, Square attacks the survivors twice: with all
of its 5,000 queries, and as a race. What the whole search alone breaks, the race has missed.
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
from attacks.ensembles import ENSEMBLES

GRADIENTS = [item for item in ENSEMBLES["standard"] if item["attack"] == "multitargeted"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["mnist/masked", "digits/masked"])
    parser.add_argument("--norm", default="linf", choices=["linf", "l2"])
    parser.add_argument("--eps", type=float, nargs="*", help="else the one of benchmarks/networks")
    parser.add_argument("--images", type=int, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    total = kept = 0
    print("network  eps  survivors  broken by all queries  of these by the race  queries each")
    for name in options.networks:
        subject = networks.load(name, options.images)
        for eps in options.eps or [subject.eps[options.norm]]:
            found = _after_gradients(subject, ThreatModel(options.norm, eps))
            if found is None:
                print(f"{name}  {eps:g}  0: the gradients broke all")
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


def _after_gradients(subject: networks.Subject, threat: ThreatModel):
    """Of the survivors of the gradients: broken by the whole search, by the race, queries each."""
    first = evaluate(subject.model, subject.x, subject.y, threat, GRADIENTS, keys=subject.keys)
    rows = (~first.broken).nonzero()[:, 0]
    if len(rows) == 0:
        return None
    broken, asked = [], []
    for race in (False, True):
        square = [{"attack": "square", "race": race}]
        x, y, keys = subject.x[rows], subject.y[rows], subject.keys[rows]
        result = evaluate(subject.model, x, y, threat, square, keys=keys)
        broken.append(result.broken)
        asked.append(float(result.suite.rows["forwards"].double().mean()))
    return *broken, asked


if __name__ == "__main__":
    main()
