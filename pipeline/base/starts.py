"""What does not go together in what training starts from: weights, initialization, freezing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

IMAGENET = "imagenet"
# What the stage `train` makes, of this experiment or another: it may not be there yet.
MADE_HERE = "artifacts/networks/*/network.pt"


def start_problems(recipe: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(key of the recipe, reason) for each contradiction; works on the raw recipe."""
    weights, architecture = recipe.get("weights"), str(recipe.get("architecture"))
    if isinstance(weights, str):
        if weights != IMAGENET and not weights.endswith((".pt", ".pth")):
            yield "weights", f"must be null, imagenet or a file (.pt, .pth), got {weights!r}"
        elif weights != IMAGENET and not (Path(weights).is_file() or to_be_made(weights)):
            yield "weights", f"no such file: {weights}"
        elif weights == IMAGENET and not architecture.startswith("torchvision."):
            yield (
                "weights",
                f"imagenet is there for torchvision.* alone, not for {architecture}; "
                "write null or the path of a file",
            )
        if recipe.get("initialization") != "default":
            yield "initialization", "nothing is drawn where weights are given; write default"
    elif recipe.get("frozen") is True:
        yield "frozen", "what nothing has trained would stay so; give weights, or write false"


def to_be_made(weights: str) -> bool:
    """Whether a file of weights is one that training a network of an experiment makes."""
    return Path(weights).match(MADE_HERE)
