"""Published data sets: verified, read and left alone. Small stand-ins take the archives' place."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_sets import PARTS, cut, run
from pipeline.base.errors import UserError
from pipeline.base.splits import load_split
from pipeline.base.store import Place
from pipeline.data import load_source


def idx(array: np.ndarray) -> bytes:
    """The format of MNIST: magic number with the dimensions, sizes, bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def mnist_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with the four archives of a tiny MNIST, which torchvision takes for the real."""
    from torchvision.datasets import MNIST

    return tiny_mnist(MNIST, tmp_path / "root", monkeypatch)


def tiny_mnist(dataset: Any, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    draw = np.random.default_rng(0)
    raw = root / dataset.__name__ / "raw"
    raw.mkdir(parents=True)
    resources = []
    for name, _ in dataset.resources:
        count = 30 if name.startswith("train") else 10
        images = draw.integers(0, 256, (count, 28, 28))
        content = idx(images if "images" in name else np.arange(count) % 10)
        (raw / name).write_bytes(gzip.compress(content))
        resources.append((name, md5(raw / name)))
    monkeypatch.setattr(dataset, "resources", resources)
    monkeypatch.setattr(dataset, "mirrors", ["http://127.0.0.1:9/"])  # nobody answers there
    return root


def test_fashion_mnist_is_read_like_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import FashionMNIST

    root = tiny_mnist(FashionMNIST, tmp_path / "root", monkeypatch)
    run(Place(tmp_path / "out"), "fashion_mnist", root)
    test = load_split(Place(tmp_path / "out"), "test")
    assert test.x.shape == (10, 1, 28, 28) and test.y.tolist() == list(range(10))
    assert test.classes[0] == "T-shirt/top" and test.classes[9] == "Ankle boot"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_archives_are_read_without_writing_beside_them(tmp_path: Path, mnist_root: Path) -> None:
    before = contents(mnist_root)
    place = Place(tmp_path / "out")
    run(place, "mnist", mnist_root)
    assert contents(mnist_root) == before
    test = load_split(place, "test")
    assert test.x.shape == (10, 1, 28, 28) and test.y.tolist() == list(range(10))
    assert test.classes == ["zero", "one", "two", "three", "four", *test.classes[5:]]
    assert len(load_split(place, "train").y) == 27


def test_unpacked_files_do_as_well(tmp_path: Path, mnist_root: Path) -> None:
    place, again = Place(tmp_path / "out"), Place(tmp_path / "again")
    run(place, "mnist", mnist_root)
    for path in (mnist_root / "MNIST" / "raw").iterdir():
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    run(again, "mnist", mnist_root)
    assert again.data.read_bytes() == place.data.read_bytes()
    (mnist_root / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"\x00\x00\x08\x03cut")
    with pytest.raises(UserError, match=r"cannot read the data set from .*train-images-idx3-ubyte"):
        run(again, "mnist", mnist_root)


def test_a_truncated_archive_is_named_and_kept(tmp_path: Path, mnist_root: Path) -> None:
    archive = mnist_root / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    archive.write_bytes(archive.read_bytes()[:-100])
    before = contents(mnist_root)
    with pytest.raises(UserError, match=r"t10k-images-idx3-ubyte\.gz: corrupt or truncated"):
        run(Place(tmp_path / "out"), "mnist", mnist_root)
    assert contents(mnist_root) == before
    assert not (tmp_path / "out").exists()


def test_what_is_missing_and_how_to_give_it(tmp_path: Path, mnist_root: Path) -> None:
    (mnist_root / "MNIST" / "raw" / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError) as error:
        run(Place(tmp_path / "out"), "mnist", mnist_root)
    message = str(error.value)
    assert f"{mnist_root}/MNIST/raw/train-labels-idx1-ubyte.gz: missing" in message
    assert "http://127.0.0.1:9/train-labels-idx1-ubyte.gz" in message
    assert f"looked in {mnist_root}/MNIST/raw" in message
    assert "data.root" in message and "EPSBALL_DATA" in message


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """A folder, the address that serves it, and the paths that were asked for."""
    asked: list[str] = []
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, *args: Any) -> None:
            if self.command == "GET":
                asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{http.server_address[1]}/", asked
        http.shutdown()


def test_only_what_is_missing_is_downloaded(
    tmp_path: Path,
    mnist_root: Path,
    server: tuple[Path, str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torchvision.datasets import MNIST

    folder, address, asked = server
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/", address])
    before = contents(mnist_root)
    name = "train-labels-idx1-ubyte.gz"
    labels = mnist_root / "MNIST" / "raw" / name
    labels.rename(folder / name)
    run(Place(tmp_path / "out"), "mnist", mnist_root)
    assert set(asked) == {f"/{name}"}
    assert contents(mnist_root) == before
    asked.clear()
    run(Place(tmp_path / "again"), "mnist", mnist_root)
    assert not asked

    labels.unlink()
    (folder / name).write_bytes(b"an error page of a proxy")
    with pytest.raises(UserError, match=f"{name}: missing, and cannot be downloaded"):
        run(Place(tmp_path / "other"), "mnist", mnist_root)
    assert set(before) - set(contents(mnist_root)) == {f"MNIST/raw/{name}"}


@pytest.fixture
def cifar_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with an unpacked tiny CIFAR-10."""
    from torchvision.datasets import CIFAR10

    return tiny_cifar(CIFAR10, 10, tmp_path / "root", monkeypatch)


