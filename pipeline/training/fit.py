"""The training loop: standard and adversarial, for stage `train` and for `memorize`.

Everything random comes from the recipe's seed, and torch's global generators are as before when
`fit` returns. Two runs on one CPU with the same number of threads give the same weights, bit for
bit, also if the first was killed and resumed from its checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..base.consistency.augmentation import augmentation_errors
from ..base.consistency.batches import single
from ..base.errors import UserError
from ..base.generators import generator_states, own_generators, set_generator_states
from ..base.history import Row
from ..base.progress import Progress, progress
from ..base.splits import Split
from .adversary import ROBUST_SAMPLES
from .augment import draw
from .checkpoint import Checkpoint
from .images import Images, accuracy
from .modes import has_batch_norm, training_mode
from .overfitting import robustness
from .schedule import learning_rate, share_of_eps
from .selection import Selection, rising
from .step import Step

if TYPE_CHECKING:
    from ..base.config import Recipe

Finished = Callable[[Row], bool]

SECONDS_BETWEEN_LOOKS = 1.0
"""Reading the loss makes a GPU wait, so it is not read at every step."""


@dataclass(frozen=True)
class Fitted:
    """What `fit` tells: a row per epoch, and the epoch whose weights were kept, from 1."""

    history: list[Row]
    selected_epoch: int
    robustness: Row | None
    """of adversarial training with validation: see `overfitting.robustness`"""

    @property
    def seconds(self) -> float:
        return round(sum(row["seconds"] for row in self.history), 3)


def fit(
    model: nn.Module,
    train: Split | Images,
    validation: Split | None,
    recipe: Recipe,
    *,
    device: torch.device,
    name: str,
    keys: str,
    advice: str = "or set schedule: one_cycle, which starts low",
    checkpoint: Checkpoint | None = None,
    finished: Finished | None = None,
) -> Fitted:
    """Train `model` in place; it ends in eval mode, on `device`, with the selected weights.

    Args:
        model: from images in [0, 1] to logits.
        train, validation: without validation the last epoch is selected. Who needs the training
            images beside, gives them as they lie on the device, so that they do so once.
        recipe: see params.yaml.
        name: what the progress display and errors call it.
        keys: the section of params.yaml that an error points to.
        advice: what may help against divergence, beside a lower `lr` in that section.
        checkpoint: where unfinished work is kept and resumed from; the caller removes it when
            the result is safe.
        finished: called with each row of the history, which it may extend; True ends training.

    Returns:
        The history, with epoch, loss and train_acc (in train mode, on the images as augmented or
        attacked), lr (at the epoch's end), seconds, and with validation also validation_acc and
        validation_robust_acc (None if not trained adversarially); against one step also
        validation_one_step_acc.

    Raises:
        UserError: the loss or a weight became NaN or infinite, the augmentation is not for such
            images, or a batch of one image is left to batch norm.
    """
    with own_generators(device, recipe.seed):
        images = train if isinstance(train, Images) else Images(train, device)
        training = _Training(model, images, validation, recipe, device, keys, advice)
        saved = checkpoint.load() if checkpoint else None
        if saved:
            training.restore(saved)
        training.run(name, checkpoint, finished or (lambda row: False))
    return Fitted(training.history, training.selected_epoch, training.robustness())


class _Training:
    """The state of one run: what a checkpoint holds, and what an epoch needs."""

    def __init__(
        self,
        model: nn.Module,
        train: Images,
        validation: Split | None,
        recipe: Recipe,
        device: torch.device,
        keys: str,
        advice: str,
    ) -> None:
        # A folder's images were not known when the configuration was checked.
        wrong = augmentation_errors(recipe.model_dump(), train.shape)
        told = [f"{keys}.augmentation.{part}: {reason}" for part, reason in wrong]
        if has_batch_norm(model):
            told += [f"{keys}.batch_size: {why}" for why in single(len(train), recipe.batch_size)]
        if told:
            raise UserError("\n".join(told))
        self.model = model.to(device)
        self.recipe, self.device, self.keys, self.advice = recipe, device, keys, advice
        self.count = len(train)
        # Batches of equal size: a remainder would weigh more than the others.
        self.batches = math.ceil(self.count / recipe.batch_size)
        self.step = Step(model, train, len(train.classes), recipe, device)
        self.judged = Images(validation, device) if validation else None
        self.order = torch.Generator().manual_seed(recipe.seed)
        self.history: list[Row] = []
        self.selection = Selection(recipe, judged=validation is not None)
        self.selected_epoch = 0

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.step.optimizer.state_dict(),
            "order": self.order.get_state(),
            "starts": self.step.starts.get_state(),
            "generators": generator_states(self.device),
            "history": self.history,
            "selected": (self.selection.epoch, self.selection.rank, self.selection.weights),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        self.model.load_state_dict(saved["model"])
        self.step.optimizer.load_state_dict(saved["optimizer"])
        self.order.set_state(saved["order"])
        self.step.starts.set_state(saved["starts"])
        set_generator_states(self.device, saved["generators"])
        self.history = saved["history"]
        chosen = self.selection
        chosen.epoch, chosen.rank, chosen.weights = saved["selected"]

    def run(self, name: str, checkpoint: Checkpoint | None, finished: Finished) -> None:
        """The epochs that are left, and the selected weights at the end."""
        epochs = self.recipe.epochs
        with progress(epochs * self.batches, name) as bar:
            bar.update(len(self.history) * self.batches)
            for epoch in range(len(self.history) + 1, epochs + 1):
                began = time.monotonic()
                row = self.train_epoch(epoch, bar)
                self.validate(row)
                self.selection.consider(row, self.model)
                stop = finished(row)
                row["seconds"] = round(time.monotonic() - began, 3)
                self.history.append(row)
                bar.update(0, epoch=epoch, loss=row["loss"], accuracy=row["train_acc"])
                if stop or self.selection.ends(self.history):
                    break
                if checkpoint and checkpoint.is_due() and epoch < epochs:
                    checkpoint.save(self.state())
        self.selected_epoch = self.selection.finish(self.history, self.model)
        self.model.eval()

    def train_epoch(self, epoch: int, bar: Progress) -> Row:
        """One pass over the training images in a new order."""
        looked = time.monotonic()
        training_mode(self.model)
        rows = torch.randperm(self.count, generator=self.order).to(self.device)
        # The further draws of an epoch have a seed of their own: a resumed run has them again.
        draws = draw(self.step.ranges, self.count, self.order, (self.recipe.seed << 32) + epoch)
        draws = draws.to(self.device)
        losses, hits = [], []  # summed at the end: a sum at each step takes time
        batches = rows.tensor_split(self.batches)
        for number, batch in enumerate(batches):
            step = (epoch - 1) * self.batches + number
            lr = learning_rate(self.recipe, step, self.recipe.epochs * self.batches)
            share = share_of_eps(self.recipe, step, self.batches)
            drawn = draws.index_select(0, batch) if self.step.ranges else draws
            loss, right = self.step.take(batch, drawn, lr, share)
            losses.append(loss)
            hits.append(right)
            bar.update()
            if time.monotonic() - looked > SECONDS_BETWEEN_LOOKS:
                looked = time.monotonic()
                self.require_finite(epoch, float(loss))
                bar.update(0, epoch=epoch, loss=float(loss))
        sizes = torch.tensor([len(batch) for batch in batches], device=self.device)
        mean = float((torch.stack(losses) * sizes).sum()) / self.count
        self.require_finite(epoch, mean)
        train_acc = int(torch.cat(hits).sum()) / self.count
        return {"epoch": epoch, "loss": mean, "train_acc": train_acc, "lr": lr}

    def require_finite(self, epoch: int, loss: float) -> None:
        # Read together: a GPU waits at each read.
        weights = bool(torch.stack([p.isfinite().all() for p in self.model.parameters()]).all())
        if math.isfinite(loss) and weights:
            return
        what = "a weight is not finite" if math.isfinite(loss) else f"the loss is {loss}"
        raise UserError(
            f"{self.keys}: training diverged in epoch {epoch}: {what}; no weights were written. "
            f"Lower {self.keys}.lr (now {self.recipe.lr:g}), {self.advice}"
        )

    def validate(self, row: Row) -> None:
        if self.judged is None:
            return
        row["validation_acc"] = accuracy(self.model, self.judged)
        row["validation_robust_acc"] = None
        if self.step.adversary:
            row |= self.step.adversary.watch(self.model, self.judged)

    def robustness(self) -> Row | None:
        if self.judged is None or self.step.adversary is None:
            return None
        images = min(len(self.judged), ROBUST_SAMPLES)
        return robustness(self.history, images, rising(self.recipe))
