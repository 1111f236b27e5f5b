"""Which threat a norm's name means: a ball around the image, or a transformation of it.

Both say what an attack's answer is (`unchanged`), the image that it stands for (`image`) and how
large it is (`distance`); who asks need not know which it is.
"""

from __future__ import annotations

from torch import Tensor

from .beyond.kinds import KINDS
from .beyond.transformation import Transformation
from .threat import ThreatModel, column

Threat = ThreatModel | Transformation


def threat_of(norm: str, eps: float | Tensor, x: Tensor) -> Threat:
    """The threat called `norm` on the images `x`, with one budget or one for each of them (N,)."""
    if norm in KINDS:
        return Transformation(norm, eps[:, None].to(x.dtype) if isinstance(eps, Tensor) else eps)
    return ThreatModel(norm, column(eps.to(x.dtype), x) if isinstance(eps, Tensor) else eps)
