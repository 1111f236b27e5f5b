"""The boundary as a linear network would have it: how to cross it inside the box.

Around an image a network is nearly linear, its boundary nearly a hyperplane. The smallest step
across it that stays in [0, 1] is found exactly (Croce and Hein 2020, arXiv:1907.02044).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..losses import gap
from ..oracle import Ascent, Oracle
from ..threat import column, greedy, length, total

# The norm in which a gradient is measured when the perturbation is measured in the other.
DUAL = {"linf": "l1", "l2": "l2", "l1": "linf"}


def cross(x: Tensor, grad: Tensor, needed: Tensor, norm: str) -> Tensor:
    """The step of smallest norm that raises the linear function `grad` by `needed` inside the box.

    Args:
        x: where the step begins (N, C, H, W), in [0, 1].
        grad: slope of the linear function, like x.
        needed: (N,) by how much the function is to rise; to fall where negative.
        norm: "linf", "l2" or "l1".

    Returns:
        The step, like x. Where the box does not reach that far, the step to its best corner.
    """
    slope = grad.flatten(1)
    size = slope.abs()
    # The steepest pixel at 1: squares of what float32 holds may be beyond what it holds.
    steepest = size.amax(dim=1, keepdim=True).clamp_min(1e-30)
    size.div_(steepest)
    goal = needed.abs()[:, None] / steepest
    sign = slope.sign().mul_(needed.sign()[:, None])
    room = torch.rsub(x.flatten(1), 0.5).mul_(sign).add_(0.5).clamp_min_(0)
    # In L1 the steepest pixels go as far as they can.
    l1 = norm == "l1"
    moved = greedy(size, room, goal, size) if l1 else _raise(size, room, goal, norm)
    return moved.mul_(sign).view_as(x)


def _raise(size: Tensor, room: Tensor, goal: Tensor, norm: str) -> Tensor:
    """Every pixel moves by min(level * speed, room): equally fast in linf, by its slope in l2.

    What is gained is concave in the level, so Newton's method rises to the answer from the level
    that would do without the box, and ends when no pixel more meets the box. Written like
    `threat.project`: into memory that is there, without `torch.where` over pixels.
    """
    speed = torch.ones_like(size) if norm == "linf" else size
    pace, most = size * speed, size * room
    level = (goal / total(pace)[:, None]).nan_to_num(0, 0)
    gain, free = torch.empty_like(size), torch.empty_like(size)
    for _ in range(64):
        torch.mul(pace, level, out=gain)
        torch.gt(most, gain, out=free)
        rate = total(free.mul_(pace))[:, None]
        missing = goal - total(torch.minimum(gain, most, out=gain))[:, None]
        raised = torch.where(rate > 0, level + missing / rate, level)
        rising = raised > level * (1 + 1e-6)
        if not rising.any():
            break
        level = torch.where(rising, raised, level)
    return torch.minimum(torch.where(rate > 0, level, 1e38) * speed, room)


def linear_distance(norm: str, needed: Tensor, grad: Tensor) -> Tensor:
    """|needed| over the gradient's dual norm, (N,): how far the boundary is, were there no box."""
    return needed.abs() / length(grad.double(), DUAL[norm]).float().clamp_min(1e-12)


def nearest_gap(
    oracle: Oracle, x: Tensor, keys: Tensor, y: Tensor, targets: Tensor, norm: str
) -> Ascent:
    """The gap (`losses.gap`) to the class whose linear boundary is nearest, and its gradient.

    One forward pass, and one backward pass for each column of `targets`.

    Args:
        oracle: the model.
        x, keys: images (N, C, H, W) and indices (N,).
        y, targets: labels (N,) and the classes to choose from (N, T); the first wins a tie.
        norm: of the distance.
    """

    if targets.shape[1] == 1:  # nothing to compare
        return oracle.ascent(x, keys, gap, y, targets[:, 0])

    def gaps(logits: Tensor, y: Tensor, targets: Tensor) -> Tensor:
        return logits.gather(1, targets) - logits.gather(1, y[:, None])

    def distance(needed: Tensor, grad: Tensor) -> Tensor:
        return linear_distance(norm, needed, grad)

    return oracle.first_ranked(x, keys, gaps, distance, y, targets)


def farthest(x: Tensor, norm: str) -> Tensor:
    """Distance from each image to the farthest corner of the box, (N,)."""
    return length(torch.maximum(x, 1 - x).double(), norm).float()


def shell(direction: Tensor, norm: str, radius: Tensor) -> Tensor:
    """Each image of `direction` at length `radius` (N,); a zero stays zero."""
    size = length(direction.double(), norm).float().clamp_min(1e-30)
    return direction * column(radius / size, direction)
