"""Stage `watch`: what users' own models are made of, so that DVC sees it change.

dvc.yaml is the same for every experiment and cannot name files that params.yaml names. So this
stage runs on every `dvc repro`, and writes one small file for each network, which the stage that
takes the network in depends on. Of a network that a recipe trains it holds nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base.store import Place, replace_folder, write_json
from .base.watched import watched

if TYPE_CHECKING:
    from .base.config import Config


def run(place: Place, config: Config) -> None:
    """Write artifacts/watched/<network>.json for each network."""
    with replace_folder(place.watched) as folder:
        for name, entry in config.networks.items():
            write_json(folder / f"{name}.json", watched(entry) if "model" in entry else {})
