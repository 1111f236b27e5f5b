"""`python -m pipeline check`: is a model as robust as is required? One report, one exit code.

It needs neither DVC nor params.yaml: the options become a configuration in memory, and the stages
that a network of params.yaml passes through run one after the other, in a new folder.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from attacks.check import check_model
from attacks.errors import ModelError

from . import attack, noise, report, transfer
from .base.errors import UserError, told
from .base.store import Place, read_json, write_json, write_npz
from .base.taken import take_in
from .base.watched import watched
from .data import checksum
from .judging.images import load_images, subset
from .report import loading, wording
from .report.measures import measure
from .report.own import NOT_REFUTED, REFUTED, UNDECIDED, judge
from .sources.given import Given, read_given

if TYPE_CHECKING:
    from .base.config import Config
    from .base.config.asked import Asked

EXIT = {NOT_REFUTED: 0, REFUTED: 1, UNDECIDED: 3}


def run(question: Asked, eps: str) -> int:
    """Check a model and write the report; `eps` is the budget as it was written.

    Returns:
        0: the requirement is not refuted (or there is none), 1: it is, 3: the interval spans it.

    Raises:
        UserError: for images that cannot be read, or a model that cannot be judged; a new folder
            is not left behind then.
    """
    place = Place(Path(question.out))
    given = read_given(
        question.data,
        partial(_subset, question),
        outputs=question.classes,
        channels=len(question.normalize.mean) if question.normalize else None,
        resize=question.resize,
        crop=question.crop,
    )
    if given.rounded > 1e-4:
        print(f"images were rounded to 8 bits a channel, by up to {given.rounded:.2g}")
    # What reaches the model was resized and cut; in its own folder it is not done again.
    taken = question.model_copy(update={"resize": None, "crop": None, "classes": given.outputs})
    config = taken.config(int(np.prod(given.x.shape[1:])), len(given.y))
    _prepare(place, question, config, given)
    network, suite = question.name, question.norm
    for stage, folder in ((attack, place.attack), (noise, place.noise)):
        if not folder(network, suite).exists():  # written whole, by a check that was interrupted
            stage.run(place, config, network, suite)
    transfer.run(place, config)  # of nobody: the report looks there
    report.run(place, config)
    return _verdict(place, config, question, eps)


def _subset(question: Asked, index: np.ndarray) -> np.ndarray:
    if question.samples is not None and question.samples > len(index):
        raise UserError(f"--samples: {question.samples} asked, but there are {len(index)} images")
    return subset(index, question.samples, question.seed)


def _prepare(place: Place, question: Asked, config: Config, given: Given) -> None:
    """The folder with data and model; an unfinished check of the same question goes on in it.

    Raises:
        UserError: if the folder holds anything else, or the model cannot be judged; a new folder
            is not left behind then.
    """
    arrays = {
        "x_test": given.x, "y_test": given.y, "index_test": given.index,
        "classes": np.array(given.classes), "levels": np.array(255),
        "name": np.array(Path(question.data).name),
    }  # fmt: skip
    for part in ("train", "validation"):
        arrays |= {f"{name}_{part}": arrays[f"{name}_test"][:0] for name in ("x", "y", "index")}
    entry = config.networks[question.name]
    # Images and files by content: a model that has changed since is another question.
    content = {"images": checksum(arrays), "files": watched(entry)}
    asks = question.model_dump(mode="json", exclude={"out"}) | content
    path = place.folder / "check.json"
    begun = place.folder.exists() and any(place.folder.iterdir())
    if begun:
        if not path.exists() or read_json(path) != asks:
            raise UserError(
                f"--out: {place.folder} is not empty, and no unfinished check of this very model "
                "and question; name a new folder"
            )
        print(f"{place.folder}: going on where it was interrupted")
    try:
        try:
            write_json(path, asks)
            write_npz(place.data, **arrays, checksum=np.array(content["images"]))
        except OSError as error:
            raise UserError(f"--out: {place.folder}: cannot be written ({told(error)})") from error
        take_in(place, entry, question.name)
        images = load_images(place, config.evaluation, question.name)
        logits = check_model(images.oracle, images.x, images.y, images.keys)
    except (UserError, ModelError, SystemExit) as error:
        if not begun:
            shutil.rmtree(place.folder, ignore_errors=True)  # it may not have come to be
        said = f"--model: {told(error)}" if isinstance(error, SystemExit) else str(error)
        option = said.replace(f"networks.{question.name}.", "--")
        raise UserError(option) from None
    right = int((logits.argmax(dim=1) == images.y).sum())
    print(f"{question.name} reads {right} of {len(images.y)} images rightly")
    if right <= int(torch.bincount(images.y).max()):
        print(
            "That is no more than one class has: do --normalize, --classes and --weights belong to "
            "this model?"
        )


def _verdict(place: Place, config: Config, question: Asked, eps: str) -> int:
    """Say what was found, as the report has it; `eps` as it was asked."""
    cell = loading.load(place, config).cells[question.name, question.norm]
    found = measure(cell)
    _, robust = found.worst_curve.at_least(question.eps)
    at = f"{wording.norm(question.norm)} ε = {eps}"
    print(f"\nThe report: {place.reports / 'index.html'}")
    print(
        f"{question.name}: {wording.accuracy(robust)} of {robust.n} images survived {at} "
        f"(95 % interval {wording.accuracy_interval(robust)} %); "
        f"{wording.accuracy(found.clean)} are read rightly unchanged."
    )
    if not question.gradients:
        print("A weak bound: no attack used gradients.")
    if question.require is None:
        return 0
    verdict = judge(robust, question.require)
    print(f"{wording.percent(question.require)} required: {verdict}")
    return EXIT[verdict]
