"""Attacks on image classifiers, and verdicts that can be checked.

Knows any `nn.Module` that maps images in [0, 1] to logits; needs torch and nothing else.

    from epsball.attacks import ThreatModel, evaluate

    result = evaluate(model, images, labels, ThreatModel("linf", 8 / 255))
    print(result)                # clean and robust accuracy, what broke what
    result.witnesses.x_adv       # the images that broke it

Names are loaded when first used: importing one attack does not import the others.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

# Else MKL rounds a row of a matrix product by where in memory it stands: an image's logits would
# depend on its place in the batch. It costs nothing, and MKL reads it before its first product.
os.environ.setdefault("MKL_CBWR", "AUTO")

_HOME = {
    "ThreatModel": "threat",
    "Transformation": "beyond.transformation",
    "Oracle": "oracle",
    "ModelError": "errors",
    "Result": "result",
    "evaluate": "evaluation",
    "fool": "beyond.fooling",
    "Attacker": "registry",
    "run_suite": "suite",
    "judge": "verdict",
    "Targeted": "views.targeted",
    "Randomized": "views.randomized",
    "Levels": "views.levels",
    "bpda": "views.bpda",
    "fast": "views.fast",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f".{_HOME[name]}", __name__)
    # No module has the name of what it offers: imported, it would take that name's place here.
    globals()[name] = getattr(home, name)
    return globals()[name]
