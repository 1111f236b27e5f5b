"""Stage `watch`: what users' own models and given weights are, so that DVC sees them change.

dvc.yaml is the same for every experiment and cannot name files that params.yaml names. So this
stage runs on every `dvc repro`, and writes one small file for each network, those of `memorize`
too, which the stage that takes in or trains the network depends on. Of a network that a recipe
trains from the start it holds nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base.store import Place, replace_folder, write_json
from .base.watched import started_from, watched

if TYPE_CHECKING:
    from .base.config import Config


def run(place: Place, config: Config) -> None:
    """Write artifacts/watched/<network>.json for each network, and memorize/<network>.json."""
    with replace_folder(place.watched) as folder:
        for name, entry in config.networks.items():
            files = watched(entry) if "model" in entry else started_from(config.recipe_of(name))
            write_json(folder / f"{name}.json", files)
        for name in config.memorize.networks:
            files = started_from(config.memorizing(name))
            write_json(folder / "memorize" / f"{name}.json", files)
