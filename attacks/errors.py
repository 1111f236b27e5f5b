"""What the library refuses, told in the caller's terms."""

from __future__ import annotations


class ModelError(ValueError):
    """The model cannot be judged: probabilities instead of logits, NaN, or a wrong shape."""


class ThreatError(ValueError):
    """A threat model that means nothing: an unknown norm, a negative budget."""


class UnknownAttackError(ValueError):
    """An attack, ensemble or setting that does not exist, or one that cannot do the norm."""
