"""A user's own model: built by calling it, given its weights, and kept as a network of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from models.front import fronted

from .callables import load_callable
from .errors import ANY, UserError, told
from .generators import own_generators
from .weights import TOLD, give_weights

if TYPE_CHECKING:
    from .config.own import Own


def own_network(own: Own, classes: Sequence[str], shape: Sequence[int], key: str) -> dict[str, Any]:
    """What it takes to build the model again, with its weights, as `load_network` reads it.

    Args:
        own: the entry.
        classes: of the data set, in the order of its labels.
        shape: of the images, (channels, height, width).
        key: of the entry in params.yaml, for messages.

    Raises:
        UserError: if it cannot be imported, built or given its weights, does not take such images,
            or its outputs do not fit the classes.
    """
    network = _called(own.model, own.args, key)
    if own.weights is not None:
        give_weights(network, Path(own.weights), f"{key}.weights")
    front: dict[str, Any] = {"resize": own.resize, "crop": own.crop, "gradients": own.gradients}
    if own.normalize is not None:
        channels = len(own.normalize.mean)
        if channels not in (1, shape[0]):
            raise UserError(
                f"{key}.normalize: {channels} means and deviations, but the images have "
                f"{shape[0]} channels"
            )
        front |= own.normalize.model_dump()
    outputs = _outputs(network, front, shape, key)
    order = _order(own.classes, classes, outputs, f"{key}.classes")
    return {
        "model": own.model,
        "args": own.args,
        "front": front | {"outputs": order},
        "shape": list(shape),
        "classes": len(classes),
        "state": {name: tensor.contiguous() for name, tensor in network.state_dict().items()},
    }


def build_own(described: Mapping[str, Any]) -> nn.Module:
    """The model that `own_network` described, with its weights, in eval mode.

    Raises:
        UserError: if it cannot be imported or built.
        RuntimeError: if it has other weights than it had.
    """
    network = _called(described["model"], described["args"], "the model")
    network.load_state_dict(described["state"])
    height, width = described["shape"][1:]
    return fronted(network, (height, width), **described["front"]).eval()


def _called(model: str, args: Mapping[str, Any], key: str) -> nn.Module:
    function = load_callable(model, f"{key}.model")
    try:
        with own_generators(torch.device("cpu"), 0):
            network = function(**args)
    except ANY as error:
        given = ", ".join(f"{name}={value!r}" for name, value in args.items())
        raise UserError(f"{key}.model: {model}({given}) failed: {told(error)}") from error
    if not isinstance(network, nn.Module):
        raise UserError(
            f"{key}.model: {model} returns {type(network).__name__}, not a torch.nn.Module"
        )
    # Verdicts are IEEE float32, on the device that the stage chooses.
    return network.cpu().float().eval()


def _outputs(network: nn.Module, front: Mapping[str, Any], shape: Sequence[int], key: str) -> int:
    """How many outputs the model has for such images."""
    height, width = shape[1:]
    try:
        whole = fronted(network, (height, width), **front).eval()
    except ValueError as error:
        raise UserError(f"{key}.crop: {error}") from None
    answer = _answered(whole, shape, 2, key)
    if not isinstance(answer, Tensor) or answer.dim() != 2 or len(answer) != 2:
        shown = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise UserError(f"{key}.model: must return one tensor of logits (N, K), returns {shown}")
    outputs = answer.shape[1]
    alone = _answered(whole, shape, 1, key)
    if not isinstance(alone, Tensor) or alone.shape != (1, outputs):
        shown = tuple(alone.shape) if isinstance(alone, Tensor) else type(alone).__name__
        raise UserError(
            f"{key}.model: must return logits (1, {outputs}) for one image alone, returns {shown}; "
            "look for a squeeze() without a dimension"
        )
    return outputs


def _answered(whole: nn.Module, shape: Sequence[int], images: int, key: str) -> Any:
    """What the model returns for so many grey images; UserError if it takes none of that shape."""
    try:
        with torch.no_grad():
            return whole(torch.full((images, *shape), 0.5))
    except ANY as error:
        reaches = "x".join(map(str, [shape[0], *_reaching(whole, *shape[1:])]))
        what = f"images of {reaches}"
        if images == 1:
            what = f"one image of {reaches} alone, though it takes two"
        raise UserError(
            f"{key}.model: does not take {what} (channels, height, width): {told(error)}"
        ) from error


def _reaching(whole: nn.Module, height: int, width: int) -> tuple[int, int]:
    """Height and width of what the network itself is given."""
    for part in whole.modules():
        rows, columns = getattr(part, "rows", None), getattr(part, "columns", None)
        if isinstance(rows, Tensor) and isinstance(columns, Tensor):
            return len(rows), len(columns)
    return height, width


def _order(
    chosen: Mapping[str, int] | None, classes: Sequence[str], outputs: int, key: str
) -> list[int] | None:
    """The order that puts the output of each class of the data set at its label, others behind.

    Classes whose names are numbers name their outputs themselves.
    """
    if chosen is None and all(name.isdecimal() for name in classes):
        chosen = {name: int(name) for name in classes}
    if chosen is None:
        if outputs != len(classes):
            raise UserError(
                f"{key}: the model has {outputs} outputs, the data set {len(classes)} classes; "
                f"say which output is which class: {{{classes[0]}: 0, ...}}"
            )
        return None
    missing = [name for name in classes if name not in chosen]
    unknown = [name for name in chosen if name not in classes]
    beyond = [f"{name}: {index}" for name, index in chosen.items() if index >= outputs]
    errors = []
    if missing:
        errors.append(f"no output is given for {', '.join(missing[:TOLD])}")
    if missing and unknown:
        errors.append(
            f"{', '.join(unknown[:TOLD])}: not classes of the data set, which has "
            f"{', '.join(classes[:TOLD])}{' ...' if len(classes) > TOLD else ''}"
        )
    if beyond:
        errors.append(f"{', '.join(beyond[:TOLD])}: the model has outputs 0 to {outputs - 1}")
    if errors:
        raise UserError("\n".join(f"{key}: {line}" for line in errors))
    first = [chosen[name] for name in classes]
    order = [*first, *(index for index in range(outputs) if index not in set(first))]
    return None if order == list(range(outputs)) else order
