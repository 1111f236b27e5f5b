"""One step of training: images are changed and attacked, and the weights follow the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .adversary import Adversary
from .augment import augment, mix
from .execution import Execution
from .images import Images
from .losses import loss_of
from .optimizer import add_l1_penalty, optimizer_for, set_learning_rate
from .ranges import ranges_of

if TYPE_CHECKING:
    from ..base.config import Recipe


class Step:
    """What the steps of one training run share: optimizer, losses, and the attacks' generator.

    Args:
        model: on the device, where it is trained in place.
        images: to train on.
        classes: how many there are.
    """

    def __init__(
        self, model: nn.Module, images: Images, classes: int, recipe: Recipe, device: torch.device
    ) -> None:
        self.execution = Execution.on(device, compiled=recipe.compile)
        self.network = self.execution.of(model)
        self.images, self.classes = images, classes
        self.flip, self.l1_penalty = recipe.flip, recipe.l1_penalty
        self.ranges = ranges_of(recipe.augmentation)
        self.loss = loss_of(recipe)
        self.adversary = Adversary.of(recipe)
        self.optimizer = optimizer_for(model, recipe)
        self.starts = torch.Generator(device).manual_seed(recipe.seed)

    def take(self, rows: Tensor, draws: Tensor, lr: float, share: float) -> tuple[Tensor, Tensor]:
        """Train once on these images.

        Args:
            rows: of the images, (N,).
            draws: what decides their augmentation, a row for each (see `augment.draw`).
            lr: the learning rate.
            share: of the ε that is trained against.

        Returns:
            The mean loss, and which images were right, (N,) bool.
        """
        x, y = self.images.batch(rows)
        x, target = augment(x, draws, self.ranges, self.flip), y
        if self.ranges and self.ranges.mixup:
            x, target = mix(x, y, draws, self.classes)
        x = x.to(memory_format=self.execution.layout)
        with self.execution.computing(x.device):
            if self.adversary:
                loss, logits = self.adversary.loss(self.network, x, target, share, self.starts)
            else:
                logits = self.network(x).float()
                loss = self.loss(logits, target)
        self.optimizer.zero_grad()
        loss.backward()
        if self.l1_penalty:
            add_l1_penalty(self.optimizer, self.l1_penalty)
        set_learning_rate(self.optimizer, lr)
        self.optimizer.step()
        return loss.detach(), logits.detach().argmax(1) == y
