"""`python -m pipeline look`: the first insight, in one picture, within half a minute."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from attacks.fixed.pgd import pgd
from attacks.losses import is_broken
from attacks.noise import corners
from attacks.oracle import Oracle
from attacks.precision import ieee
from attacks.threat import ThreatModel

from .base.errors import UserError
from .base.networks import new_network
from .base.splits import Split
from .base.store import write_bytes
from .data import load_source, split
from .training.fit import fit
from .training.images import Images

if TYPE_CHECKING:
    from .base.config import Recipe

GRID = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
"""The ε that are tried, from small to large."""
STEPS = 40
DEVICE = torch.device("cpu")
"""A network this small is trained before a GPU has started up."""


@dataclass(frozen=True)
class View:
    """One image and what two perturbations of the same size do to it; tensors are (1, C, H, W)."""

    index: int
    eps: float
    images: dict[str, Tensor]
    """original, noise, attack"""
    predictions: dict[str, tuple[str, float]]
    """class and confidence of each"""
    right: int
    """test images that are classified rightly, and of these at this ε:"""
    broken_by_noise: int
    broken_by_attack: int

    def sentences(self) -> str:
        """What was found, in words."""
        (is_now, sure), (noisy, noisy_sure), (attacked, attacked_sure) = (
            self.predictions[name] for name in ("original", "noise", "attack")
        )
        verb = "still" if noisy == is_now else "now"
        return (
            f"The network takes test image {self.index} for {is_now} ({sure:.0%} sure). With noise "
            f"that moves every pixel by {self.eps:g} it {verb} says {noisy} ({noisy_sure:.0%}); "
            f"with an attack that moves no pixel further it says {attacked} ({attacked_sure:.0%})."
            f"\nOf {self.right} test images that it classifies rightly, noise of this size breaks "
            f"{self.broken_by_noise}, the attack {self.broken_by_attack}."
        )


def look(out: str | Path) -> None:
    """Train a small network on digits, break an image, write the picture, print what it shows."""
    began = time.monotonic()
    print("Training one small network on 8x8 digits ...", flush=True)
    found = view()
    write_bytes(Path(out), picture(found))
    print(f"{found.sentences()}\nPicture: {out} (took {time.monotonic() - began:.0f} s)")


def view(seed: int = 0) -> View:
    """The first test image that is classified rightly and can be broken, at its smallest ε.

    UserError if no ε of the grid breaks any image.
    """
    source = load_source("digits", None)
    splits = split(source, seed=seed, validation=0.1, test=0.2, samples=None)
    recipe = _recipe(seed)
    model, _ = new_network(recipe, splits["train"], "look")
    fit(
        model,
        splits["train"],
        splits["validation"],
        recipe,
        device=DEVICE,
        name="train",
        keys="look",
    )
    return _search(model, splits["test"], seed)


def _search(model: nn.Module, test: Split, seed: int) -> View:
    oracle = Oracle.of(model)
    x, y = Images(test, DEVICE).batch(slice(None))
    keys = torch.from_numpy(test.index)
    with ieee():
        rightly = model(x).argmax(1) == y
        x, y, keys = x[rightly], y[rightly], keys[rightly]
        attacks = {
            eps: pgd(oracle, x, y, ThreatModel("linf", eps), keys=keys, steps=STEPS, seed=seed)
            for eps in GRID
        }
        broken = {eps: is_broken(model(attacked), y) for eps, attacked in attacks.items()}
        if not broken[GRID[-1]].any():
            raise UserError(f"look: the attack broke none of {len(x)} images up to ε = {GRID[-1]}")
        row = int(broken[GRID[-1]].nonzero()[0])
        eps = next(eps for eps in GRID if broken[eps][row])
        attacked = attacks[eps]
        noisy = corners(oracle, x, y, ThreatModel("linf", eps), keys=keys, seed=seed)
        images = {
            name: batch[row : row + 1]
            for name, batch in (("original", x), ("noise", noisy), ("attack", attacked))
        }
        predictions = {}
        for name, image in images.items():
            confidence, label = model(image).detach().softmax(1)[0].max(0)
            predictions[name] = (test.classes[int(label)], float(confidence))
        by_noise = int(is_broken(model(noisy), y).sum())
    by_attack = int(broken[eps].sum())
    return View(int(keys[row]), eps, images, predictions, len(x), by_noise, by_attack)


def _recipe(seed: int) -> Recipe:
    from .base.config import Recipe

    return Recipe(
        architecture="small_cnn",
        settings={},
        initialization="default",
        weights=None,
        frozen=False,
        samples=None,
        epochs=15,
        batch_size=32,
        compile=False,
        optimizer="sgd",
        lr=0.1,
        momentum=0.9,
        nesterov=True,
        schedule="one_cycle",
        warm_up=None,
        lr_decay=None,
        lr_milestones=None,
        loss="cross_entropy",
        weight_decay=0.0,
        l1_penalty=0.0,
        dropout=0.0,
        label_smoothing=0.0,
        augmentation="none",
        flip=False,
        adversarial=None,
        select="last",
        patience=None,
        seeds=[seed],
    )


def picture(found: View) -> bytes:
    """A PNG: the three images, and below the two perturbations, magnified to full contrast."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.4), layout="constrained")
    axes = figure.subplots(2, 3)
    titles = {
        "original": f"test image {found.index}",
        "noise": f"noise, pixels ±{found.eps:g}",
        "attack": f"attack, pixels within ±{found.eps:g}",
    }
    for column, (name, image) in enumerate(found.images.items()):
        label, confidence = found.predictions[name]
        top, bottom = axes[:, column]
        top.imshow(_pixels(image), cmap="gray", vmin=0, vmax=1)
        top.set_title(f"{titles[name]}\nsays {label}, {confidence:.0%} sure")
        if name == "original":
            bottom.set_axis_off()
        else:
            change = _pixels(image - found.images["original"]) / (2 * found.eps) + 0.5
            bottom.imshow(change, cmap="gray", vmin=0, vmax=1)
            bottom.set_title(f"added, {1 / (2 * found.eps):.2g} times magnified")
        for axis in (top, bottom):
            axis.set_xticks([])
            axis.set_yticks([])
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _pixels(image: Tensor) -> np.ndarray:
    """(1, C, H, W) as matplotlib wants it: (H, W) or (H, W, 3)."""
    pixels: np.ndarray = image[0].permute(1, 2, 0).numpy()
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels
