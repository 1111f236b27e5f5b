"""Our packages, and whether others of the same name hide them. Imports none of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("attacks", "models", "pipeline")


def hidden_packages() -> list[str]:
    """One sentence for each package of ours that another one hides, earlier on Python's path.

    It happens where somebody works in a folder of their own and finds epsball through PYTHONPATH.
    """
    errors = []
    for name in OURS:
        spec = importlib.util.find_spec(name)
        places = list(spec.submodule_search_locations or [spec.origin or ""]) if spec else []
        if [Path(place).resolve() for place in places] != [ROOT / name]:
            errors.append(
                f"{places[0] if places else name}: has the name of a package of epsball, {name!r}, "
                "and hides it; rename it, or run from another folder"
            )
    return errors
