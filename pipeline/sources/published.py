"""Where images come from: scikit-learn's digits, torchvision's data sets, a folder of images.

Published files are verified against the checksums that torchvision knows, and are only ever
read: archives are unpacked in a temporary folder, so that the data root may be read-only and
shared. Only what is missing is downloaded there. To add a data set: write a loader
`(root) -> Source` and add a line to `LOADERS`.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..base.errors import UserError
from .source import HOW_TO_SET_ROOT, Source

SECONDS_TO_CONNECT = 30


@dataclass(frozen=True)
class Published:
    """One file to be had from the network, and the md5 that torchvision knows for it."""

    path: Path
    urls: tuple[str, ...]
    md5: str


def digits(root: Path) -> Source:
    """1,797 real 8x8 digits with 17 grey levels (UCI), shipped within scikit-learn."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = bunch.images.astype(np.uint8)[:, None]
    names = [str(name) for name in bunch.target_names]
    return Source((x, bunch.target.astype(np.int64)), None, names, levels=16)


def mnist(root: Path) -> Source:
    from torchvision.datasets import MNIST

    return _mnist_like(MNIST, root)


def fashion_mnist(root: Path) -> Source:
    from torchvision.datasets import FashionMNIST

    return _mnist_like(FashionMNIST, root)


def _mnist_like(dataset: Any, root: Path) -> Source:
    raw = Path(dataset.__name__) / "raw"
    archives = [
        Published(root / raw / name, tuple(f"{mirror}{name}" for mirror in dataset.mirrors), md5)
        for name, md5 in dataset.resources
    ]
    unpacked = [file.path.with_suffix("") for file in archives]
    # The archives can be verified, what somebody unpacked from them cannot: it comes second.
    if not all(file.path.exists() for file in archives) and all(p.exists() for p in unpacked):
        found = unpacked
    else:
        _ensure(archives)
        found = [file.path for file in archives]
    with _linked(root, found) as links:
        parts = [dataset(links, train=train, download=True) for train in (True, False)]
    train, test = (
        (part.data.numpy()[:, None], part.targets.numpy().astype(np.int64)) for part in parts
    )
    names = [name.removeprefix(f"{label} - ") for label, name in enumerate(dataset.classes)]
    return Source(train, test, names)


def cifar10(root: Path) -> Source:
    from torchvision.datasets import CIFAR10

    return _cifar(CIFAR10, root)


def cifar100(root: Path) -> Source:
    from torchvision.datasets import CIFAR100

    return _cifar(CIFAR100, root)


def _cifar(dataset: Any, root: Path) -> Source:
    folder = root / dataset.base_folder
    batches = [*dataset.train_list, *dataset.test_list]
    batches.append((dataset.meta["filename"], dataset.meta["md5"]))
    if folder.is_dir():
        files = [Published(folder / name, (), md5) for name, md5 in batches]
    else:
        files = [Published(root / dataset.filename, (dataset.url,), dataset.tgz_md5)]
    _ensure(files)
    with _linked(root, [file.path for file in files]) as links:
        parts = [dataset(links, train=train, download=True) for train in (True, False)]
    train, test = (
        (np.ascontiguousarray(part.data.transpose(0, 3, 1, 2)), np.array(part.targets, np.int64))
        for part in parts
    )
    return Source(train, test, list(parts[0].classes))


def svhn(root: Path) -> Source:
    from torchvision.datasets import SVHN

    files = []
    for split in ("train", "test"):
        url, name, md5 = SVHN.split_list[split]
        files.append(Published(root / name, (url,), md5))
    _ensure(files)
    with _linked(root, [file.path for file in files]) as links:
        parts = [SVHN(links, split=split) for split in ("train", "test")]
    train, test = (
        (np.ascontiguousarray(part.data), part.labels.astype(np.int64)) for part in parts
    )
    return Source(train, test, [str(digit) for digit in range(10)])


def _ensure(files: list[Published]) -> None:
    """Check what is there against its md5, and download what is missing.

    A file that fails its check is never overwritten: it is the user's. UserError names it.
    """
    from torchvision.datasets.utils import check_integrity

    for file in files:
        if file.path.exists():
            if not check_integrity(file.path, file.md5):
                raise UserError(
                    f"{file.path}: corrupt or truncated, its md5 is not the published {file.md5}; "
                    "delete it so that it is downloaded again, or put the right file there"
                )
        else:
            _download(file)


def _download(file: Published) -> None:
    """Fetch one file into the data root, whole or not at all."""
    from torchvision.datasets.utils import download_url

    failures = ["it belongs to a folder that was unpacked in part"] if not file.urls else []
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS_TO_CONNECT)  # torchvision sets none, and would hang
    try:
        for url in file.urls:
            try:
                file.path.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=file.path.parent) as unfinished:
                    download_url(url, unfinished, file.path.name, file.md5)
                    os.replace(Path(unfinished) / file.path.name, file.path)
                return
            except (OSError, RuntimeError) as error:  # RuntimeError: the md5 is wrong
                failures.append(f"{url}: {error}")
    finally:
        socket.setdefaulttimeout(timeout)
    raise UserError(
        f"{file.path}: missing, and cannot be downloaded ({'; '.join(failures)}); "
        f"looked in {file.path.parent}; {HOW_TO_SET_ROOT}"
    )


@contextmanager
def _linked(root: Path, files: list[Path]) -> Iterator[Path]:
    """A temporary data root with links to `files`, where torchvision may unpack as it likes."""
    folder = Path(tempfile.mkdtemp(prefix="epsball-data-"))
    try:
        for path in files:
            link = folder / path.relative_to(root)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.absolute())
        yield folder
    except Exception as error:  # each format's reader has its own for a file that it cannot read
        names = ", ".join(str(path) for path in files)
        raise UserError(f"cannot read the data set from {names}: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def folder(root: Path) -> Source:
    """A folder of images per class; see image_folder.py."""
    from .image_folder import read_image_folder

    return read_image_folder(root)


LOADERS: dict[str, Callable[[Path], Source]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "svhn": svhn,
    "folder": folder,
}
