"""How far each transform of a training image may go, by scheme.

The schemes are those of Hernández-García and König (2018, arXiv 1806.03852), with uniform draws.
Whether images may be mirrored is the recipe's `flip`, as it depends on what they show: a mirrored
2 is no 2, a mirrored cat is a cat.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..base.config.augmentation import Augmentation


@dataclass(frozen=True)
class Ranges:
    """A draw is uniform between minus and plus these, if not said otherwise."""

    shift: float = 0.0
    """in each direction, as a share of height and width; the border goes on outwards"""
    crop: int = 0
    """pixels in each direction; black comes in"""
    rotation: float = 0.0
    """degrees"""
    shear: float = 0.0
    """radians"""
    zoom: float = 0.0
    """of both axes together, about 1"""
    stretch: float = 0.0
    """of each axis for itself, about 1"""
    lens: float = 0.0
    """how far a lens moves the corners, as a share of their distance from the middle"""
    elastic: float = 0.0
    """how far each of 3x3 places is pulled, as a share of height and width (Simard et al., 2003)"""
    brightness: float = 0.0
    """added to the pixels"""
    contrast: float = 0.0
    """factor about 1, around each channel's mean"""
    color: float = 0.0
    """factor about 1, around each pixel's grey"""
    cutout: int = 0
    """side in pixels of a square of the image's mean colour (DeVries and Taylor, 2017)"""
    mixup: float = 0.0
    """the share of another image is drawn from Beta(mixup, mixup) (Zhang et al., 2018)"""

    @property
    def more(self) -> bool:
        """Whether it takes draws beyond those of the schemes."""
        own = (self.crop, self.zoom, self.lens, self.elastic, self.color, self.cutout, self.mixup)
        return any(own)


LIGHT = Ranges(shift=0.1)
HEAVIER = Ranges(shift=0.1, rotation=22.5, shear=0.15, stretch=0.15, brightness=0.25, contrast=0.5)
SCHEMES = {"none": Ranges(), "light": LIGHT, "heavier": HEAVIER}


def ranges_of(augmentation: str | Augmentation) -> Ranges | None:
    """The ranges of a scheme, or of a scheme with ranges of one's own; None if it is `none`."""
    if augmentation == "none":
        return None
    if isinstance(augmentation, str):
        return SCHEMES[augmentation]
    given = augmentation.model_dump()
    return dataclasses.replace(SCHEMES[given.pop("scheme")], **given)
