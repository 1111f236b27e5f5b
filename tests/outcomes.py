"""What each stage leaves on small parameters, as one number that any change of it changes."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from pipeline import attack, data, memorize, noise, train, transfer
from pipeline.base.config import Config, load
from pipeline.base.networks import new_network
from pipeline.base.store import Place, read_json, read_npz
from pipeline.report import loading, tables
from pipeline.report.measures import measures
from pipeline.training.fit import fit
from training import CPU, made_up

ROOT = Path(__file__).parent.parent
TRAIN = made_up(96)
# Nearly all noise, so that the best epoch is not the last.
_HARD = made_up(40, seed=1)
_NOISE = np.random.default_rng(0).integers(0, 256, _HARD.x.shape)
VALIDATION = dataclasses.replace(_HARD, x=(0.25 * _HARD.x + 0.75 * _NOISE).astype(np.uint8))
UNSURE = ("seconds",)  # differ from run to run
PLAIN: dict[str, Any] = {"plain": {}}

HERE: dict[str, list[str | int]] = {"suites": ["linf"], "corruptions": ["labels", 0]}


def small() -> dict[str, Any]:
    """The shipped parameters, cut down until each stage takes a fraction of a second."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["data"]["samples"] = 100
    params["recipe"]["epochs"] = 1
    params["networks"] = PLAIN
    attacks = [{"attack": "fgsm"}, {"attack": "pgd", "steps": 2}]
    params["suites"] = {
        "linf": {"norm": "linf", "eps": [0.15, 0.3], "attacks": attacks},
        "l2": {"norm": "l2", "eps": [0.15, 0.3], "attacks": attacks},
    }
    params["noise"] = {"kinds": ["corners", "uniform"], "draws": 2}
    params["noise"]["eps"] = {"linf": [0.8], "l2": [2.0]}
    params["memorize"] |= {"recipe": {"epochs": 1}, "networks": {"plain": {}}}
    params["memorize"]["corruptions"] = {"labels": [{"kind": "labels", "fraction": 1.0}]}
    params["evaluation"] |= {"samples": 12, "slots": 8, "diagnosis": 8}
    return params


def changed(params: dict[str, Any], edits: dict[str, Any]) -> dict[str, Any]:
    """`params` with other values at these keys."""
    params = copy.deepcopy(params)
    for key, value in edits.items():
        way: list[str | int] = []
        for part in key.split("."):
            way += HERE[str(way[-1])] if part == "*" else [part]
        place: Any = params
        for part in way[:-1]:
            place = place[part]
        place[way[-1]] = value
    if params["memorize"]["corruptions"]["labels"][0]["kind"] != "labels":
        del params["memorize"]["corruptions"]["labels"][0]["fraction"]
    return params


def digest(value: Any) -> str:
    """Of numbers, names and arrays; without what a run measures of itself."""
    found = hashlib.sha256()

    def add(item: Any) -> None:
        if isinstance(item, dict):
            for name in sorted(item):
                if name not in UNSURE:
                    found.update(str(name).encode())
                    add(item[name])
        elif isinstance(item, np.ndarray):
            found.update(f"{item.dtype.str}{item.shape}".encode() + item.tobytes())
        elif isinstance(item, list | tuple):
            for part in item:
                add(part)
        else:
            found.update(repr(item).encode())

    add(value)
    return found.hexdigest()


class Outcomes:
    """What each stage leaves, for any parameters; data and weights are those of `small`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[str, str] = {}
        self.grid: dict[str, Any] = {}
        for number, root in enumerate(("one", "two")):
            write_images(folder / root, seed=number)
        config, place = self.read(small())
        data.run(place, config)
        train.run(place, config, "plain")

    def read(self, params: dict[str, Any]) -> tuple[Config, Place]:
        path = self.folder / "params.yaml"
        if params["data"]["root"]:
            params = changed(params, {"data.root": str(self.folder / params["data"]["root"])})
        path.write_text(yaml.safe_dump(params))
        return load(path), Place.of(path)

    def of(self, outcome: str, params: dict[str, Any]) -> str:
        key = json.dumps([outcome, params], sort_keys=True)
        if key not in self.known:
            config, place = self.read(params)
            self.known[key] = digest(getattr(self, outcome)(config, place))
        return self.known[key]

    def split(self, config: Config, place: Place) -> Any:
        source = data.load_source(config.data.name, config.data.root)
        asked = config.data.model_dump(exclude={"name", "root"})
        return {part: [found.x, found.y] for part, found in data.split(source, **asked).items()}

    def training(self, config: Config, place: Place) -> Any:
        # Not what is recorded of the recipe: that would differ though nothing read the key.
        recipe = config.recipe_of("plain")
        model, _ = new_network(recipe, TRAIN, "k")
        fitted = fit(model, TRAIN, VALIDATION, recipe, device=CPU, name="test", keys="k")
        weights = [tensor.numpy() for tensor in model.state_dict().values()]
        return fitted.history, fitted.selected_epoch, weights

    def verdicts(self, config: Config, place: Place) -> Any:
        attack.run(place, config, "plain", "linf")
        return [read_npz(path) for path in sorted(place.attack("plain", "linf").glob("*.npz"))]

    def cost(self, config: Config, place: Place) -> Any:
        attack.run(place, config, "plain", "linf")
        return read_json(place.attack("plain", "linf") / "run.json")

    def noise(self, config: Config, place: Place) -> Any:
        noise.run(place, config, "plain", "linf")
        return read_npz(place.noise("plain", "linf") / "verdicts.npz")

    def memorized(self, config: Config, place: Place) -> Any:
        memorize.run(place, config, "plain")
        return read_json(place.memorize("plain"))["runs"]

    def metrics(self, config: Config, place: Place) -> Any:
        grid = config.model_dump(exclude={"headline"})
        if grid != self.grid:  # the report alone reads which number is the headline
            for network in config.networks:
                if not place.network(network).exists():
                    train.run(place, config, network)
                for suite in config.suites:
                    attack.run(place, config, network, suite)
                    noise.run(place, config, network, suite)
            transfer.run(place, config)
            for network in config.memorize.networks:
                memorize.run(place, config, network)
            self.grid = grid
        loaded = loading.load(place, config)
        head = config.headline
        return tables.metrics(loaded, measures(loaded), head.suite, head.eps), loaded.memorize


def write_images(folder: Path, seed: int) -> None:
    """A folder of two classes of 8x8 images."""
    draw = np.random.default_rng(seed)
    for number in range(24):
        path = folder / ("test", "train")[number % 2] / "ab"[number // 2 % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
