"""How training images are changed: a scheme by name, or a scheme with ranges of one's own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, SerializerFunctionWrapHandler, Tag, model_serializer

from .types import Count, Share, Strict

SCHEMES = ("none", "light", "heavier")
Scheme = Literal["none", "light", "heavier"]


class Augmentation(Strict):
    """What is not given is as the scheme has it; see `pipeline.training.ranges`."""

    scheme: Scheme
    shift: Share | None = None
    crop: Count | None = None
    rotation: Annotated[float, Field(ge=0, le=180)] | None = None
    shear: Share | None = None
    zoom: Share | None = None
    stretch: Share | None = None
    lens: Share | None = None
    elastic: Share | None = None
    brightness: Share | None = None
    contrast: Share | None = None
    color: Share | None = None
    cutout: Count | None = None
    mixup: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_serializer(mode="wrap")
    def _given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As it was written: without the ranges that are the scheme's."""
        return {name: value for name, value in dump(self).items() if value is not None}


def _form(value: Any) -> str:
    return "[ranges]" if isinstance(value, dict | Augmentation) else "[scheme]"


SchemeOrRanges = Annotated[
    Annotated[Scheme, Tag("[scheme]")] | Annotated[Augmentation, Tag("[ranges]")],
    Discriminator(_form),
]
