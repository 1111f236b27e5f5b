"""Our packages, and others of the same name. Imports none of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
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


def namesakes(folder: Path) -> list[Path]:
    """Packages and modules in a folder of Python's path that have the name of one of ours.

    A folder without Python files, such as one of weights, is none.
    """
    places = [
        place
        for name in OURS
        for place in (folder / name, folder / f"{name}.py")
        if place.is_file() or any(place.glob("*.py"))
    ]
    return [place for place in places if place.resolve() not in {ROOT / name for name in OURS}]
