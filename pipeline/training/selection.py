"""Which epoch's weights are kept, and when training ends before its last epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ..base.history import Row, chosen_by
from .overfitting import collapse

if TYPE_CHECKING:
    from ..base.config import Recipe


class Selection:
    """The best epoch so far by the validation images, under attack where that was trained for."""

    def __init__(self, recipe: Recipe, judged: bool) -> None:
        self.recipe = recipe
        self.guard = recipe.adversarial.guard if recipe.adversarial and judged else None
        self.epoch = 0
        self.rank = False, -1.0
        self.weights: dict[str, Tensor] = {}

    def consider(self, row: Row, model: nn.Module) -> None:
        """Keep this epoch's weights if they are the best so far and may be wanted."""
        value = chosen_by(row)
        if value is None or (self.recipe.select == "last" and self.guard != "stop"):
            return
        rank = row["epoch"] > rising(self.recipe), value
        if rank >= self.rank:  # among equals the later, which has trained longer
            self.epoch, self.rank = row["epoch"], rank
            self.weights = {key: tensor.clone() for key, tensor in model.state_dict().items()}

    def ends(self, history: list[Row]) -> bool:
        """Whether to stop here: out of patience, or overfitted catastrophically."""
        return self._out_of_patience(history) or self._stopped(history)

    def finish(self, history: list[Row], model: nn.Module) -> int:
        """The epoch that is kept; the model gets its weights."""
        if self.weights and (self.recipe.select == "best" or self._stopped(history)):
            model.load_state_dict(self.weights)
            return self.epoch
        return int(history[-1]["epoch"])

    def _stopped(self, history: list[Row]) -> bool:
        return self.guard == "stop" and collapse(history) is not None

    def _out_of_patience(self, history: list[Row]) -> bool:
        """Of the epochs that count, so many are over since the best."""
        patience = self.recipe.patience
        if patience is None:
            return False
        counted = history[rising(self.recipe) :]
        values = [value for value in map(chosen_by, counted) if value is not None]
        return bool(values) and len(values) - values.index(max(values)) > patience


def rising(recipe: Recipe) -> int:
    """The first so many epochs, in which ε still rises: accuracy under all of it says nothing, and
    none of them counts beside one that comes after."""
    return math.ceil(recipe.adversarial.warm_up * recipe.epochs) if recipe.adversarial else 0
