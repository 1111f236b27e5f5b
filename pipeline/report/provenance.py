"""How it was measured: settings, cost, machines, and the hashes of what was read."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import yaml

from ..base.seeds import parts
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
NETWORK_HEAD = [
    "network", "architecture", "settings", "parameters", "weights",
    "activations kept per image", "multiply-accumulates per image",
]  # fmt: skip
RECIPE_HEAD = [
    "network", "architecture", "epochs", "augmentation", "weight decay", "dropout",
    "adversarial training", "seeds", "epoch kept", "seconds",
]  # fmt: skip


def networks(results: Results) -> Table:
    """What each network is, and what it takes: numbers, memory, operations."""
    rows = []
    for name, info in results.training.items():
        recipe, cost = info["recipe"], info["cost"]
        own = info.get("own", {})
        settings = recipe.get("settings", own.get("args", {}))
        rows.append(
            [
                name,
                str(recipe.get("architecture", own.get("model", ""))),
                ", ".join(f"{key} {value}" for key, value in settings.items()) or "–",
                wording.thousands(cost["parameters"])
                + (
                    f", {wording.thousands(cost['trained'])} trained"
                    if recipe.get("frozen")
                    else ""
                ),
                wording.scaled(cost["weight_bytes"], "B"),
                wording.scaled(cost["activation_bytes"], "B"),
                # Of a model of the user's own, what is not a layer of torch's is not counted.
                ("≥ " if own else "") + wording.scaled(cost["macs"]),
            ]
        )
    return plain(NETWORK_HEAD, rows)


def recipes(results: Results) -> Table:
    """What each network was trained with."""
    rows = []
    for name, info in results.trained.items():
        recipe = info["recipe"]
        against = recipe.get("adversarial")
        rows.append(
            [
                name,
                str(recipe.get("architecture", "")),
                str(recipe.get("epochs", "")),
                wording.augmentation(recipe),
                f"{recipe.get('weight_decay', 0):g}",
                f"{recipe.get('dropout', 0):g}",
                _against(against) if against else "no",
                ", ".join(map(str, results.seeds[name])),
                str(info["selected_epoch"]),
                f"{info['seconds']:.1f}",
            ]
        )
    return plain(RECIPE_HEAD, rows)


def _against(adversarial: dict[str, Any]) -> str:
    """`PGD, L∞ 0.15, 7 steps`."""
    method, eps = adversarial.get("method", "pgd").upper(), f"{adversarial['eps']:.4g}"
    steps = f", {adversarial['steps']} steps" if adversarial.get("steps") else ""
    return f"{method}, {wording.norm(adversarial['norm'])} {eps}{steps}"


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
                "rules": _rules(runs),
                "costs": plain(COST_HEAD, [_cost(run) for run in runs]),
            }
        )
    return told


def _rules(runs: Sequence[Cell]) -> list[str]:
    """What a verdict of these runs asked for, beyond the rule for all."""
    rules = []
    levels = runs[0].run.get("levels")
    if levels:
        rules.append(f"perturbed images have {levels} levels per pixel (noise: any value)")
    drawn = {cell.network: cell.run["draws"] for cell in runs if cell.run.get("draws")}
    for draws in sorted(set(drawn.values())):
        named = ", ".join(network for network in drawn if drawn[network] == draws)
        rules.append(f"each verdict is the majority over {draws} random draws ({named})")
    return rules


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


def seeds(results: Results, config: Config) -> str:
    """Every seed that the numbers follow from: `training 0, evaluation 0, ...`."""
    training = sorted({seed for name in results.trained for seed in results.seeds[name]})
    told = {
        "split of the data": config.data.seed,
        **({"training": ", ".join(map(str, training))} if training else {}),
        "attacks and noise": config.evaluation.seed,
        **({"memorizing": config.memorize.seed} if results.memorize else {}),
    }
    return "; ".join(f"{what} {seed}" for what, seed in told.items())


def commit(place: Place) -> str | None:
    """The commit that was checked out; None outside of a git repository."""
    if not shutil.which("git"):
        return None
    asked = ["git", "rev-parse", "HEAD"]
    told = subprocess.run(asked, cwd=place.folder, capture_output=True, text=True)
    return told.stdout.strip() if told.returncode == 0 else None


def locked(place: Place) -> Table | None:
    """What dvc.lock says the stages before the report made; None where there is no such file.

    Its own hash would not do: it names the last report too.
    """
    path = place.folder / "dvc.lock"
    if not path.exists():
        return None
    stages = yaml.safe_load(path.read_text()).get("stages", {})
    return plain(
        ["stage", "output", "MD5"],
        [
            [stage, str(out["path"]), str(out.get("md5", ""))]
            for stage, entry in sorted(stages.items())
            if stage not in ("report", "track")
            for out in entry.get("outs", [])
        ],
    )


def files(place: Place, results: Results) -> Table:
    """The hash of every file of verdicts: the same hashes, the same report."""
    paths = [place.data]
    for network, suite in results.cells:
        for part in parts(results.seeds[network]).values():
            folders = [at(network, suite) / part for at in (place.attack, place.noise)]
            paths += [folder / "verdicts.npz" for folder in folders]
    rows = [
        [path.relative_to(place.folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in paths
    ]
    return plain(["file", "SHA-256"], rows)
