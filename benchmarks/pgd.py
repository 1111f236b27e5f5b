"""PGD at equal steps on the same networks, images and budgets: ours, a bare loop, and the peers.

    make peers
    .venv-peers/bin/python benchmarks/pgd.py --networks digits/plain mnist/adversarial --norm linf

A peer that is not installed is NOT RUN. The contestants take turns, and each figure is the median
of `--runs`: compare ratios, which are taken within a turn, not seconds.

The second table is the price of a step: labels are the network's own answers and the budget is so
small that nothing ever falls, so that ours does all its steps on every image, as the bare loop of
forward, gradient, sign and clamp does.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from peers import PEERS, installed
from torch import Tensor, nn

import networks
from attacks.fixed.pgd import pgd
from attacks.oracle import Oracle
from attacks.threat import ThreatModel
from attacks.verdict import BROKEN, judge
from networks import Subject

STILL = 1e-5  # a budget at which nothing falls

Contestant = Callable[[nn.Module, Tensor, Tensor, float], Tensor]


class Score(NamedTuple):
    """What one contestant did: share not broken, passes per image, seconds of each turn."""

    robust: float
    forwards: float
    backwards: float
    seconds: list[float]


class Counted(nn.Module):
    """The model, counting the images that pass forward and backward."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.forwards, self.backwards = model, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += len(x)
        logits = self.model(x)
        if logits.requires_grad:
            logits.register_hook(self._count_backward)
        return logits

    def _count_backward(self, grad: Tensor) -> None:
        self.backwards += len(grad)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(map("/".join, networks.EPS)))
    parser.add_argument("--norm", choices=["linf", "l2"], default="linf")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{options.steps} steps, {options.norm}, median of {options.runs} turns; torch", end=" ")
    print(f"{torch.__version__}, {platform.processor() or platform.machine()}, 1 thread")
    for name in options.networks:
        subject = networks.load(name, options.images)
        eps = subject.eps[options.norm]
        print(f"\n{name}, {len(subject.x)} images, eps {eps:.4g}")
        show(compete(subject, subject.y, eps, contestants(options), options), options.norm)
        answers = subject.model(subject.x).argmax(1)
        whole = len(answers) // 128 * 128  # padding the last slots is no part of a step
        fixed = Subject(name, subject.model, subject.x[:whole], answers, subject.keys, subject.eps)
        print("the price of a step, where nothing falls:")
        entries = contestants(options, peers=False)
        show(compete(fixed, answers[:whole], STILL, entries, options), options.norm)


def contestants(options: argparse.Namespace, *, peers: bool = True) -> dict[str, Contestant | None]:
    """Who takes part; None who is not installed."""
    steps, norm = options.steps, options.norm
    found: dict[str, Contestant | None] = {
        "ours": partial(ours, norm=norm, steps=steps),
        "bare loop": partial(bare_loop, norm=norm, steps=steps),
    }
    for peer in PEERS if peers else []:
        if (peer.attack, peer.norm) == ("pgd", norm):
            present = installed(peer.library)
            found[peer.library] = partial(peer, steps=steps) if present else None
    return found


def compete(
    subject: Subject,
    y: Tensor,
    eps: float,
    entries: dict[str, Contestant | None],
    options: argparse.Namespace,
) -> dict[str, Score | None]:
    """Every contestant in turn, once to warm up and count passes, then `runs` times on time."""
    scores: dict[str, Score | None] = {}
    oracle = Oracle(subject.model)
    x = subject.x
    for name, run in entries.items():
        if run is None:
            scores[name] = None
            continue
        counted = Counted(subject.model)
        x_adv = run(counted, x, y, eps)
        # Peers may round an image out of the ball; by more than that they would not hold it.
        x_adv = ThreatModel(options.norm, eps).project(x_adv, x)
        verdict = judge(oracle, x, x_adv, y, torch.arange(len(x)), options.norm, eps)
        wrong = (verdict.outcome == BROKEN) | (subject.model(x).argmax(1) != y)
        robust = 1 - float(wrong.double().mean())
        scores[name] = Score(robust, counted.forwards / len(x), counted.backwards / len(x), [])
    for _ in range(options.runs):
        for name, run in entries.items():
            score = scores[name]
            if run is not None and score is not None:
                started = time.process_time()
                run(subject.model, x, y, eps)
                score.seconds.append(time.process_time() - started)
    return scores


def show(scores: dict[str, Score | None], norm: str) -> None:
    bare = scores["bare loop"]
    assert bare is not None
    print("                robust  forwards  backwards  CPU seconds  x bare loop")
    for name, score in scores.items():
        if score is None:
            print(f"{name:14s}  NOT RUN (not installed: make peers)")
            continue
        turns = zip(score.seconds, bare.seconds, strict=True)
        ratio = statistics.median(mine / theirs for mine, theirs in turns)
        print(
            f"{name:14s} {score.robust:7.1%} {score.forwards:9.1f} {score.backwards:10.1f}"
            f" {statistics.median(score.seconds):12.3f} {ratio:12.2f}"
        )


def ours(model: nn.Module, x: Tensor, y: Tensor, eps: float, *, norm: str, steps: int) -> Tensor:
    keys = torch.arange(len(x))
    return pgd(Oracle(model), x, y, ThreatModel(norm, eps), keys=keys, steps=steps)


def bare_loop(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, *, norm: str, steps: int
) -> Tensor:
    """Forward, gradient, sign (or unit length), clamp, in batches of 128; nothing else."""
    found = []
    for images, labels in zip(x.split(128), y.split(128), strict=True):
        point = (images + eps * (2 * torch.rand_like(images) - 1)).clamp(0, 1)
        for _ in range(steps):
            point = point.detach().requires_grad_(True)
            loss = nn.functional.cross_entropy(model(point), labels, reduction="sum")
            (grad,) = torch.autograd.grad(loss, point)
            if norm == "linf":
                point = point.detach() + 2.5 * eps / steps * grad.sign()
                point = point.clamp(images - eps, images + eps).clamp(0, 1)
            else:
                size = grad.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
                delta = point.detach() + 2.5 * eps / steps * grad / size - images
                size = delta.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
                point = (images + delta * (eps / size).clamp_max(1)).clamp(0, 1)
        found.append(point.detach())
    return torch.cat(found)


if __name__ == "__main__":
    main()
