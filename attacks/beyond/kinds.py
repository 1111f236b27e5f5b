"""The kinds of transformation: what their parameters are and how large they can be. No torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of transformation, with parameters θ of which 0 leaves the image as it is.

    Attributes:
        scale: the largest |θ| of each parameter at eps = 1, so that eps has a unit.
        largest: the eps beyond which a larger one means nothing.
        spacing: distance between neighbours of the `grid` attack's lattice, for each parameter.
    """

    scale: tuple[float, ...]
    largest: float
    spacing: tuple[float, ...]


KINDS = {
    # Degrees, counter-clockwise; half a turn either way is a whole one.
    "rotation": Kind((1.0,), 180.0, (1.0,)),
    # To the right and down, in shares of the image's width and height; 1 leaves nothing to see.
    "translation": Kind((1.0, 1.0), 1.0, (0.025, 0.025)),
    # Rotation, then translation. At eps = 1: 30 degrees and a tenth of each side, on a lattice of
    # 31 x 5 x 5, as Engstrom et al. (2019) searched it.
    "rigid": Kind((30.0, 0.1, 0.1), 6.0, (2.0, 0.05, 0.05)),
    # Added to every pixel.
    "brightness": Kind((1.0,), 1.0, (0.02,)),
    # The factor about the image's mean is 1 + θ: -1 is flat grey, and below it would be a negative.
    "contrast": Kind((1.0,), 1.0, (0.02,)),
}