def tiny_cifar(dataset: Any, classes: int, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    labels = {10: "labels", 100: "fine_labels"}[classes]
    names = list("abcdefghij") if classes == 10 else [f"class {label}" for label in range(100)]
    draw = np.random.default_rng(0)
    folder = root / dataset.base_folder
    folder.mkdir(parents=True)

    def write(name: str, value: Any) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(value))
        return [name, md5(folder / name)]

    def batch() -> dict[str, Any]:
        images = draw.integers(0, 256, (2 * classes, 3072)).astype(np.uint8)
        return {"data": images, labels: [i % classes for i in range(2 * classes)]}

    monkeypatch.setattr(dataset, "train_list", [write("data_batch_1", batch())])
    monkeypatch.setattr(dataset, "test_list", [write("test_batch", batch())])
    name, checksum = write("batches.meta", {dataset.meta["key"]: names})
    meta = {"filename": name, "key": dataset.meta["key"], "md5": checksum}
    monkeypatch.setattr(dataset, "meta", meta)
    monkeypatch.setattr(dataset, "url", "http://127.0.0.1:9/cifar.tar.gz")
    return root


def test_cifar100_has_its_fine_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CIFAR100

    root = tiny_cifar(CIFAR100, 100, tmp_path / "root", monkeypatch)
    run(Place(tmp_path / "out"), "cifar100", root)
    test = load_split(Place(tmp_path / "out"), "test")
    assert test.shape == (3, 32, 32) and test.y.tolist() == [*range(100), *range(100)]
    assert test.classes == [f"class {label}" for label in range(100)]
    stored = pickle.loads((root / CIFAR100.base_folder / "test_batch").read_bytes())["data"]
    assert np.array_equal(test.x, stored.reshape(-1, 3, 32, 32))


