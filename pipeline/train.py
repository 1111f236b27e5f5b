"""Stage `train@network`: the weights of a network and the history of its training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .base.device import choose_device, describe
from .base.networks import new_network, parameters, save_network
from .base.splits import load_split
from .base.store import Place, replace_folder, write_json
from .base.versions import versions
from .training.checkpoint import Checkpoint, training_key
from .training.fit import fit

if TYPE_CHECKING:
    from .base.config import Config, Recipe


def run(place: Place, config: Config, network: str) -> None:
    """Train one network and write artifacts/networks/<name>/.

    Raises:
        UserError: if the loss is not finite; nothing is written then.
    """
    recipe = config.recipe_of(network)
    train, validation = load_split(place, "train"), load_split(place, "validation")
    device = choose_device()
    keys = f"networks.{network}"
    model, settings = new_network(recipe, train, keys)
    checkpoint = _checkpoint(place, network, recipe, device)
    fitted = fit(
        model,
        train,
        validation,
        recipe,
        device=device,
        name=f"train {network}",
        keys=keys,
        checkpoint=checkpoint,
    )
    chosen = fitted.history[fitted.selected_epoch - 1]
    with replace_folder(place.network(network)) as folder:
        save_network(folder / "network.pt", model, settings)
        write_json(
            folder / "training.json",
            {
                "network": network,
                "history": fitted.history,
                "selected_epoch": fitted.selected_epoch,
                "clean_acc_validation": chosen["validation_acc"],
                "parameters": parameters(model),
                "seconds": fitted.seconds,
                "device": describe(device),
                "versions": versions(),
                "recipe": recipe.model_dump(mode="json"),
            },
        )
    checkpoint.remove()  # not before the weights are written: a kill in between would lose both


def _checkpoint(place: Place, network: str, recipe: Recipe, device: torch.device) -> Checkpoint:
    """Where this run keeps unfinished work; what other parameters, data or code left, goes."""
    path = place.work / f"train-{network}-{training_key(place, recipe, device)}.pt"
    for other in place.work.glob(f"train-{network}-{'[0-9a-f]' * 16}.pt"):
        if other != path:
            other.unlink(missing_ok=True)
    return Checkpoint(path)
