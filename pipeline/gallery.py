"""Pictures for the report: broken images beside noise of their size, and fooling images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from attacks import keyed
from attacks.beyond.fooling import fool
from attacks.geometry import threat_of
from attacks.registry import NOISE, load
from attacks.verdict import read_as

from .judging.images import Images
from .judging.measure import Measured

SHOWN = 12
FOOLED = 4  # classes; each from noise and from a blank
STARTS = ("noise", "blank")
CONFIDENCE = 0.99


def broken_examples(
    images: Images, measured: Measured, norm: str, seed: int
) -> dict[str, np.ndarray]:
    """A few broken examples beside random noise of the same size: one of each label, then more.

    The noise is the largest that the attack's distance allows: a corner of the cube in L-infinity,
    a point of the sphere elsewhere. Of a transformation it is a random one that is not larger.
    """
    found = measured.witnesses
    order = _one_of_each(found["label"])
    rows = [images.position[int(found["index"][place])] for place in order]
    x, y, keys = images.x[rows], images.y[rows], images.keys[rows]
    x_adv = torch.from_numpy(found["x_adv"][order]).to(x)
    kind = next(name for name in ("corners", "surface", "random") if norm in NOISE[name].norms)
    size = torch.from_numpy(found["distance"][order]).to(x)
    threat = threat_of(norm, size, x)
    drawn = load(NOISE[kind])(images.oracle, x, y, threat, keys=keys, seed=seed)
    noise = threat.image(drawn, x)
    columns: dict[str, np.ndarray] = {}
    for name, shown in (("clean", x), ("noise", noise), ("adv", x_adv)):
        logits = images.oracle.judged(shown, keys) if rows else torch.zeros(0, 2)
        prediction, confidence = read_as(logits)
        columns[f"{name}_pred"] = _array(prediction)
        columns[f"{name}_confidence"] = _array(confidence)
    return columns | {
        "index": found["index"][order],
        "label": found["label"][order],
        "eps": found["eps"][order],
        "distance": found["distance"][order],
        "noise_distance": _array(threat.distance(drawn, x)),
        "x": _array(x),
        "noise": _array(noise),
        "x_adv": _array(x_adv),
    }


def fooling_images(images: Images, classes: int, seed: int) -> dict[str, np.ndarray]:
    """Images that show nothing and are read as keyed classes, from noise and from a blank."""
    every = torch.arange(classes, device=images.device)
    rank = keyed.stream(every, seed, "fooling classes").argsort(stable=True)
    target = every[rank[:FOOLED]].sort().values
    shape = images.x.shape[1:]
    parts = [
        fool(
            images.oracle,
            target,
            start=start,
            shape=shape,
            confidence=CONFIDENCE,
            keys=target,
            seed=seed,
        )
        for start in STARTS
    ]
    return {
        "asked": np.array(CONFIDENCE),
        "start": np.repeat(np.array(STARTS), len(target)),
        "target": np.tile(_array(target), len(STARTS)),
        **{name: np.concatenate([_array(getattr(part, name)) for part in parts])
           for name in ("x", "prediction", "confidence", "reached")},
    }  # fmt: skip


def _one_of_each(labels: np.ndarray) -> list[int]:
    """Places of at most SHOWN examples, in order: the first of each label, then the second."""
    seen: dict[int, int] = {}
    turns = []
    for label in labels.tolist():
        turns.append(seen.get(label, 0))
        seen[label] = turns[-1] + 1
    return sorted(np.argsort(turns, kind="stable")[:SHOWN].tolist())


def _array(values: Tensor) -> np.ndarray:
    found: np.ndarray = values.cpu().numpy()
    return found
