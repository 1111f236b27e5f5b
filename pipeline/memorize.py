"""Stage `memorize`: can a network fit labels or images that mean nothing?

After Zhang et al. (2017, arXiv 1611.03530). Labels and pixels are drawn once and kept; the test
labels are always the true ones, so that test accuracy says what was learned about the data.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .base.device import choose_device, describe
from .base.errors import UserError
from .base.networks import new_network, parameters
from .base.splits import Split, load_split
from .base.store import Place, read_json, write_json
from .base.versions import versions
from .training.checkpoint import training_key
from .training.fit import fit
from .training.images import Images, accuracy

if TYPE_CHECKING:
    from .base.config import Config, Corruption, Recipe


def run(place: Place, config: Config, network: str, group: str) -> None:
    """Fit the network to every corruption of a group, and write artifacts/memorize/.

    Each finished run is kept in .work/ until all are, so that a kill loses the one in progress.

    Architecture, regularizers, augmentation and adversarial training are the network's own; it is
    trained by Adam at the constant rate `memorize.lr`, which fits random labels soonest.
    """
    train, test = load_split(place, "train"), load_split(place, "test")
    train = first_of(train, config.memorize.samples, config.memorize.seed)
    device = choose_device()
    recipe = config.recipe_of(network).model_copy(
        update={
            # The same for every network: what differs is to come from what it is regularized by.
            "optimizer": "adam",
            "schedule": "constant",
            "warm_up": None,
            "epochs": config.memorize.epochs,
            "batch_size": config.memorize.batch_size,
            "lr": config.memorize.lr,
            "seeds": [config.memorize.seed],
            "select": "last",
        }
    )
    runs = []
    for corruption in config.memorize.corruptions[group]:
        key = training_key(
            place, recipe, device, config.memorize.samples, corruption.model_dump(), Path(__file__)
        )
        kept = place.work / f"memorize-{network}-{group}-{key}.json"
        found = _kept(kept)
        if found is None:
            found = memorize(network, recipe, train, test, corruption, device)
            write_json(kept, found)
        runs.append(found)
    write_json(
        place.memorize(network, group),
        {
            "network": network,
            "corruption": group,
            "runs": runs,
            "device": describe(device),
            "versions": versions(),
        },
    )
    # Not before the whole is safe; with them goes what other parameters, data or code left.
    for path in place.work.glob(f"memorize-{network}-{group}-{'[0-9a-f]' * 16}.json"):
        path.unlink(missing_ok=True)


def _kept(path: Path) -> dict[str, Any] | None:
    """A run that was finished before the stage was killed; None if there is none to be read."""
    try:
        run: dict[str, Any] = read_json(path)
    except UserError:
        return None
    return run


def first_of(train: Split, samples: int | None, seed: int) -> Split:
    """A random subset of `samples` images, nested: a larger one holds every smaller one.

    Raises:
        UserError: if more are asked than there are.
    """
    if samples is None:
        return train
    if samples > len(train.y):
        raise UserError(
            f"memorize.samples: {samples} asked, but the training split has {len(train.y)} images; "
            "null takes them all"
        )
    chosen = np.sort(np.random.default_rng(seed).permutation(len(train.y))[:samples])
    return dataclasses.replace(
        train, x=train.x[chosen], y=train.y[chosen], index=train.index[chosen]
    )


def memorize(
    network: str,
    recipe: Recipe,
    train: Split,
    test: Split,
    corruption: Corruption,
    device: torch.device,
) -> dict[str, Any]:
    """Train on the corrupted training images until every one is classified as it is labelled.

    Training accuracy is taken in eval mode after each epoch. The test images get the corruption
    of the training images, and keep their true labels.
    """
    name = describe_corruption(corruption)
    corrupted = corrupt(train, corruption, recipe.seed)
    tested = corrupt_images(test, train, corruption, recipe.seed)
    model, _ = new_network(recipe, corrupted, f"networks.{network}")
    images = Images(corrupted, device)

    def fitted(row: dict[str, Any]) -> bool:
        row["train_acc"] = accuracy(model, images)
        return bool(row["train_acc"] == 1.0)

    result = fit(
        model,
        corrupted,
        None,
        recipe,
        device=device,
        name=f"memorize {network}: {name}",
        keys="memorize",
        advice="or raise memorize.batch_size",
        finished=fitted,
    )
    last = result.history[-1]
    return {
        "name": name,
        "kind": corruption.kind,
        "fraction": corruption.fraction,
        "changed_fraction": float((corrupted.y != train.y).mean()),
        "history": result.history,
        "fitted_epoch": last["epoch"] if last["train_acc"] == 1.0 else None,
        "train_acc": last["train_acc"],
        "test_acc": accuracy(model, Images(tested, device)),
        "n_train": len(train.y),
        "n_test": len(test.y),
        "classes": len(train.classes),
        "label_hash": hashlib.sha256(corrupted.y.tobytes()).hexdigest(),
        "parameters": parameters(model),
        "seconds": result.seconds,
    }


def describe_corruption(corruption: Corruption) -> str:
    """What a reader calls it: `true labels`, `50 % random labels`, `shuffled pixels`."""
    if corruption.kind == "gaussian":
        return "Gaussian images"
    if corruption.kind != "labels":
        return corruption.kind.replace("_", " ")
    if corruption.fraction in (0, 1):
        return "random labels" if corruption.fraction else "true labels"
    return f"{100 * corruption.fraction:g} % random labels"


def corrupt(train: Split, corruption: Corruption, seed: int) -> Split:
    """The training split with corrupted labels or images."""
    if corruption.kind == "labels":
        labels = random_labels(train, corruption.fraction, seed)
        return dataclasses.replace(train, y=labels)
    return corrupt_images(train, train, corruption, seed)


def random_labels(split: Split, fraction: float, seed: int) -> np.ndarray:
    """Labels of which exactly `fraction` are drawn again, uniformly over all classes.

    A draw may hit the true class: with ten classes about a tenth of the drawn labels do not
    change. A larger fraction redraws the same examples and more, with the same results.
    """
    draw = np.random.default_rng([seed, 1])
    chosen = draw.permutation(len(split.y))[: round(fraction * len(split.y))]
    drawn = draw.integers(len(split.classes), size=len(split.y))
    labels = split.y.copy()
    labels[chosen] = drawn[chosen]
    return labels


def corrupt_images(split: Split, train: Split, corruption: Corruption, seed: int) -> Split:
    """The split with corrupted images; `labels` leaves them as they are.

    shuffled_pixels: one permutation of the places for all images, of every split.
    random_pixels: a permutation for each image. gaussian: independent pixels with the mean and
    deviation that each channel has in `train`, cut at black and white. Channels move together.
    """
    if corruption.kind == "labels":
        return split
    count, channels = split.x.shape[:2]
    places = split.x.reshape(count, channels, -1)
    if corruption.kind == "shuffled_pixels":
        order = np.random.default_rng([seed, 2]).permutation(places.shape[2])
        x = places[:, :, order]
    else:
        # Training and test images must not share their draws.
        part = 3 if split is train else 4
        draw = np.random.default_rng([seed, part])
        if corruption.kind == "random_pixels":
            ranks = draw.random((count, 1, places.shape[2]), dtype=np.float32).argsort(axis=2)
            x = np.take_along_axis(places, ranks, axis=2)
        else:
            pixels = train.x.swapaxes(0, 1).reshape(channels, -1)
            mean = pixels.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
            spread = pixels.std(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
            noise = mean + spread * draw.standard_normal(places.shape, dtype=np.float32)
            x = noise.round().clip(0, split.levels).astype(np.uint8)
    return dataclasses.replace(split, x=np.ascontiguousarray(x.reshape(split.x.shape)))
