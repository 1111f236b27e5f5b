"""Memory that an attack stage takes beyond the loaded model and images: at most 500 MB is the rule.

    .venv/bin/python benchmarks/memory.py            # CIFAR-10's 10,000 test images, five eps
    .venv/bin/python benchmarks/memory.py --ensemble standard --network tiny/plain

The stage runs whole: attacks, verdicts, witnesses, re-check, files. Its attacks are those of an
ensemble cut down to a few steps, so that it ends in minutes: the memory of an attack is that of one
step, and does not grow with their number. `--ensemble standard` takes the real one: on a linear
network, `tiny/plain`, so that it ends too (what a network keeps for its gradient comes on top). The
peak is the kernel's high-water mark of resident memory (Linux), reset when all is loaded.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
import yaml

import networks
from pipeline import attack
from pipeline.base.config import load as load_config
from pipeline.base.store import write_text
from pipeline.judging.images import load_images

LIMIT = 500
# One of each kind of attack, with all the state that it keeps.
SHORT = [
    {"attack": "fmn", "steps": 4, "classes": 2, "scouting": 2},
    {"attack": "fgsm"},
    {"attack": "pgd", "steps": 4},
    {"attack": "apgd", "steps": 4, "loss": "dlr"},
    {"attack": "fab", "steps": 3, "targets": 2},
    {"attack": "square", "queries": 20},
]
EPS = {"linf": [0.5 / 255, 1 / 255, 2 / 255, 4 / 255, 8 / 255], "l2": [0.06, 0.12, 0.25, 0.5, 1.0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="cifar10/adversarial")
    parser.add_argument("--norm", choices=EPS, default="linf")
    parser.add_argument("--ensemble", default=None, help="in place of one of each, cut short")
    parser.add_argument("--images", type=int, default=None, help="fewer than all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data_set, network = options.network.split("/")
    place = networks.prepare(data_set, network)
    described = yaml.safe_load((place.folder / "params.yaml").read_text())
    attacks: Any = options.ensemble or SHORT
    suite = {"norm": options.norm, "eps": EPS[options.norm], "attacks": attacks}
    described |= {"suites": {"memory": suite}}
    described["headline"] = {"suite": "memory", "eps": EPS[options.norm][0]}
    described["evaluation"] |= {"samples": options.images}
    params = place.folder / "memory.yaml"
    write_text(params, yaml.safe_dump(described, sort_keys=False))
    config = load_config(params)

    loaded = load_images(place, config.evaluation, network)
    loaded.oracle.judged(loaded.x[:128], loaded.keys[:128])  # what torch itself takes when it runs
    count = len(loaded.x)
    attack.load_images = lambda *_: loaded  # so that it is not loaded twice
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
    started = time.monotonic()
    attack.run(place, config, network, "memory")
    taken = resident("VmHWM") - before
    held = "held" if taken <= LIMIT else "NOT HELD"
    print(
        f"{options.network}, {count} images, {len(EPS[options.norm])} eps, "
        f"{options.ensemble or 'one attack of each kind'}: {before:.0f} MB with model and images, "
        f"{taken:.0f} MB more at the peak (limit {LIMIT}: {held}), "
        f"{time.monotonic() - started:.0f} s"
    )


def resident(field: str) -> float:
    """A figure of /proc/self/status, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("NOT RUN: /proc/self/status does not tell the memory of a process")


if __name__ == "__main__":
    main()
