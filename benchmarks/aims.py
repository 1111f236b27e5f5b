"""The three aims for one GPU, timed: 94 % on CIFAR-10, robustness, and 50,000 random labels.

    EPSBALL_DATA=/folder/that/has/it python benchmarks/aims.py [--compile] [--aims accuracy ...]
    python benchmarks/aims.py --smoke     # few images and epochs, on a CPU too: that it runs

It needs torch, torchvision, numpy and PyYAML alone. Networks are those of experiments/cifar10 and
experiments/memorize_cifar10, their data sets split as these say, and trained by the pipeline's own
loop. Seconds are those of the epochs, with what is looked at after each; reading the data, building
the network and judging it at the end are not in them. Compiling and the GPU's first steps are:
the first epoch, told by itself, has them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import nn

from attacks import evaluate
from attacks.threat import ThreatModel
from attacks.views.fast import fast
from benchmarks import recipes
from pipeline.base.device import choose_device, describe
from pipeline.base.networks import new_network
from pipeline.base.splits import Split, first_of
from pipeline.data import load_source, split
from pipeline.memorize import memorize
from pipeline.training.fit import fit
from pipeline.training.images import Images, accuracy

EPS = 8 / 255
SLOTS = 500  # images that are attacked in one pass
SMOKE = 16  # images of each part, in place of all


@dataclass(frozen=True)
class Options:
    """Of one run: `smoke` cuts everything down; `attacked` test images are attacked."""

    smoke: bool
    compile: bool
    attacked: int


@dataclass(frozen=True)
class Outcome:
    """Seconds of each epoch, what came out, and whether the aim but for its time was reached."""

    seconds: list[float]
    told: str
    reached: bool


def images(params: dict[str, Any], options: Options) -> dict[str, Split]:
    """The experiment's data set, split as it says."""
    asked = params["data"]
    source = load_source(asked["name"], asked["root"])
    shares = {key: asked[key] for key in ("seed", "validation", "test", "samples")}
    parts = split(source, **shares)
    if not options.smoke:
        return parts
    return {name: first_of(part, min(SMOKE, len(part.y)), name) for name, part in parts.items()}


def shortened(options: Options) -> dict[str, Any]:
    """What differs from the experiment's recipe."""
    return {"compile": options.compile} | ({"epochs": 1} if options.smoke else {})


def trained(
    network: str, options: Options, device: torch.device
) -> tuple[nn.Module, Split, list[float]]:
    """A network of experiments/cifar10, its test images, and the seconds of each epoch."""
    params = recipes.read("cifar10")
    parts = images(params, options)
    wanted = recipes.trained(params, network, **shortened(options))
    model, _ = new_network(wanted, parts["train"], network)
    fitted = fit(
        model,
        parts["train"],
        parts["validation"],
        wanted,
        device=device,
        name=network,
        keys=network,
    )
    return model, parts["test"], [row["seconds"] for row in fitted.history]


def clean(options: Options, device: torch.device) -> Outcome:
    model, test, seconds = trained("standard", options, device)
    right = accuracy(model, Images(test, device))
    return Outcome(seconds, f"{right:.2%} of {len(test.y)} test images", right >= 0.94)


def robust(options: Options, device: torch.device) -> Outcome:
    """Under PGD with 50 steps of 2/255 and 10 restarts (Wong et al., 2020, arXiv 2001.03994)."""
    model, test, seconds = trained("adversarial", options, device)
    few = first_of(test, min(options.attacked, len(test.y)), "attacked")
    x, y = Images(few, device).batch(slice(None))
    steps, restarts = (2, 2) if options.smoke else (50, 10)
    size = 2 / 255 * steps / EPS  # in units of eps / steps
    pgd = {"attack": "pgd", "steps": steps, "restarts": restarts, "step_size": size}
    search = fast(model, precision="bf16" if device.type == "cuda" else "fp32")
    began = time.monotonic()
    found = evaluate(
        model,
        x,
        y,
        ThreatModel("linf", EPS),
        [pgd],
        slots=min(SLOTS, len(y)),
        search=search,
        signs=0,
    )
    told = (
        f"{accuracy(model, Images(test, device)):.2%} of {len(test.y)} test images, "
        f"{found.robust_acc:.1%} of {len(y)} under PGD-{steps}-{restarts} "
        f"(attacked for {time.monotonic() - began:.0f} s)"
    )
    return Outcome(seconds, told, found.robust_acc >= 0.48)


def by_heart(options: Options, device: torch.device) -> Outcome:
    """The paper's Inception on labels drawn at random, until all are fitted."""
    params = recipes.read("memorize_cifar10")
    parts = images(params, options)
    wanted = recipes.memorizing(params, "inception", **shortened(options))
    labels: Any = recipes.Settings(kind="labels", fraction=1.0)
    found = memorize("inception", wanted, parts["train"], parts["test"], labels, device)
    epoch = found["fitted_epoch"]
    told = (
        f"{found['train_acc']:.2%} of {found['n_train']} random labels fitted in "
        f"{len(found['history'])} epochs, {found['test_acc']:.2%} of {found['n_test']} test images"
    )
    return Outcome([row["seconds"] for row in found["history"]], told, epoch is not None)


@dataclass(frozen=True)
class Aim:
    told: str
    limit: float
    """seconds"""
    run: Callable[[Options, torch.device], Outcome]


AIMS = {
    "accuracy": Aim("ResNet-18, 94 % on CIFAR-10", 60, clean),
    "robustness": Aim("ResNet-18, 30 epochs of PGD-7, 48 % or more under PGD-50-10", 300, robust),
    "memorization": Aim("Inception, 50,000 random labels of CIFAR-10 fitted", 60, by_heart),
}


def verdict(aim: Aim, found: Outcome) -> str:
    in_time = sum(found.seconds) < aim.limit
    return "REACHED" if found.reached and in_time else "NOT REACHED"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--aims", nargs="+", choices=list(AIMS), default=list(AIMS))
    parser.add_argument("--compile", action="store_true", help="torch.compile the networks")
    parser.add_argument("--attacked", type=int, default=1000, help="test images under PGD-50-10")
    parser.add_argument("--smoke", action="store_true", help="few images and epochs; no figures")
    asked = parser.parse_args(arguments)
    options = Options(asked.smoke, asked.compile, 4 if asked.smoke else asked.attacked)
    device = choose_device()
    print(f"{describe(device)['name']}, torch {torch.__version__}", end="")
    print(", compiled" if options.compile else "")
    for name in asked.aims:
        aim = AIMS[name]
        if device.type != "cuda" and not options.smoke:
            print(f"NOT RUN      {aim.told}, in under {aim.limit:g} s: no CUDA device here")
            continue
        found = aim.run(options, device)
        status = "NOT RUN" if options.smoke else verdict(aim, found)
        print(f"{status:12s} {aim.told}, in under {aim.limit:g} s:", end=" ")
        print(f"{sum(found.seconds):.1f} s, first epoch {found.seconds[0]:.1f} s, {found.told}")


if __name__ == "__main__":
    main()
