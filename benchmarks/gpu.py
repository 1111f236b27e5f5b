"""Image·steps per second of PGD on a GPU: ResNet-18 at 32x32, by precision and preparation.

    python benchmarks/gpu.py            # needs torch and numpy alone, and a CUDA device

An image·step is one forward pass and one backward pass to the image: four multiply-adds' worth of
work for each multiply-add of the network, two of them each a floating-point operation. `limit` is
the share of what the hardware does at most in that precision: measured here, as the rate of a large
matrix product, and so the same on every card. `bare` are the passes alone, without an attack around
them: what PGD could reach. The verdict's own passes are IEEE float32.

The weights are random: speed does not depend on them. `disputed` counts, of two passes of images
attacked at 8/255, those that are broken for the fast copy and not for the model; that first run
also warms up and compiles.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor, nn

from attacks.fixed.pgd import pgd
from attacks.losses import cross_entropy, is_broken
from attacks.oracle import Oracle
from attacks.precision import Precision, computing
from attacks.threat import ThreatModel
from attacks.verdict import BROKEN, judge
from attacks.views.fast import fast
from models import build

SHAPE = (3, 32, 32)
EPS = 8 / 255
STILL = 1e-5  # nothing falls, so that every pass is full
STEPS = 20
SECONDS = 0.5  # for which bare passes are timed
PRECISIONS = list(get_args(Precision))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, default=8192)
    parser.add_argument("--slots", type=int, default=1024, help="images in one pass")
    parser.add_argument("--precisions", nargs="+", choices=get_args(Precision), default=PRECISIONS)
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("NOT RUN: no CUDA device here")
        return
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"ResNet-18, {options.images} images of 32x32 in passes of {options.slots}")
    print(f"{name}, torch {torch.__version__}")
    torch.manual_seed(0)
    model = build("resnet18", shape=SHAPE, classes=10).to(device).eval()
    x = torch.rand(options.images, *SHAPE, device=device)
    operations = 4 * multiply_adds(model, x[:1])  # forward and backward, an add and a multiply
    with torch.no_grad():
        y = torch.cat([model(part).argmax(1) for part in x.split(options.slots)])
    print("precision  compiled  image·steps/s       bare  TFLOP/s   of limit  disputed  warming up")
    entries: list[tuple[Precision, bool]] = [
        (precision, compiled)
        for precision in options.precisions
        for compiled in ((False,) if options.no_compile else (False, True))
    ]
    for precision, compiled in entries:
        limit = product_rate(precision, device)
        search = fast(model, precision=precision, compile=compiled)
        oracle = Oracle(model, slots=options.slots, search=search)
        few = slice(2 * options.slots)
        started = now(device)
        x_adv = attack(oracle, x[few], y[few], EPS)
        first = now(device) - started
        differ = disputed(oracle, x[few], x_adv, y[few])
        before = spent(oracle, len(x))
        started = now(device)
        attack(oracle, x, y, STILL)
        rate = (spent(oracle, len(x)) - before) / (now(device) - started)
        alone = bare(search, x, y, options.slots)
        print(
            f"{precision:9s}  {compiled!s:8s} {rate:14,.0f} {alone:10,.0f}"
            f" {rate * operations / 1e12:8.3g}"
            f" {rate * operations / limit:9.0%} {differ:9d}"
            f" {first:9.1f} s",
            flush=True,
        )


def attack(oracle: Oracle, x: Tensor, y: Tensor, eps: float) -> Tensor:
    keys = torch.arange(len(x), device=x.device)
    return pgd(oracle, x, y, ThreatModel("linf", eps), keys=keys, steps=STEPS)


def bare(search: nn.Module, x: Tensor, y: Tensor, slots: int) -> float:
    """Image·steps per second of forward and backward passes and nothing else."""
    images, labels = x[:slots].detach().requires_grad_(True), y[:slots]

    def step() -> None:
        torch.autograd.grad(cross_entropy(search(images), labels).sum(), images)

    step()
    started, count = now(x.device), 0
    while count == 0 or now(x.device) - started < SECONDS:
        step()
        count += 1
    return count * len(images) / (now(x.device) - started)


def spent(oracle: Oracle, count: int) -> int:
    """Backward passes so far, over all images."""
    return int(oracle.passes(torch.arange(count))[1].sum())


def disputed(oracle: Oracle, x: Tensor, x_adv: Tensor, y: Tensor) -> int:
    """Images that the fast copy takes for broken and the verdict does not."""
    keys = torch.arange(len(x), device=x.device)
    believed = is_broken(oracle.logits(x_adv, keys), y)
    judged = torch.cat(
        [
            judge(oracle, x[rows], x_adv[rows], y[rows], rows, "linf", EPS).outcome == BROKEN
            for rows in keys.split(oracle.slots)
        ]
    )
    return int((believed & ~judged).sum())


def multiply_adds(model: nn.Module, x: Tensor) -> int:
    """Of one forward pass of one image, in convolutions and linear layers."""
    found = []

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        found.append(weight.numel() * output[0].numel() // weight.shape[0])

    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return sum(found)


def product_rate(precision: Precision, device: torch.device) -> float:
    """Floating-point operations per second of a large matrix product in this precision."""
    size = 8192 if device.type == "cuda" else 512
    first, second = torch.rand(2, size, size, device=device)
    if precision == "bf16":
        first, second = first.bfloat16(), second.bfloat16()
    best = 0.0
    with computing(precision, device):
        for _ in range(5):
            started = now(device)
            for _ in range(10):
                first @ second
            best = max(best, 10 * 2 * size**3 / (now(device) - started))
    return best


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


if __name__ == "__main__":
    main()
