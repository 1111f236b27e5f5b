"""Weights in a file: a state_dict, read without running code, and held against a network's own."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from .errors import UserError, told

# Where training programs put the weights beside optimizer and epoch; the first that is there.
INSIDE = ("state_dict", "model_state_dict", "model", "net", "network")
# What wrappers put in front of every name: DataParallel, torch.compile.
PREFIXES = ("module.", "_orig_mod.")
TOLD = 12  # of each kind of mismatch; a wrong architecture has hundreds


def give_weights(network: nn.Module, file: Path, key: str) -> None:
    """Load a state_dict; no code of the file is run. `key` names the file in messages.

    Raises:
        UserError: if it cannot be read, or one line for each entry that does not fit.
    """
    wanted = network.state_dict()
    wrapping = _wrapping(wanted)  # the model itself may be a DataParallel
    given = {wrapping + name: value for name, value in read_weights(file, key).items()}
    errors = mismatches(given, wanted)
    if errors:
        raise UserError("\n".join(f"{key}: {file}: {line}" for line in errors))
    network.load_state_dict(given)


def read_weights(file: Path, key: str) -> dict[str, Tensor]:
    """The state_dict in a file, alone or inside a training program's checkpoint, without what
    wrappers put in front of every name.

    Raises:
        UserError: if the file cannot be read, or holds anything but tensors and plain values.
    """
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"{key}: {file}: cannot be read as weights ({told(error)}). Only tensors and plain "
            "values are loaded, since anything else could run code; save them with "
            "torch.save(model.state_dict(), file)"
        ) from error
    for name in INSIDE:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
            break
    if not isinstance(found, dict) or not found:
        raise UserError(f"{key}: {file}: holds {type(found).__name__}, not a state_dict")
    state = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    if len(state) < len(found):
        others = [str(name) for name in found if str(name) not in state]
        raise UserError(
            f"{key}: {file}: not a state_dict: {', '.join(others[:TOLD])} are no tensors"
        )
    wrapping = _wrapping(state)
    return {name.removeprefix(wrapping): value for name, value in state.items()}


def _wrapping(state: Mapping[str, Tensor]) -> str:
    """What wrappers, one in another, put in front of every name: `_orig_mod.module.`."""
    found = ""
    while state:
        further = [p for p in PREFIXES if all(name.startswith(found + p) for name in state)]
        if not further:
            break
        found += further[0]
    return found


def mismatches(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """One sentence for each entry that is missing, not expected, or of another shape."""
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    shapes = [
        f"{name} has the shape {tuple(given[name].shape)}, the model's {tuple(wanted[name].shape)}"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
    lines = _cut([f"{name} is missing{_near(name, unexpected)}" for name in missing], "missing")
    lines += _cut([f"{name} is not expected" for name in unexpected], "not expected")
    return lines + _cut(shapes, "of another shape")


def _near(name: str, others: list[str]) -> str:
    close = difflib.get_close_matches(name, others, n=1, cutoff=0.8) if len(others) < 100 else []
    return f" (the file has {close[0]})" if close else ""


def _cut(lines: list[str], what: str) -> list[str]:
    more = len(lines) - TOLD
    return lines if more <= 0 else [*lines[:TOLD], f"and {more} more are {what}"]
