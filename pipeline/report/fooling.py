"""Fooling images: what shows nothing, and is read as a class all the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..base import store
from ..base.store import Place
from . import wording
from .images import Picture, data_uri

STARTS = {"noise": "from noise", "blank": "from a black image"}


@dataclass(frozen=True)
class Strip:
    """The images that one network was led to from one start."""

    caption: str
    pictures: list[Picture]


@dataclass(frozen=True)
class Fooling:
    """All of them under one question; `takeaway` says how many convinced which network."""

    title: str
    takeaway: str
    strips: list[Strip]


def fooling(place: Place, networks: list[str], suite: str, classes: list[str]) -> Fooling:
    """The fooling images that the attack stage of `suite` made for each network."""
    stored = {
        network: store.read_npz(place.attack(network, suite) / "fooling.npz")
        for network in networks
    }
    first = stored[networks[0]]
    told = [
        f"{network} for {int(each['reached'].sum())} of {len(each['reached'])}"
        for network, each in stored.items()
    ]
    return Fooling(
        title=f"What else does it take for {_with_article(classes[int(first['target'][0])])}?",
        takeaway=(
            "Images that show nothing, led by the gradient to a class chosen beforehand: "
            f"{wording.percent(float(first['asked']))} sure of it, or more, is "
            f"{wording.join(told)}."
        ),
        strips=[
            Strip(f"{network}, {told}", _pictures(each, each["start"] == start, classes))
            for network, each in stored.items()
            for start, told in STARTS.items()
        ],
    )


def _pictures(
    stored: dict[str, np.ndarray], chosen: np.ndarray, classes: list[str]
) -> list[Picture]:
    pictures = []
    for i in np.flatnonzero(chosen).tolist():
        wanted, read = (
            wording.class_name(classes, int(stored[name][i])) for name in ("target", "prediction")
        )
        sure = wording.percent(float(stored["confidence"][i]))
        pictures.append(
            Picture(
                uri=data_uri(stored["x"][i]),
                alt=f"read as {read}; confidence in {wanted}, the class wanted: {sure}",
                heading=f"wanted: {wanted}",
                predicted=read,
                confidence=sure,
                right=None,
            )
        )
    return pictures


def _with_article(name: str) -> str:
    return f"{'an' if name[0].lower() in 'aeiou8' else 'a'} {name}"
