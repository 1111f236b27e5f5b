"""What is known of the published data sets before they are read."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple

from .raw import Raw, mapping


class DataSet(NamedTuple):
    """A published data set: channels, height and width; how many images it has."""

    shape: tuple[int, int, int]
    train: int
    test: int | None
    """None: a share of `train` is held out, as data.test says"""
    levels: int = 256
    """how many values a pixel can have"""


# A folder is not here: what it holds is known when the data stage has read it.
PUBLISHED = {
    "digits": DataSet((1, 8, 8), 1797, None, levels=17),
    "mnist": DataSet((1, 28, 28), 60000, 10000),
    "fashion_mnist": DataSet((1, 28, 28), 60000, 10000),
    "cifar10": DataSet((3, 32, 32), 50000, 10000),
    "cifar100": DataSet((3, 32, 32), 50000, 10000),
    "svhn": DataSet((3, 32, 32), 73257, 26032),
}


def data_set_of(raw: Raw) -> DataSet | None:
    """The data set that a raw params.yaml names, if it is a published one."""
    return PUBLISHED.get(str(mapping(raw, "data").get("name")))


def root_of(root: str | None) -> Path:
    """The folder that holds the data: data.root; of None, EPSBALL_DATA, or else `data`."""
    return Path(root or os.environ.get("EPSBALL_DATA") or "data")


def classes_in_folder(raw: Raw) -> int | None:
    """How many classes the folder of a raw params.yaml has; None if it names none that is there.

    Published data sets have ten at least.
    """
    data = mapping(raw, "data")
    root = data.get("root")
    if data.get("name") != "folder" or not isinstance(root, str | None):
        return None
    try:
        found = list((root_of(root) / "train").iterdir())
    except OSError:  # told by the data stage
        return None
    return sum(each.is_dir() and not each.name.startswith(".") for each in found)


def held_out(count: int, share: float) -> int:
    """How many of `count` images a share is: rounded up, but not for the error of a product."""
    return math.ceil(count * share - 1e-9)
