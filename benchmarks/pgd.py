"""PGD at equal steps: ours, a bare loop, and the peers that are installed.

    python benchmarks/pgd.py --params params.yaml --network plain --steps 40 --eps 0.15

Run `make repro` first: the network and its test images are taken from there. Peers (foolbox,
torchattacks) live in an environment of their own; one that is not installed is NOT RUN. The runs
alternate, and each figure is the median of `--runs`; compare ratios, not seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent))

from attacks.fixed.pgd import pgd
from attacks.oracle import Oracle
from attacks.threat import ThreatModel
from pipeline.base.networks import load_network
from pipeline.base.splits import load_split
from pipeline.base.store import Place

Run = Callable[[], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", default="params.yaml")
    parser.add_argument("--network", default="plain")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--eps", type=float, default=0.15)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    place = Place.of(options.params)
    model, _ = load_network(place.network(options.network))
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    split = load_split(place, "test")
    x = torch.from_numpy(split.x).float() / split.levels
    y = torch.from_numpy(split.y)
    contestants = {
        "ours": ours(model, x, y, options.eps, options.steps),
        "ours, nothing leaves": ours(model, x, y, options.eps, options.steps, leave=False),
        "bare loop": bare_loop(model, x, y, options.eps, options.steps),
        "foolbox": foolbox(model, x, y, options.eps, options.steps),
        "torchattacks": torchattacks(model, x, y, options.eps, options.steps),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    accuracy: dict[str, float] = {}
    for _ in range(options.runs + 1):
        for name, run in contestants.items():
            if run is None:
                continue
            started = time.perf_counter()
            x_adv = run()
            seconds[name].append(time.perf_counter() - started)
            with torch.no_grad():
                accuracy[name] = float((model(x_adv).argmax(1) == y).double().mean())
    print(
        f"{len(x)} images, eps {options.eps:g}, {options.steps} steps, torch {torch.__version__},"
    )
    print(f"{torch.get_num_threads()} threads; median of {options.runs} runs after one to warm up")
    bare = statistics.median(seconds["bare loop"][1:])
    for name, found in seconds.items():
        if not found:
            print(f"{name:22s} NOT RUN (not installed)")
            continue
        middle = statistics.median(found[1:])
        print(
            f"{name:22s} {middle:7.3f} s  {middle / bare:5.2f} x bare loop"
            f"  accuracy left {accuracy[name]:.1%}"
        )


def ours(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int, *, leave: bool = True
) -> Run:
    keys = torch.arange(len(x))
    threat = ThreatModel("linf", eps)
    oracle = Oracle(model)

    def run() -> Tensor:
        return pgd(oracle, x, y, threat, keys=keys, steps=steps)

    def run_all() -> Tensor:
        # At a budget where nothing falls, the cost of a step without the gain of leaving.
        return pgd(oracle, x, y, ThreatModel("linf", eps / 1000), keys=keys, steps=steps)

    return run if leave else run_all


def bare_loop(model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Run:
    """Forward, gradient, sign, clamp, in batches of our compute shape; nothing else."""

    def run() -> Tensor:
        found = []
        for images, labels in zip(x.split(128), y.split(128), strict=True):
            point = (images + eps * (2 * torch.rand_like(images) - 1)).clamp(0, 1)
            for _ in range(steps):
                point = point.detach().requires_grad_(True)
                loss = nn.functional.cross_entropy(model(point), labels, reduction="sum")
                (grad,) = torch.autograd.grad(loss, point)
                point = point.detach() + 2.5 * eps / steps * grad.sign()
                point = point.clamp(images - eps, images + eps).clamp(0, 1)
            found.append(point.detach())
        return torch.cat(found)

    return run


def foolbox(model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Run | None:
    try:
        import foolbox as fb
    except ImportError:
        return None
    wrapped = fb.PyTorchModel(model, bounds=(0, 1), device="cpu")
    attack = fb.attacks.LinfPGD(steps=steps, abs_stepsize=2.5 * eps / steps)
    return lambda: attack(wrapped, x, y, epsilons=eps)[1]


def torchattacks(model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Run | None:
    try:
        import torchattacks as ta
    except ImportError:
        return None
    attack = ta.PGD(model, eps=eps, alpha=2.5 * eps / steps, steps=steps, random_start=True)
    return lambda: attack(x, y)


if __name__ == "__main__":
    main()
