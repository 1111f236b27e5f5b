"""Images per second of our training against a plain PyTorch loop and torchvision's reference.

    EPSBALL_DATA=/folder/that/has/it .venv/bin/python benchmarks/training.py

The contestants train the same network on the same images, turn by turn:

* plain: ours and a loop of forward, backward and step over float images in memory, nothing else;
* augmented: ours (crop and flip, on the device, a batch at once) and the settings of torchvision's
  reference (references/classification): SGD, momentum 0.9, weight decay 1e-4, the rate divided by
  ten in steps, and a DataLoader that transforms image by image;
* adversarial: ours and the plain loop with PGD inside, backwards through the weights too, as it is
  usually written.

Compare ratios, which are taken within a turn, not seconds: on a CPU these are CPU seconds of one
thread. On a GPU ours computes in bfloat16 and keeps channels last, the plain loop does neither.
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
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pipeline.base.config import Recipe
from pipeline.base.device import choose_device
from pipeline.base.networks import new_network
from pipeline.base.splits import Split
from pipeline.data import load_source, split
from pipeline.training.fit import fit

ROOT = Path(__file__).resolve().parent.parent
# Data set, architecture, images, batch, width of the crop's border, mirrored?
SUBJECTS: dict[str, tuple[str, str, int | None, int, int, bool]] = {
    "digits, small_cnn": ("digits", "small_cnn", None, 64, 1, False),
    "CIFAR-10, resnet20": ("cifar10", "resnet20", 384, 128, 4, True),
}
LR = 0.05
PGD = {"method": "pgd", "norm": "linf", "eps": 8 / 255, "steps": 7}

Run = Callable[[], None]


def recipe(architecture: str, epochs: int, batch: int, **changes: Any) -> Recipe:
    shipped = yaml.safe_load((ROOT / "params.yaml").read_text())["recipe"]
    asked = {"architecture": architecture, "epochs": epochs, "batch_size": batch, "lr": LR}
    asked |= {"nesterov": False, "schedule": "constant", "weight_decay": 1e-4}
    return Recipe.model_validate(shipped | asked | changes)


def ours(train: Split, wanted: Recipe, device: torch.device) -> None:
    model, _ = new_network(wanted, train, "benchmark")
    fit(model, train, None, wanted, device=device, name="benchmark", keys="benchmark")


def plain(train: Split, wanted: Recipe, device: torch.device, *, attacked: bool = False) -> None:
    """The loop as one writes it, without a DataLoader: nothing that could be left out."""
    model, _ = new_network(wanted, train, "benchmark")
    model.to(device).train()
    x = torch.from_numpy(train.x).to(device).float() / train.levels
    y = torch.from_numpy(train.y).to(device)
    optimizer = torch.optim.SGD(model.parameters(), LR, momentum=0.9, weight_decay=1e-4)
    for _ in range(wanted.epochs):
        for rows in torch.randperm(len(x), device=device).split(wanted.batch_size):
            images, labels = x[rows], y[rows]
            if attacked:
                images = attack(model, images, labels)
            loss = cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


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


def reference(train: Split, wanted: Recipe, device: torch.device, border: int, flip: bool) -> None:
    from torch.utils.data import DataLoader, Dataset
    from torchvision.transforms import v2

    steps = [v2.ToImage(), v2.RandomCrop(train.shape[1], padding=border)]
    steps += [v2.RandomHorizontalFlip()] if flip else []
    transform = v2.Compose([*steps, v2.ToDtype(torch.float32), v2.Normalize([0], [train.levels])])

    class Transformed(Dataset):
        def __len__(self) -> int:
            return len(train.y)

        def __getitem__(self, row: int) -> tuple[Tensor, int]:
            return transform(train.x[row].transpose(1, 2, 0)), int(train.y[row])

    model, _ = new_network(wanted, train, "benchmark")
    model.to(device).train()
    loader = DataLoader(
        Transformed(),
        wanted.batch_size,
        shuffle=True,
        num_workers=4 if device.type == "cuda" else 0,
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


def contests(name: str, epochs: int, device: torch.device) -> dict[str, tuple[Run, Run, int]]:
    """What is compared: ours, the other, and how many images each trains on."""
    data, architecture, samples, batch, border, flip = SUBJECTS[name]
    source = load_source(data, None)
    train = split(source, seed=0, validation=0.1, test=0.2, samples=samples)["train"]
    # In memory as artifacts/data.npz gives it: how the channels lie decides about speed.
    x = np.frombuffer(train.x.tobytes(), np.uint8).reshape(train.x.shape).copy()
    train = dataclasses.replace(train, x=x)
    made = partial(recipe, architecture, epochs, batch)
    crop = made(augmentation={"scheme": "none", "crop": border}, flip=flip)
    steps = {"schedule": "step", "lr_decay": 0.1, "lr_milestones": [0.5, 0.75]}
    crop = crop.model_copy(update=steps)
    hard = made(adversarial=PGD)
    short = hard.model_copy(update={"epochs": max(1, epochs // 8)})
    count = len(train.y)
    return {
        "plain": (
            partial(ours, train, made(), device),
            partial(plain, train, made(), device),
            epochs * count,
        ),
        "augmented": (
            partial(ours, train, crop, device),
            partial(reference, train, crop, device, border, flip),
            epochs * count,
        ),
        "adversarial": (
            partial(ours, train, short, device),
            partial(plain, train, short, device, attacked=True),
            short.epochs * count,
        ),
    }


def seconds(run: Run, device: torch.device) -> float:
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    began = clock()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", nargs="+", choices=list(SUBJECTS), default=list(SUBJECTS))
    parser.add_argument("--epochs", type=int, nargs="+", default=[16, 1], help="one per subject")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = choose_device()
    print(f"median of {options.runs} turns; torch {torch.__version__}, {device},", end=" ")
    print(f"{platform.processor() or platform.machine()}, 1 thread")
    print("                                    ours    other  images/s; ours is faster by")
    for name, epochs in zip(options.subjects, options.epochs, strict=True):
        for contest, (mine, other, count) in contests(name, epochs, device).items():
            seconds(mine, device), seconds(other, device)  # to warm up
            turns = [(seconds(mine, device), seconds(other, device)) for _ in range(options.runs)]
            ratio = statistics.median(theirs / own for own, theirs in turns)
            own, theirs = (statistics.median(side) for side in zip(*turns, strict=True))
            print(
                f"{name:20s} {contest:12s} {count / own:8.0f} {count / theirs:8.0f} {ratio:8.2f} x",
                flush=True,
            )


if __name__ == "__main__":
    main()
