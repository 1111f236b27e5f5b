"""What a loader returns: a data set as it was published, before it is split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HOW_TO_SET_ROOT = (
    "set data.root in params.yaml or the environment variable EPSBALL_DATA to a folder that has it"
)


@dataclass(frozen=True)
class Source:
    """A data set as published: images uint8 (N, C, H, W), labels int64 (N,).

    `test` or `validation` is None if the data set does not bring such a part.
    """

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray] | None
    classes: list[str]
    validation: tuple[np.ndarray, np.ndarray] | None = None
    levels: int = 255
    """The value that stands for 1.0: an image in [0, 1] is x / levels."""
