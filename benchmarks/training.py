"""Images per second of our training against a plain PyTorch loop and torchvision's reference.

    EPSBALL_DATA=/folder/that/has/it .venv/bin/python benchmarks/training.py

It needs torch, torchvision, numpy and PyYAML (for digits scikit-learn too). On a CPU the networks
are small ones, on a GPU it is ResNet-18 on all of CIFAR-10. The contestants train the same network
on the same images, turn by turn:

* plain: ours and a loop of forward, backward and step over float images in memory, nothing else;
* augmented: ours (crop and flip, on the device, a batch at once) and the settings of torchvision's
  reference (references/classification): SGD, momentum 0.9, weight decay 1e-4, the rate divided by
  ten in steps, and a DataLoader that transforms image by image;
* adversarial: ours and the plain loop with PGD inside, backwards through the weights too, as it is
  usually written;
* on a GPU, compiled: plain and adversarial again, with torch.compile on both sides.

The first epoch of each turn is not counted: the images go to the device in it, kernels are chosen
and networks compiled. Compare ratios, which are taken within a turn, not seconds: on a CPU these
are CPU seconds of one thread. On a GPU ours computes in bfloat16 and keeps channels last, the plain
loop does neither.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks import recipes
from pipeline.base.device import choose_device
from pipeline.base.networks import new_network
from pipeline.base.splits import Split
from pipeline.data import load_source, split
from pipeline.training.fit import fit

LR = 0.05
PGD = {"method": "pgd", "norm": "linf", "eps": 8 / 255, "steps": 7}
STEPS = {"schedule": "step", "lr_decay": 0.1, "lr_milestones": [0.5, 0.75]}


@dataclass(frozen=True)
class Subject:
    """A network on the training images of a data set.

    samples: None takes all. crop: width of the black border. epochs: those that are counted;
    adversarial training has an eighth of them.
    """

    data: str
    architecture: str
    samples: int | None
    batch: int
    crop: int
    flip: bool
    epochs: int


ON_CPU = {
    "digits, small_cnn": Subject("digits", "small_cnn", None, 64, 1, False, 16),
    "CIFAR-10, resnet20": Subject("cifar10", "resnet20", 384, 128, 4, True, 1),
}
ON_GPU = {"CIFAR-10, resnet18": Subject("cifar10", "resnet18", None, 256, 4, True, 2)}


class Laps:
    """Clocks the epochs of one training after the first."""

    def __init__(self, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"
        self.ends: list[float] = []

    def end(self) -> None:
        """An epoch is over."""
        if self.on_gpu:
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter() if self.on_gpu else time.process_time())

    @property
    def seconds(self) -> float:
        return self.ends[-1] - self.ends[0]


Run = Callable[[Laps], None]


def recipe(subject: Subject, epochs: int, **changes: Any) -> Any:
    asked = {"architecture": subject.architecture, "batch_size": subject.batch, "lr": LR}
    asked |= {"nesterov": False, "schedule": "constant", "weight_decay": 1e-4}
    asked |= {"epochs": epochs + 1}  # the first is not counted
    return recipes.recipe(recipes.read()["recipe"] | asked | changes)


def ours(train: Split, wanted: Any, device: torch.device, laps: Laps) -> None:
    model, _ = new_network(wanted, train, "benchmark")

    def finished(row: dict[str, Any]) -> bool:
        laps.end()
        return False

    fit(
        model,
        train,
        None,
        wanted,
        device=device,
        name="benchmark",
        keys="benchmark",
        finished=finished,
    )


def plain(train: Split, wanted: Any, device: torch.device, laps: Laps) -> None:
    """The loop as one writes it, without a DataLoader: nothing that could be left out."""
    model, _ = new_network(wanted, train, "benchmark")
    model.to(device).train()
    network = torch.compile(model) if wanted.compile else model
    x = torch.from_numpy(train.x).to(device).float() / train.levels
    y = torch.from_numpy(train.y).to(device)
    optimizer = torch.optim.SGD(model.parameters(), LR, momentum=0.9, weight_decay=1e-4)
    for _ in range(wanted.epochs):
        for rows in torch.randperm(len(x), device=device).split(wanted.batch_size):
            images, labels = x[rows], y[rows]
            if wanted.adversarial:
                images = attack(network, images, labels)
            loss = cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        laps.end()


def attack(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    eps, steps = PGD["eps"], PGD["steps"]
    delta = torch.empty_like(images).uniform_(-eps, eps)
    model.eval()
    for _ in range(steps):
        delta.requires_grad_()
        cross_entropy(model((images + delta).clamp(0, 1)), labels).backward()
        delta = (delta + 2.5 * eps / steps * delta.grad.sign()).clamp(-eps, eps).detach()
    model.train()
    return (images + delta).clamp(0, 1)


def reference(
    train: Split, wanted: Any, device: torch.device, subject: Subject, laps: Laps
) -> None:
    from torch.utils.data import DataLoader, Dataset
    from torchvision.transforms import v2

    steps = [v2.ToImage(), v2.RandomCrop(train.shape[1], padding=subject.crop)]
    steps += [v2.RandomHorizontalFlip()] if subject.flip else []
    transform = v2.Compose([*steps, v2.ToDtype(torch.float32), v2.Normalize([0], [train.levels])])

    class Transformed(Dataset):
        def __len__(self) -> int:
            return len(train.y)

        def __getitem__(self, row: int) -> tuple[Tensor, int]:
            return transform(train.x[row].transpose(1, 2, 0)), int(train.y[row])

    model, _ = new_network(wanted, train, "benchmark")
    model.to(device).train()
    workers = os.cpu_count() or 1 if device.type == "cuda" else 0
    loader = DataLoader(
        Transformed(),
        wanted.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    optimizer = torch.optim.SGD(model.parameters(), LR, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30, gamma=0.1)
    for _ in range(wanted.epochs):
        for images, labels in loader:
            loss = cross_entropy(model(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        laps.end()


def contests(subject: Subject, device: torch.device) -> dict[str, tuple[Run, Run, int]]:
    """What is compared: ours, the other, and how many images the epochs counted have."""
    source = load_source(subject.data, None)
    parts = split(source, seed=0, validation=0, test=0.2, samples=subject.samples)
    train = parts["train"]
    # In memory as artifacts/data.npz gives it: how the channels lie decides about speed.
    x = np.frombuffer(train.x.tobytes(), np.uint8).reshape(train.x.shape).copy()
    train = dataclasses.replace(train, x=x)
    few = max(1, subject.epochs // 8)
    count, short = subject.epochs * len(train.y), few * len(train.y)
    crop = recipe(
        subject,
        subject.epochs,
        augmentation={"scheme": "none", "crop": subject.crop},
        flip=subject.flip,
        **STEPS,
    )
    found: dict[str, tuple[Run, Run, int]] = {
        "augmented": (
            partial(ours, train, crop, device),
            partial(reference, train, crop, device, subject),
            count,
        )
    }
    for compiled in (False, True) if device.type == "cuda" else (False,):
        end = ", compiled" if compiled else ""
        same = recipe(subject, subject.epochs, compile=compiled)
        hard = recipe(subject, few, compile=compiled, adversarial=PGD)
        for name, wanted, images in (("plain", same, count), ("adversarial", hard, short)):
            sides = (partial(loop, train, wanted, device) for loop in (ours, plain))
            found[name + end] = (*sides, images)
    return found


def seconds(run: Run, device: torch.device) -> float:
    laps = Laps(device)
    run(laps)
    return laps.seconds


def main(arguments: list[str] | None = None) -> None:
    torch.set_num_threads(1)
    device = choose_device()
    every = ON_CPU | ON_GPU
    usual = ON_GPU if device.type == "cuda" else ON_CPU
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", nargs="+", choices=list(every), default=list(usual))
    parser.add_argument("--epochs", type=int, help="that are counted, in place of the subject's")
    parser.add_argument("--samples", type=int, help="training images, in place of the subject's")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args(arguments)
    print(f"median of {options.runs} turns; torch {torch.__version__}, {device},", end=" ")
    print(f"{platform.processor() or platform.machine()}, 1 thread")
    print(f"{'':42s} {'ours':>8s} {'other':>8s}  images/s; ours is faster by")
    for name in options.subjects:
        changes = {"epochs": options.epochs, "samples": options.samples}
        given = {key: value for key, value in changes.items() if value is not None}
        subject = dataclasses.replace(every[name], **given)
        for contest, (mine, other, count) in contests(subject, device).items():
            turns = [(seconds(mine, device), seconds(other, device)) for _ in range(options.runs)]
            ratio = statistics.median(theirs / own for own, theirs in turns)
            own, theirs = (statistics.median(side) for side in zip(*turns, strict=True))
            print(
                f"{name:20s} {contest:21s} {count / own:8.0f} {count / theirs:8.0f} {ratio:8.2f} x",
                flush=True,
            )


if __name__ == "__main__":
    main()