@pytest.fixture
def svhn_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with a tiny SVHN, in which 10 stands for the digit 0."""
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    draw = np.random.default_rng(0)
    root = tmp_path / "root"
    root.mkdir()
    files = {}
    for split_name in ("train", "test"):
        path = root / f"{split_name}_32x32.mat"
        images = draw.integers(0, 256, (32, 32, 3, 30)).astype(np.uint8)
        savemat(path, {"X": images, "y": np.arange(30).reshape(30, 1) % 10 + 1})
        files[split_name] = ["http://127.0.0.1:9/", path.name, md5(path)]
    monkeypatch.setattr(SVHN, "split_list", files)
    return root


def test_svhn_is_read_and_its_ten_is_a_zero(tmp_path: Path, svhn_root: Path) -> None:
    from scipy.io import loadmat

    run(Place(tmp_path / "out"), "svhn", svhn_root)
    test = load_split(Place(tmp_path / "out"), "test")
    assert test.shape == (3, 32, 32) and test.y[:10].tolist() == [*range(1, 10), 0]
    assert test.classes == [str(digit) for digit in range(10)]
    stored = loadmat(svhn_root / "test_32x32.mat")["X"]
    assert np.array_equal(test.x[7].transpose(1, 2, 0), stored[..., 7])


@pytest.mark.parametrize("content", [b"", b"no MATLAB file" * 50])
def test_an_svhn_that_cannot_be_read_is_named(
    tmp_path: Path, svhn_root: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    from torchvision.datasets import SVHN

    path = svhn_root / "test_32x32.mat"
    path.write_bytes(content)
    files = SVHN.split_list | {"test": ["http://127.0.0.1:9/", path.name, md5(path)]}
    monkeypatch.setattr(SVHN, "split_list", files)
    with pytest.raises(UserError, match=r"cannot read the data set from .*test_32x32\.mat"):
        run(Place(tmp_path / "out"), "svhn", svhn_root)


def test_cifar_unpacked_or_as_an_archive(
    tmp_path: Path, cifar_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR10

    place, again = Place(tmp_path / "out"), Place(tmp_path / "again")
    run(place, "cifar10", cifar_root)
    train, test = load_split(place, "train"), load_split(place, "test")
    assert train.shape == test.shape == (3, 32, 32) and train.classes == list("abcdefghij")
    folder = cifar_root / CIFAR10.base_folder
    stored = pickle.loads((folder / "test_batch").read_bytes())["data"].reshape(-1, 3, 32, 32)
    assert np.array_equal(test.x, stored)

    archive = shutil.make_archive(
        str(cifar_root / "cifar-10-python"), "gztar", cifar_root, CIFAR10.base_folder
    )
    shutil.rmtree(folder)
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(Path(archive)))
    run(again, "cifar10", cifar_root)
    assert again.data.read_bytes() == place.data.read_bytes()
    assert [path.name for path in cifar_root.iterdir()] == ["cifar-10-python.tar.gz"]


@pytest.mark.parametrize(
    ("name", "spoil", "told"),
    [
        ("data_batch_1", lambda path: path.write_bytes(path.read_bytes()[:-1]), "corrupt"),
        ("batches.meta", lambda path: path.write_bytes(b""), "corrupt"),
        ("test_batch", lambda path: path.unlink(), "missing.*unpacked in part"),
    ],
)
def test_the_spoilt_file_of_a_folder_is_named(
    tmp_path: Path, cifar_root: Path, name: str, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(cifar_root / "cifar-10-batches-py" / name)
    with pytest.raises(UserError, match=f"{name}: {told}"):
        run(Place(tmp_path / "out"), "cifar10", cifar_root)


def test_the_root_comes_from_the_environment_if_not_configured(
    tmp_path: Path, mnist_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EPSBALL_DATA", str(mnist_root))
    run(Place(tmp_path / "out"), "mnist")
    monkeypatch.setenv("EPSBALL_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(UserError, match=f"{tmp_path}/elsewhere/MNIST"):
        run(Place(tmp_path / "other"), "mnist")


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [("mnist", (1, 28, 28), "zero"), ("cifar10", (3, 32, 32), "airplane")],
)
def test_the_real_files(name: str, shape: tuple[int, ...], classes: str) -> None:
    root = os.environ.get("EPSBALL_DATA")
    folder = {"mnist": "MNIST/raw", "cifar10": "cifar-10-batches-py"}[name]
    if not root or not (Path(root) / folder).is_dir():
        pytest.skip(f"EPSBALL_DATA does not point to a folder with {folder}")
    parts = cut(load_source(name, None))
    assert parts["train"].shape == shape and parts["train"].classes[0] == classes
    train = {"mnist": 54000, "cifar10": 45000}[name]
    assert [len(parts[part].y) for part in PARTS] == [train, train // 9, 10000]
    assert np.bincount(parts["test"].y).min() >= 892
