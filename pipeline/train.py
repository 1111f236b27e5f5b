"""Stage `train@network`: for each seed, weights of a network and the history of its training.

A model of the user's own is not trained: the stage takes it in, and what follows is the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from models.cost import cost

from .base.device import choose_device, describe
from .base.kept import kept_pieces
from .base.networks import new_network, parameters, save_network
from .base.seeds import write_seeds, write_trained
from .base.splits import first_of, load_split
from .base.store import Place, replace_folder, write_json
from .base.taken import take_in
from .base.versions import versions
from .training.checkpoint import Checkpoint, training_key
from .training.fit import fit
from .training.images import Images, accuracy

if TYPE_CHECKING:
    from .base.config import Config, Recipe


def run(place: Place, config: Config, network: str) -> None:
    """Train one network with each of its seeds, or take in the user's own, and write
    artifacts/networks/<name>/.

    A seed that was trained before is not trained again: recipe, data and code are the same.

    Raises:
        UserError: if the loss is not finite, or the user's model cannot be taken; nothing is
            written then.
    """
    if "model" in config.networks[network]:
        return take_in(place, config.networks[network], network)
    recipe = config.recipe_of(network)
    device = choose_device()
    keys = {
        str(seed): training_key(place, recipe.seeded(seed), device, Path(__file__))
        for seed in recipe.seeds
    }

    def make(seed: str, folder: Path) -> None:
        name = f"train {network}" + (f", seed {seed}" if len(keys) > 1 else "")
        checkpoint = _checkpoint(place, network, keys[seed])
        _train(place, network, name, recipe.seeded(int(seed)), device, checkpoint, folder)

    asked = (config.recipe.model_dump(mode="json"), config.networks[network])
    with (
        kept_pieces(place, f"train-{network}", keys, make, *asked) as made,
        replace_folder(place.network(network)) as folder,
    ):
        write_seeds(folder, made)
        write_trained(folder, recipe.seeds)
    return None


def _train(
    place: Place,
    network: str,
    name: str,
    recipe: Recipe,
    device: torch.device,
    checkpoint: Checkpoint,
    target: Path,
) -> None:
    """Train with the recipe's one seed, and write weights and history into the folder `target`."""
    train, validation = load_split(place, "train"), load_split(place, "validation")
    keys = f"networks.{network}"
    train = first_of(train, recipe.samples, keys)
    model, settings = new_network(recipe, train, keys)
    images = Images(train, device)
    fitted = fit(
        model,
        images,
        validation if len(validation.y) else None,
        recipe,
        device=device,
        name=name,
        keys=keys,
        checkpoint=checkpoint,
    )
    chosen = fitted.history[fitted.selected_epoch - 1]
    if fitted.robustness and (found := fitted.robustness["collapse"]):
        print(
            f"{name}: catastrophic overfitting in epoch {found['epoch']}: PGD leaves "
            f"{found['robust_acc']:.1%} of the validation images, one step "
            f"{found['one_step_acc']:.1%} (epoch {found['best_epoch']}: {found['best']:.1%} under "
            f"PGD); epoch {fitted.selected_epoch} is kept"
        )
    with replace_folder(target) as folder:
        save_network(folder / "network.pt", model, settings)
        write_json(
            folder / "training.json",
            {
                "network": network,
                "history": fitted.history,
                "selected_epoch": fitted.selected_epoch,
                "clean_acc_validation": chosen.get("validation_acc"),
                "clean_acc_train": accuracy(model, images),
                "n_train": len(train.y),
                "robust_acc_validation": fitted.robustness,
                "parameters": parameters(model),
                "cost": cost(model, train.shape),
                "seconds": fitted.seconds,
                "device": describe(device),
                "versions": versions(),
                "recipe": recipe.model_dump(mode="json"),
            },
        )
    checkpoint.remove()  # not before the weights are written: a kill in between would lose both


def _checkpoint(place: Place, network: str, key: str) -> Checkpoint:
    """Where this run keeps unfinished work; what other parameters, data or code left, goes."""
    path = place.work / f"train-{network}-{key}.pt"
    for other in place.work.glob(f"train-{network}-{'[0-9a-f]' * 16}.pt"):
        if other != path:
            other.unlink(missing_ok=True)
    return Checkpoint(path)
