"""Networks on disk: built for a data set, saved with what it takes to build them again, loaded."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from models import ARCHITECTURES, build
from models.initialization import initialize

from .errors import UserError, first_line
from .generators import own_generators
from .own import build_own
from .pretrained import freeze, give, read_start
from .splits import Split
from .store import write_bytes

if TYPE_CHECKING:
    from .config import Recipe

# What torch.load and the building of a network raise for a file that is not one of ours.
UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    pickle.UnpicklingError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
)


def new_network(recipe: Recipe, train: Split, keys: str) -> tuple[nn.Module, dict[str, Any]]:
    """A network for these images before its training, and what `load_network` needs to build it.

    It is normalized as its weights were, where that is known, else by the mean and deviation of the
    training images.
    What is drawn follows from the recipe's seed. UserError, naming the key, if the architecture
    cannot take the images or the weights are not to be had.
    """
    architecture, size = ARCHITECTURES[recipe.architecture], train.shape[1:]
    wrong = architecture.problems(recipe.settings, recipe.dropout, (size[0], size[1]))
    if wrong:
        raise UserError("\n".join(f"{keys}.{key}: {reason}" for key, reason in wrong))
    start = None
    if recipe.weights is not None:
        start = read_start(recipe.weights, recipe.architecture, train.shape[0], f"{keys}.weights")
    mean, std = (start.mean, start.std) if start else (None, None)
    if mean is None or std is None:
        mean, std = _statistics(train)
    settings = {
        "architecture": recipe.architecture,
        "shape": list(train.shape),
        "classes": len(train.classes),
        "settings": {
            # Written out, so that the file is read alike should a default ever change.
            **architecture.filled(recipe.settings),
            "dropout": recipe.dropout,
            "mean": mean,
            "std": std,
        },
    }
    with own_generators(torch.device("cpu"), recipe.seed):
        model = _build(settings)
        initialize(model, recipe.initialization)
    if start:
        give(model, start, f"{keys}.weights")
    if recipe.frozen:
        freeze(model)
    return model, settings


def _statistics(train: Split) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel of the images."""
    # By histogram: exact, and without a copy of the whole data set in float64.
    channels = [np.bincount(channel.ravel(), minlength=256) for channel in train.x.swapaxes(0, 1)]
    values = np.arange(256) / train.levels
    means = [float((counts * values).sum() / counts.sum()) for counts in channels]
    spreads = [
        float(np.sqrt((counts * (values - mean) ** 2).sum() / counts.sum()))
        for counts, mean in zip(channels, means, strict=True)
    ]
    # A channel may be blank.
    return [round(mean, 4) for mean in means], [round(max(std, 1e-3), 4) for std in spreads]


def _build(described: dict[str, Any]) -> nn.Module:
    return build(
        described["architecture"],
        shape=described["shape"],
        classes=described["classes"],
        **described["settings"],
    )


def save_network(path: Path, model: nn.Module, settings: dict[str, Any]) -> None:
    """Write settings and weights into one file; equal weights give equal bytes."""
    state = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_described(path, {**settings, "state": state})


def save_described(path: Path, described: dict[str, Any]) -> None:
    """Write what `load_network` builds a network from."""
    buffer = io.BytesIO()
    torch.save(described, buffer)
    write_bytes(path, buffer.getvalue())


def load_network(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """A trained network in eval mode on the CPU, and its settings, from its folder or file.

    The settings are architecture, settings, shape and classes, with the number of parameters and
    whether there are gradients; of a user's own model, what `own.own_network` describes. UserError
    if the file is missing or is not one of ours, or if that model cannot be built.
    """
    file = path / "network.pt" if path.is_dir() or path.suffix != ".pt" else path
    try:
        settings = torch.load(file, map_location="cpu", weights_only=True)
        if "model" in settings:
            model = build_own(settings)
            state = settings.pop("state")
        else:
            state = settings.pop("state")
            model = _build(settings)
            model.load_state_dict(state)
    except FileNotFoundError:
        raise UserError(f"{file}: missing; run `dvc repro` to train the network") from None
    except UNREADABLE as error:
        reason = first_line(error)
        raise UserError(f"{file}: not a network of epsball, or damaged ({reason})") from error
    about = {"parameters": parameters(model)}
    about |= {"gradients": settings.get("front", {}).get("gradients", True)}
    return model.eval(), {**settings, **about}


def parameters(model: nn.Module) -> int:
    """How many numbers the network has that are or could be trained."""
    return sum(p.numel() for p in model.parameters())
