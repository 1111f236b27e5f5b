"""A model of the user's own, written where a network that was trained here would lie."""

from __future__ import annotations

from typing import Any

import torch

from models.cost import cost

from .device import describe
from .networks import load_network, save_described
from .own import own_network
from .seeds import write_trained
from .splits import load_split
from .store import Place, replace_folder, write_json
from .versions import versions
from .watched import watched


def take_in(place: Place, entry: dict[str, Any], network: str) -> None:
    """Write a user's own model as if it had been trained here, with the hashes of its files.

    Raises:
        UserError: if it cannot be built, given its weights, or asked about these images.
    """
    from .config.own import own_of

    own = own_of(entry)
    assert own is not None
    test = load_split(place, "test")
    files = watched(entry)
    described = own_network(own, test.classes, test.shape, f"networks.{network}")
    with replace_folder(place.network(network)) as folder:
        # The hashes make it another file where only code has changed.
        save_described(folder / "network.pt", {**described, "files": files})
        model, about = load_network(folder / "network.pt")
        write_json(
            folder / "training.json",
            {
                "network": network,
                "own": own.model_dump(mode="json", exclude={"claimed"}) | {"files": files},
                "history": [],
                "selected_epoch": None,
                "clean_acc_validation": None,
                "parameters": about["parameters"],
                "cost": cost(model, test.shape),
                "seconds": 0.0,
                "device": describe(torch.device("cpu")),
                "versions": versions(),
                "recipe": {},
            },
        )
        write_trained(folder, [0])  # it came with one training, of whatever seed
    print(f"{network}: {own.model}, {about['parameters']} parameters, taken as it is")
