"""Stage `memorize`: can a network fit labels or images that mean nothing?

After Zhang et al. (2017, arXiv 1611.03530). Labels and pixels are drawn once and kept; the test
labels are always the true ones, so that test accuracy says what was learned about the data.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .base.device import choose_device, describe
from .base.kept import kept_pieces
from .base.networks import new_network, parameters
from .base.splits import Split, first_of, load_split
from .base.store import Place, read_json, replace_folder, write_json
from .base.versions import versions
from .corruptions import corrupt, corrupt_images, describe_corruption
from .training.checkpoint import training_key
from .training.execution import Execution
from .training.fit import fit
from .training.images import Images, accuracy

if TYPE_CHECKING:
    from .base.config import Config, Corruption, Recipe

RUN = "run.json"
CODE = [Path(__file__), Path(__file__).with_name("corruptions.py")]


def run(place: Place, config: Config, network: str) -> None:
    """Fit the network to each of its corruptions, and write artifacts/memorize/<network>.json.

    Each finished run is kept: a kill loses the one in progress, and a corruption more costs one.
    """
    recipe = config.memorizing(network)
    train, test = load_split(place, "train"), load_split(place, "test")
    train = first_of(train, recipe.samples, f"memorize.networks.{network}")
    device = choose_device()
    until_fitted = config.memorize.until_fitted
    asked = [
        (group, corruption)
        for group in config.memorize.groups(network)
        for corruption in config.memorize.corruptions[group]
    ]
    # By what is done alone: what stands in two groups is fitted once.
    pieces = {_piece(corruption): corruption for _, corruption in asked}
    keys = {
        piece: training_key(place, recipe, device, until_fitted, corruption.model_dump(), *CODE)
        for piece, corruption in pieces.items()
    }

    def make(piece: str, folder: Path) -> None:
        found = memorize(network, recipe, train, test, pieces[piece], device, until_fitted)
        with replace_folder(folder) as whole:
            write_json(whole / RUN, found)

    # What else DVC watches of the recipe, such as seeds, changes no run.
    listed = config.recipe.model_dump(mode="json")
    with kept_pieces(place, f"memorize-{network}", keys, make, listed) as made:
        runs = [
            {"group": group, **read_json(made[_piece(corruption)] / RUN)}
            for group, corruption in asked
        ]
        write_json(
            place.memorize(network),
            {
                "network": network,
                "recipe": recipe.model_dump(mode="json"),
                "runs": runs,
                "device": describe(device),
                "versions": versions(),
            },
        )


def _piece(corruption: Corruption) -> str:
    return f"{corruption.kind}-{corruption.fraction}"


def memorize(
    network: str,
    recipe: Recipe,
    train: Split,
    test: Split,
    corruption: Corruption,
    device: torch.device,
    until_fitted: bool = True,
) -> dict[str, Any]:
    """Train on the corrupted training images, until every one is classified as it is labelled.

    Training accuracy is taken in eval mode after each epoch, on the images without augmentation,
    in the precision of training; that all are fitted is confirmed in float32.
    The test images get the corruption of the training images, and keep their true labels.

    Args:
        until_fitted: False trains all epochs of the recipe, though all is fitted.
    """
    name = describe_corruption(corruption)
    corrupted = corrupt(train, corruption, recipe.seed)
    tested = corrupt_images(test, train, corruption, recipe.seed)
    model, _ = new_network(recipe, corrupted, f"memorize.networks.{network}")
    images = Images(corrupted, device)
    # Before training: on the CPU the labels trained on are those drawn, not a copy.
    drawn, before = _hash(corrupted.y), _hash(images.y.cpu().numpy())
    fast = Execution.on(device, compiled=False)

    def fitted(row: dict[str, Any]) -> bool:
        row["train_acc"] = accuracy(model, images, fast)
        if row["train_acc"] == 1.0 and fast != Execution():
            row["train_acc"] = accuracy(model, images)  # that all are fitted is float32's to say
        return bool(until_fitted and row["train_acc"] == 1.0)

    result = fit(
        model,
        images,
        None,
        recipe,
        device=device,
        name=f"memorize {network}: {name}",
        keys=f"memorize.networks.{network}",
        advice="or raise its batch_size",
        finished=fitted,
    )
    last = result.history[-1]
    perfect = [row["epoch"] for row in result.history if row["train_acc"] == 1.0]
    return {
        "name": name,
        "kind": corruption.kind,
        "fraction": corruption.fraction,
        "changed_fraction": float((corrupted.y != train.y).mean()),
        "history": result.history,
        "fitted_epoch": perfect[0] if perfect else None,
        "train_acc": last["train_acc"],
        "test_acc": accuracy(model, Images(tested, device)),
        "n_train": len(train.y),
        "n_test": len(test.y),
        "classes": len(train.classes),
        "label_hash": drawn,
        "labels_seen": sorted({before, _hash(images.y.cpu().numpy())}),
        "test_label_hash": _hash(tested.y),
        "parameters": parameters(model),
        "seconds": result.seconds,
    }


def _hash(labels: np.ndarray) -> str:
    return hashlib.sha256(labels.tobytes()).hexdigest()
