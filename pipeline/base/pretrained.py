"""Weights that training starts from: torchvision's of ImageNet, or those of a file.

What a network learned before was learned on images normalized in one way, so that comes with the
weights. The last layer is drawn anew where it has other classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.large import Repeated

from .download import downloaded
from .errors import UserError, told
from .starts import IMAGENET, to_be_made
from .weights import mismatches, read_weights

# Of the images that torchvision's networks were trained on, in red, green and blue.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Networks that were carried over from another library see (x - 0.5) / 0.5.
CENTRED = ("torchvision.googlenet",)


@dataclass(frozen=True)
class Start:
    """A state_dict without normalization, and the normalization that belongs to it; None where
    nothing tells it."""

    state: dict[str, Tensor]
    mean: list[float] | None
    std: list[float] | None


def read_start(weights: str, architecture: str, channels: int, key: str) -> Start:
    """The weights that a recipe names.

    Args:
        weights: `imagenet`, or the path of a file: a network.pt of this pipeline, or a state_dict
            for one of torchvision's architectures.
        architecture: that of the recipe.
        channels: of the images, 1 or 3.
        key: of the weights in params.yaml, for messages.

    Raises:
        UserError: if there are none to be had, or the file cannot be read.
    """
    if weights == IMAGENET:
        mean, std = _of_imagenet(architecture, channels)
        return Start(_downloaded(architecture.removeprefix("torchvision."), key), mean, std)
    if to_be_made(weights) and not Path(weights).is_file():
        network = Path(weights).parent.name
        raise UserError(f"{key}: no such file yet: {weights}; train {network} first")
    found = _of_this_pipeline(Path(weights))
    if found is None:
        return _of_a_state_dict(read_weights(Path(weights), key), architecture, channels)
    if found["architecture"] != architecture:
        raise UserError(f"{key}: {weights}: is a {found['architecture']}, not a {architecture}")
    if found["shape"][0] != channels:
        seen = found["shape"][0]
        raise UserError(f"{key}: {weights}: is of images with {seen} channels, not {channels}")
    state = _inner(found["state"])
    return Start(state, found["settings"]["mean"], found["settings"]["std"])


def _inner(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the network itself, of a whole that `models.build` made."""
    return {
        name.removeprefix("network."): value
        for name, value in state.items()
        if name.startswith("network.")
    }


def _of_a_state_dict(state: dict[str, Tensor], architecture: str, channels: int) -> Start:
    """Of a whole model its own normalization; of torchvision's networks that of ImageNet."""
    if {"normalize.mean", "normalize.scale"} <= state.keys():  # as `models.normalize` writes it
        std = 1 / state["normalize.scale"]
        return Start(
            _inner(state), state["normalize.mean"].flatten().tolist(), std.flatten().tolist()
        )
    if not architecture.startswith("torchvision."):
        return Start(state, None, None)
    return Start(state, *_of_imagenet(architecture, channels))


def _of_this_pipeline(file: Path) -> dict[str, Any] | None:
    """What a network.pt of a recipe holds; None if the file is none."""
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # told by who reads it as weights
        return None
    ours = {"architecture", "settings", "shape", "state"}
    return found if isinstance(found, dict) and ours <= found.keys() else None


def give(model: nn.Module, start: Start, key: str) -> None:
    """Put the weights into a network that `models.build` made.

    Raises:
        UserError: one line for each entry that is missing, not expected or of another shape; the
            last layer may have another.
    """
    network = model.get_submodule("network")
    if not set(network.state_dict()) & set(start.state):
        behind = [part for part in network.children() if not isinstance(part, Repeated)]
        network = behind[0] if len(behind) == 1 else network  # of grey images
    wanted = network.state_dict()
    anew = {
        name
        for name in last_layer(network) & set(wanted)
        if name not in start.state or start.state[name].shape != wanted[name].shape
    }
    given = {name: value for name, value in start.state.items() if name not in anew}
    errors = mismatches(given, {name: wanted[name] for name in wanted if name not in anew})
    if errors:
        raise UserError("\n".join(f"{key}: {line}" for line in errors))
    network.load_state_dict(given, strict=False)


def last_layer(network: nn.Module) -> set[str]:
    """The names of the weights that tell the classes apart: of the last layer that has any."""
    *_, name = (
        name for name, part in network.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)
    )
    return {f"{name}.weight", f"{name}.bias"}


def freeze(network: nn.Module) -> None:
    """All but the last layer is kept as it is: a feature extractor with a linear classifier."""
    last = last_layer(network)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in last)


def _of_imagenet(architecture: str, channels: int) -> tuple[list[float], list[float]]:
    mean, std = ((0.5,) * 3, (0.5,) * 3) if architecture in CENTRED else (MEAN, STD)
    if channels == 1:  # grey: the same in all three, so one number stands for them
        return [sum(mean) / 3], [sum(std) / 3]
    return list(mean), list(std)


def _downloaded(name: str, key: str) -> dict[str, Tensor]:
    """torchvision's best weights of ImageNet, from its cache or from the network."""
    from torchvision.models import get_model, get_model_weights

    weights = get_model_weights(name).DEFAULT
    options = {"aux_logits": False} if name == "googlenet" else {}
    file = downloaded(
        weights.url,
        f"{key}: imagenet: torchvision's weights of {name}",
        "put the file there, or name a file with its state_dict here",
    )
    try:
        # Through its builder, which knows how the names in its older files have changed.
        return get_model(name, weights=weights, progress=False, **options).state_dict()
    except Exception as error:  # whatever a file that ends early may raise
        raise UserError(
            f"{key}: imagenet: {file} cannot be read ({told(error)}); delete it, so that it is "
            "downloaded again"
        ) from None
