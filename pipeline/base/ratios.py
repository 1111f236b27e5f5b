"""Attacks that are to climb the difference of logits ratio (DLR) where the classes are too few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What the spread of the logits that the margin is divided by takes (attacks/losses.py).
CLASSES, CLASSES_TARGETED = 3, 4
# Attacks that climb the ratio towards each of their `targets`, unless their loss is the margin.
TARGETED = ("apgd", "apgd_l1")


def stand_ins(attacks: Mapping[str, Mapping[str, Any]], classes: int) -> dict[str, str]:
    """What is told of each attack that climbs the margin in place of the DLR, by its label.

    Args:
        attacks: label to settings and the attack's name, `{"a": {"attack": "pgd", "loss": "dlr"}}`.
        classes: of the network, or as many outputs as it has.
    """
    needed = {label: _classes_needed(settings) for label, settings in attacks.items()}
    return {
        label: f"the DLR needs {least} classes and there are {classes}: the margin stands in"
        for label, least in needed.items()
        if classes < least
    }


def _classes_needed(settings: Mapping[str, Any]) -> int:
    loss = settings.get("loss")
    if settings["attack"] in TARGETED and settings.get("targets") and loss != "margin":
        return CLASSES_TARGETED
    return CLASSES if loss == "dlr" else 0
