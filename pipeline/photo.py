"""`python -m pipeline look --image photo.jpg --to broccoli`: one photo, another class.

torchvision's ResNet-18, trained on ImageNet, and a change that nobody sees (Szegedy et al. 2014,
arXiv:1312.6199).
"""

from __future__ import annotations

import difflib
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attacks.oracle import Oracle
from attacks.registry import resolve
from attacks.suite import run_suite
from attacks.views.levels import Levels
from attacks.views.targeted import Targeted
from models.front import fronted

from .base.device import choose_device
from .base.download import downloaded
from .base.errors import UserError
from .base.raw import budget
from .base.store import write_bytes
from .base.weights import give_weights
from .report.images import magnified, png
from .sources.given import sized
from .sources.image_folder import check_depth

GRID = tuple(steps / 255 for steps in (1, 2, 4, 8, 16))
"""The ε that are tried, from large to small: whole grey levels, as a file has them."""
SURE = 0.99
ATTACKS: list[dict[str, Any]] = [{"attack": "pgd", "steps": 100, "restarts": 2}]
SHOWN = 3


@dataclass(frozen=True)
class Photo:
    """A photo and what it was made into; images are float (1, 3, H, W), whole grey levels.

    `read` has for each the likeliest classes with their probabilities, the first of all first.
    """

    original: Tensor
    changed: Tensor
    eps: float
    read: tuple[list[tuple[str, float]], list[tuple[str, float]]]

    def sentences(self) -> str:
        (before, sure), (after, surely) = (each[0] for each in self.read)
        return (
            f"ResNet-18 takes the photo for {before} ({_percent(sure)} sure). With no pixel moved "
            f"by more than {self.eps * 255:.0f}/255 it says {after} ({_percent(surely)} sure)."
        )


class Sure(nn.Module):
    """The problem "is it the class, with at least this probability": (N, 2) logits, of which the
    second leads where it is."""

    def __init__(self, network: nn.Module, target: int, confidence: float) -> None:
        super().__init__()
        self.network = network
        self.target = target
        self.ahead = math.log(confidence / (1 - confidence))

    def forward(self, x: Tensor) -> Tensor:
        logits = self.network(x)
        others = torch.cat([logits[:, : self.target], logits[:, self.target + 1 :]], dim=1)
        return torch.stack([others.logsumexp(dim=1) + self.ahead, logits[:, self.target]], dim=1)


def look_at(image: str, to: str, weights: str | None, eps: str | None, out: str) -> None:
    """Make the photo into the class, write the picture and the changed photo, say what was found.

    Raises:
        UserError: for a photo, a class or weights that cannot be had, or if the class is not
            reached.
    """
    grid = GRID if eps is None else (_budget(eps),)
    if not Path(image).is_file():
        raise UserError(f"--image: {image}: no such file")
    from torchvision.models import ResNet18_Weights, resnet18

    trained = ResNet18_Weights.IMAGENET1K_V1
    classes: list[str] = trained.meta["categories"]
    target = _class(to, classes)
    way = trained.transforms()
    x = _read(image, way.resize_size[0], way.crop_size[0])
    network = resnet18()
    file = Path(weights) if weights is not None else _downloaded(trained.url)
    give_weights(network, file, "--weights")
    model = fronted(network.eval(), (x.shape[2], x.shape[3]), mean=way.mean, std=way.std)
    print(f"Looking for {classes[target]} in {image} ...", flush=True)
    found = turn(model, x, target, classes, grid)
    made = Path(out).with_name(f"{Path(out).stem}-{_slug(classes[target])}.png")
    write_bytes(made, png(found.changed[0].numpy()))
    write_bytes(Path(out), picture(found))
    print(f"{found.sentences()}\nPicture: {out}; the changed photo alone: {made}")


def _downloaded(url: str) -> Path:
    name = url.rpartition("/")[2]
    return downloaded(
        url,
        "the weights of ResNet-18",
        f"name the file: make look IMAGE=... TO=... WEIGHTS={name} (or --weights {name})",
    )


