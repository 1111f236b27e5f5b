"""How it was measured: settings, cost, machines, and the hashes of what was read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.store import Place
from . import wording
from .results import Cell, Results
from .table import Table, plain

if TYPE_CHECKING:
    from ..base.config import Config

COST_HEAD = [
    "network", "forward passes (images)", "backward passes (images)", "seconds",
    "noise: forward passes", "noise: seconds",
]  # fmt: skip
RECIPE_HEAD = [
    "network", "architecture", "parameters", "epochs", "augmentation", "weight decay", "dropout",
    "adversarial training", "epoch kept", "seconds",
]  # fmt: skip


def recipes(results: Results) -> Table:
    """What each network was trained with."""
    rows = []
    for name, info in results.training.items():
        recipe = info["recipe"]
        against = recipe.get("adversarial")
        rows.append(
            [
                name,
                str(recipe.get("architecture", "")),
                wording.thousands(info["parameters"]),
                str(recipe.get("epochs", "")),
                str(recipe.get("augmentation", "none")),
                f"{recipe.get('weight_decay', 0):g}",
                f"{recipe.get('dropout', 0):g}",
                f"{wording.norm(against['norm'])} {against['eps']:.4g}, {against['steps']} steps"
                if against
                else "no",
                str(info["selected_epoch"]),
                f"{info['seconds']:.1f}",
            ]
        )
    return plain(RECIPE_HEAD, rows)


def measured(results: Results, config: Config) -> list[dict[str, Any]]:
    """Attacks, grids, passes and seconds of every suite, from the run files."""
    told = []
    for name, suite in config.suites.items():
        runs = [cell for (_, s), cell in results.cells.items() if s == name]
        cell = runs[0]
        told.append(
            {
                "title": wording.suite(name, suite.norm),
                "eps": ", ".join(wording.grid_eps(eps) for eps in cell.attack.eps),
                "noise_eps": ", ".join(wording.grid_eps(eps) for eps in cell.noise.eps),
                "attacks": _attacks(cell),
                "noise": [wording.noise(kind) for kind in cell.noise.attacks],
                "seed": cell.run["seed"],
                "slots": cell.run["slots"],
                "costs": plain(COST_HEAD, [_cost(run) for run in runs]),
            }
        )
    return told


def _cost(cell: Cell) -> list[str]:
    return [
        cell.network,
        wording.thousands(cell.run["forwards"]),
        wording.thousands(cell.run["backwards"]),
        f"{cell.run['seconds']:.1f}",
        wording.thousands(cell.noise_run["forwards"]),
        f"{cell.noise_run['seconds']:.1f}",
    ]


def _attacks(cell: Cell) -> list[tuple[str, str]]:
    """(name, settings in words) for each attack, in the order in which they ran."""
    told = []
    for name in cell.attack.attacks:
        settings = {k: v for k, v in cell.run["attacks"][name].items() if v != name}
        told.append((name, ", ".join(f"{key} {value}" for key, value in settings.items())))
    return told


def machine(results: Results) -> dict[str, Any]:
    """Devices and versions as the run files have them; several where stages ran on several."""
    runs = [cell.run for cell in results.cells.values()] + list(results.training.values())
    devices = {", ".join(f"{k} {v}" for k, v in sorted(r["device"].items())) for r in runs}
    versions = {", ".join(f"{k} {v}" for k, v in sorted(r["versions"].items())) for r in runs}
    return {"devices": sorted(devices), "versions": sorted(versions)}


def files(place: Place, results: Results) -> Table:
    """The hash of every file of verdicts: the same hashes, the same report."""
    paths = [place.data]
    for network, suite in results.cells:
        paths += [at(network, suite) / "verdicts.npz" for at in (place.attack, place.noise)]
    rows = [
        [path.relative_to(place.folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in paths
    ]
    return plain(["file", "SHA-256"], rows)


RECHECK = """\
import numpy as np, torch
from models import build

artifacts = "{artifacts}"
saved = torch.load(f"{{artifacts}}/networks/{network}/network.pt", weights_only=True)
model = build(saved["architecture"], shape=saved["shape"], classes=saved["classes"],
              **saved["settings"]).eval()
model.load_state_dict(saved["state"])
data = np.load(f"{{artifacts}}/data.npz")
stored = np.load(f"{{artifacts}}/attack/{network}/{suite}/witnesses.npz")
row = {{index: n for n, index in enumerate(data["index_test"])}}
x = data["x_test"][[row[index] for index in stored["index"]]]
x = torch.tensor(x).float() / int(data["levels"])
x_adv, y = torch.tensor(stored["x_adv"]), torch.tensor(stored["label"])
size = (x_adv - x).flatten(1).norm(dim=1, p={p})
assert x_adv.min() >= 0 and x_adv.max() <= 1
assert (size <= torch.tensor(stored["eps"]) + 1e-6).all()
assert (model(x_adv).argmax(dim=1) != y).all()
print(len(y), "witnesses hold")
"""


def recheck(place: Place, network: str, suite: str, norm: str) -> str:
    """Plain PyTorch that judges every witness of one cell again, from the repository's root."""
    p = {"linf": 'float("inf")', "l2": "2", "l1": "1"}[norm]
    # Stages run in the repository's root. A path of this machine would be wrong on any other, so an
    # experiment outside of the root is named from its own folder.
    inside = place.artifacts.absolute().is_relative_to(Path.cwd())
    folder = place.artifacts.absolute().relative_to(
        Path.cwd() if inside else place.folder.absolute()
    )
    return RECHECK.format(artifacts=folder.as_posix(), network=network, suite=suite, p=p)
