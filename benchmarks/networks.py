"""The networks that benchmarks run on: trained once, by the pipeline itself, into `trained/`.

Each is a network of an experiment (digits, MNIST, CIFAR-10) with a few overrides, so that it is
trained in minutes on two cores. `masked` is trained against a single gradient step: it learns to
hide its gradients rather than to resist. The data root is $EPSBALL_DATA, as in the pipeline.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import yaml
from torch import Tensor, nn

from pipeline import data, train
from pipeline.base.config import load as load_config
from pipeline.base.networks import load_network
from pipeline.base.seeds import SEEDS
from pipeline.base.splits import load_split
from pipeline.base.store import Place, fingerprint, write_text
from pipeline.judging.images import subset

ROOT = Path(__file__).resolve().parent.parent
TRAINED = ROOT / "benchmarks" / "trained"

# Trained against one whole gradient step, so that it hides its gradients.
_MASKED = {
    "batch_size": 64,
    "adversarial": {"norm": "linf", "eps": 0.3, "steps": 1, "warm_up": 0.5},
}

# The same on digits, which need less time to warm up.
_MASKED_DIGITS = {"adversarial": {"norm": "linf", "eps": 0.3, "steps": 1, "warm_up": 0.3}}

# What differs from the experiment's params.yaml: section by section, networks whole.
SETS: dict[str, dict[str, Any]] = {
    "digits": {
        "origin": "params.yaml",
        "networks": {
            "plain": {"epochs": 15},
            "adversarial": {
                "batch_size": 64,
                "adversarial": {"norm": "linf", "eps": 0.15, "steps": 7, "warm_up": 0.3},
            },
            "masked": {"batch_size": 64, **_MASKED_DIGITS},
        },
    },
    "mnist": {
        "origin": "experiments/mnist/params.yaml",
        "data": {"samples": 20000},
        "networks": {
            "plain": {"epochs": 3},
            "adversarial": {
                "epochs": 5,
                "adversarial": {"norm": "linf", "eps": 0.3, "steps": 5, "warm_up": 0.5},
            },
            "masked": {
                "epochs": 4,
                "adversarial": {"norm": "linf", "eps": 0.3, "steps": 1, "warm_up": 0.5},
            },
        },
    },
    "cifar10": {
        "origin": "experiments/cifar10/params.yaml",
        "data": {"samples": 20000},
        "recipe": {
            "architecture": "small_cnn",
            "batch_size": 64,
            "lr": 0.05,
            "epochs": 8,
            "flip": False,
        },
        "networks": {
            "plain": {"epochs": 8},
            "adversarial": {
                "adversarial": {"norm": "linf", "eps": "4/255", "steps": 5, "warm_up": 0.3},
            },
        },
    },
    # MNIST too, another architecture. The pace of Square's race was chosen with its images among
    # others; before that, nothing was.
    "held_out": {
        "origin": "experiments/mnist/params.yaml",
        "data": {"samples": 10000},
        "recipe": {"architecture": "lenet5", "epochs": 4},
        "networks": {"masked": _MASKED},
    },
    # MNIST, no convolutions. It showed that classes far behind fall too; nothing else was chosen
    # by it. (On CIFAR-10 networks of this size resist a single step and hide little.)
    "unseen": {
        "origin": "experiments/mnist/params.yaml",
        "data": {"samples": 10000},
        "recipe": {"architecture": "mlp", "settings": {"hidden": [512, 512]}, "epochs": 8},
        "networks": {"masked": _MASKED},
    },
    # MNIST with another activation: it hides its gradients well, and showed how much slack Square's
    # race must leave to images that gradients brought near. Of all else nothing was chosen by it.
    "untouched": {
        "origin": "experiments/mnist/params.yaml",
        "data": {"samples": 10000},
        "recipe": {"architecture": "small_cnn", "settings": {"activation": "elu"}, "epochs": 4},
        "networks": {"masked": _MASKED},
    },
    # Residual blocks with batch normalization, on digits. They showed that all gradient attacks
    # climbed one kind of loss: cross-entropy was added by them, and nothing else was chosen so.
    "residual": {
        "origin": "params.yaml",
        "recipe": {
            "architecture": "wide_resnet",
            "settings": {"depth": 10, "width": 1},
            "batch_size": 64,
            "epochs": 20,
        },
        "networks": {"masked": _MASKED_DIGITS},
    },
    # Batch normalization and pooling, on digits and on MNIST: looked at when all else was chosen.
    # On `averaged` runs converge slowly, which showed that `closest` ended them too early and began
    # none where others had come near; it was changed by that. Nothing was chosen by `pooled`.
    "pooled": {
        "origin": "params.yaml",
        "recipe": {
            "architecture": "cnn",
            "settings": {"width": 0.25, "pooling": "max"},
            "batch_size": 64,
            "epochs": 20,
        },
        "networks": {"masked": _MASKED_DIGITS},
    },
    "averaged": {
        "origin": "experiments/mnist/params.yaml",
        "data": {"samples": 10000},
        "recipe": {
            "architecture": "cnn",
            "settings": {"width": 0.25, "pooling": "average"},
            "epochs": 4,
        },
        "networks": {"masked": _MASKED},
    },
    # Dense blocks, on digits: looked at when all was chosen, and nothing was chosen by it.
    "dense": {
        "origin": "params.yaml",
        "recipe": {
            "architecture": "densenet_bc",
            "settings": {"depth": 16, "growth": 12},
            "batch_size": 64,
            "epochs": 20,
        },
        "networks": {"masked": _MASKED_DIGITS},
    },
    # For what does not depend on the network: one that costs next to nothing.
    "tiny": {
        "origin": "experiments/cifar10/params.yaml",
        "data": {"samples": 2000},
        "recipe": {
            "architecture": "linear",
            "batch_size": 64,
            "lr": 0.01,
            "epochs": 3,
            "flip": False,
        },
        "networks": {"plain": {}},
    },
}

# Budgets at which about half of the rightly read images fall: there, attacks differ.
EPS = {
    ("digits", "plain"): {"linf": 0.08, "l2": 0.5, "l1": 1.2},
    ("digits", "adversarial"): {"linf": 0.2, "l2": 1.0, "l1": 1.3},
    ("digits", "masked"): {"linf": 0.1, "l2": 0.5, "l1": 1.2},
    ("mnist", "plain"): {"linf": 0.1, "l2": 1.5, "l1": 5.0},
    ("mnist", "adversarial"): {"linf": 0.3, "l2": 1.5, "l1": 6.0},
    ("mnist", "masked"): {"linf": 0.1, "l2": 1.0, "l1": 4.5},
    ("cifar10", "plain"): {"linf": 1 / 255, "l2": 0.125, "l1": 1.8},
    ("cifar10", "adversarial"): {"linf": 4 / 255, "l2": 0.5, "l1": 2.0},
    ("held_out", "masked"): {"linf": 0.2, "l2": 1.0, "l1": 4.5},
    ("unseen", "masked"): {"linf": 0.2, "l2": 1.5, "l1": 4.5},
    ("residual", "masked"): {"linf": 0.25, "l2": 0.6, "l1": 1.5},
    ("untouched", "masked"): {"linf": 0.25, "l2": 1.0, "l1": 4.5},
    ("pooled", "masked"): {"linf": 0.22, "l2": 0.7, "l1": 0.9},
    ("dense", "masked"): {"linf": 0.22, "l2": 0.7, "l1": 1.5},
    ("averaged", "masked"): {"linf": 0.28, "l2": 2.2, "l1": 5.0},
}


@dataclass(frozen=True)
class Subject:
    """A trained network in eval mode, with test images (N, C, H, W), labels and keys (N,)."""

    name: str
    model: nn.Module
    x: Tensor
    y: Tensor
    keys: Tensor
    eps: dict[str, float]


def load(name: str, count: int | None = None) -> Subject:
    """A network such as "mnist/adversarial", trained first if it is not there yet.

    Args:
        name: `<data>/<network>`, one of `EPS`.
        count: test images, a nested subset; None takes all.
    """
    data_set, network = name.split("/")
    place = prepare(data_set, network)
    model, _ = load_network(place.network(network))
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    split = load_split(place, "test")
    rows = subset(split.index, None if count is None else min(count, len(split.y)), seed=0)
    return Subject(
        name=name,
        model=model,
        x=torch.from_numpy(split.x[rows]).float() / split.levels,
        y=torch.from_numpy(split.y[rows]),
        keys=torch.from_numpy(split.index[rows]),
        eps=EPS[data_set, network],
    )


def prepare(data_set: str, network: str) -> Place:
    """The folder with the data set and the network, made first if there is none as described."""
    chosen = SETS[data_set]
    described = yaml.safe_load((ROOT / chosen["origin"]).read_text())
    for section in ("data", "recipe"):
        described[section] |= chosen.get(section, {})
    described["networks"] = chosen["networks"]
    # What else stands in the file does not change a network.
    key = fingerprint([described[section] for section in ("data", "recipe", "networks")])
    place = Place(TRAINED / f"{data_set}-{key}")
    if (place.network(network) / SEEDS).exists():
        return place
    write_text(place.folder / "params.yaml", yaml.safe_dump(described, sort_keys=False))
    config = load_config(place.folder / "params.yaml")
    if not place.data.exists():
        data.run(place, config)
    train.run(place, config, network)
    return place


if __name__ == "__main__":
    for data_set, network in EPS:
        prepare(data_set, network)