def turn(
    model: nn.Module, x: Tensor, target: int, classes: list[str], grid: tuple[float, ...]
) -> Photo:
    """The photo with the smallest change of the grid that makes the model sure of the class, or
    where none does, that makes it name the class first.

    Args:
        model: images (1, 3, H, W) in [0, 1] to logits (1, K).
        x: the photo, in whole grey levels.
        target: a class of `classes`.
        grid: rising budgets in L-infinity.

    Raises:
        UserError: if it is that class already, or is not reached within the largest budget.
    """
    device = choose_device()
    model, x = model.to(device), x.to(device)
    plain = Oracle(model, slots=1)
    keys = torch.zeros(1, dtype=torch.int64, device=device)
    before = _likeliest(plain.judged(x, keys), classes)
    if before[0][0] == classes[target]:
        raise UserError(f"--to: the network takes the photo for {before[0][0]} already")
    sure = Levels(Oracle(Sure(model, target, SURE), slots=1), 256)
    first = Targeted(Levels(plain, 256), keys, keys + target)
    for oracle in (sure, first):
        zeros = torch.zeros_like(keys)
        found = run_suite(oracle, x, zeros, "linf", grid, resolve(ATTACKS, "linf"))
        if len(found.witnesses.index):
            break
    else:
        raise UserError(
            f"--eps: within {grid[-1] * 255:g}/255 the network was not made to read "
            f"{classes[target]}; allow more"
        )
    witnesses = found.witnesses
    changed = witnesses.x_adv
    after = _likeliest(plain.judged(changed.to(device), keys), classes)
    return Photo(x.cpu(), changed, float(witnesses.eps[0]), (before, after))


def _likeliest(logits: Tensor, classes: list[str]) -> list[tuple[str, float]]:
    top = logits.softmax(dim=1)[0].topk(SHOWN)
    return [(classes[i], p) for i, p in zip(top.indices.tolist(), top.values.tolist(), strict=True)]


def _class(name: str, classes: list[str]) -> int:
    lower = [each.lower() for each in classes]
    if name.lower() in lower:
        return lower.index(name.lower())
    near = difflib.get_close_matches(name.lower(), lower, n=5, cutoff=0.5)
    near += [each for each in lower if name.lower() in each and each not in near][:5]
    hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
    raise UserError(f"--to: ImageNet has no class {name!r}{hint}")


def _read(image: str, resize: int, crop: int) -> Tensor:
    from PIL import Image, ImageOps

    try:
        with Image.open(image) as photo:
            check_depth(photo.mode, f"--image: {image}")
            upright = ImageOps.exif_transpose(photo).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"--image: {image}: cannot be read as an image ({error})") from error
    pixels = sized(np.asarray(upright).transpose(2, 0, 1), resize, crop, f"--image: {image}")
    return torch.tensor(pixels)[None].float().div(255)


def _budget(eps: str) -> float:
    try:
        value = float(budget(eps))
    except ValueError as error:
        raise UserError(f"--eps: {error}, got {eps!r}") from None
    if not 0 < value <= 1 or abs(value * 255 - round(value * 255)) > 1e-3:
        raise UserError(f"--eps: must be whole grey levels, 1/255 to 255/255, got {eps!r}")
    return round(value * 255) / 255


def picture(found: Photo) -> bytes:
    """A PNG: the photo, the change magnified to full contrast, the changed photo."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    change, factor = magnified((found.changed - found.original)[0].numpy())
    figure = Figure(figsize=(11, 5), layout="constrained")
    for axis, image, title, below in zip(
        figure.subplots(1, 3),
        (found.original[0].numpy(), change, found.changed[0].numpy()),
        ("the photo", f"the change, {factor:.0f} times", "the changed photo"),
        (_lines(found.read[0]), f"no pixel moves by\nmore than {found.eps * 255:.0f}/255",
         _lines(found.read[1])),
        strict=True,
    ):  # fmt: skip
        axis.imshow(image.transpose(1, 2, 0), interpolation="nearest")
        axis.set_title(title)
        axis.set_xlabel(below)
        axis.set_xticks([])
        axis.set_yticks([])
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _lines(read: list[tuple[str, float]]) -> str:
    return "\n".join(f"{name} {_percent(share)}" for name, share in read)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower())
