"""A user's own images: a folder for each class."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_sets import run
from pipeline.base.errors import UserError
from pipeline.base.splits import load_split
from pipeline.base.store import Place


def picture(path: Path, value: int, size: tuple[int, int] = (9, 8), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode in ("L", "I;16") else (value, 0, 255)).save(path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    for part, count in (("train", 10), ("test", 3)):
        for label, name in enumerate(("cat", "dog")):
            for number in range(count):
                picture(root / part / name / f"{number}.png", 100 * label + number)
    return root


def test_a_folder_of_grey_images(tmp_path: Path, images: Path) -> None:
    (images / "train" / "cat" / ".hidden.png").write_bytes(b"")
    (images / "train" / "cat" / "notes.txt").write_text("not an image")
    place = Place(tmp_path / "out")
    run(place, "folder", images)
    test = load_split(place, "test")
    assert test.classes == ["cat", "dog"] and test.shape == (1, 8, 9) and test.levels == 255
    assert test.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert test.x[:, 0, 0, 0].tolist() == [0, 1, 2, 100, 101, 102]
    assert len(load_split(place, "train").y) == 18 and len(load_split(place, "validation").y) == 2


def test_one_colour_image_makes_all_colour_and_validation_may_be_given(
    tmp_path: Path, images: Path
) -> None:
    for name in ("cat", "dog"):
        picture(images / "validation" / name / "a.png", 7, mode="RGB")
    place = Place(tmp_path / "out")
    run(place, "folder", images)
    validation = load_split(place, "validation")
    assert validation.shape == (3, 8, 9) and validation.x[0, :, 0, 0].tolist() == [7, 0, 255]
    assert len(load_split(place, "train").y) == 20
    assert load_split(place, "test").x[0, :, 0, 0].tolist() == [0, 0, 0]


def spoilt(images: Path, what: str) -> None:
    if what == "unreadable":
        (images / "test" / "dog" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    elif what == "truncated":
        path = images / "test" / "dog" / "1.png"
        noise = np.random.default_rng(0).integers(0, 255, (8, 9), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:60])
    elif what == "sizes":
        picture(images / "train" / "dog" / "3.png", 1, size=(8, 8))
    elif what == "depth":
        picture(images / "train" / "dog" / "3.png", 1, mode="I;16")
    elif what == "class":
        shutil.rmtree(images / "test" / "dog")
    elif what == "empty":
        for path in (images / "train" / "dog").iterdir():
            path.unlink()
    elif what == "bomb":  # a header that announces 60,000 x 60,000 pixels
        (images / "test" / "dog" / "1.pgm").write_bytes(b"P5 60000 60000 255\n" + bytes(100))
    elif what == "header":  # Pillow raises ValueError for a size that is no number
        (images / "test" / "dog" / "1.pgm").write_bytes(b"P5 x 8 255\n" + bytes(100))
    elif what == "chunk":  # and SyntaxError for a PNG whose parts do not fit together
        path = images / "test" / "dog" / "1.png"
        noise = np.random.default_rng(0).integers(0, 255, (8, 9), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        before, after = path.read_bytes().split(b"IDAT")
        path.write_bytes(before[:-4] + (40).to_bytes(4, "big") + b"IDAT" + after)
    elif what == "one class":
        for part in ("train", "test"):
            shutil.rmtree(images / part / "dog")
    elif what == "no classes":
        for part in ("train", "test"):
            shutil.rmtree(images / part)
            (images / part).mkdir()
    elif what == "no test":
        shutil.rmtree(images / "test")


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("unreadable", r"test/dog/1\.png: cannot be read as an image"),
        ("truncated", r"test/dog/1\.png: cannot be read as an image"),
        ("sizes", r"train/dog/3\.png: 8x8 pixels, but .*train/cat/0\.png has 9x8"),
        ("depth", r"train/dog/3\.png: pixels of type I;16; .* 8 bits"),
        ("class", r"images/test: no images of class dog; every class needs .* train, test"),
        ("empty", r"images/train: no images of class dog"),
        ("bomb", r"test/dog/1\.pgm: cannot be read as an image \(.*decompression bomb"),
        ("header", r"test/dog/1\.pgm: cannot be read as an image"),
        ("chunk", r"test/dog/1\.png: cannot be read as an image"),
        ("one class", r"images/train: the only class is cat; put the images of each class, two"),
        ("no classes", r"images/train: no classes; put the images"),
        ("no test", r"images/test: no such folder; .* needs train/<class>/ and test/<class>/"),
    ],
)
def test_what_is_wrong_with_a_folder(tmp_path: Path, images: Path, what: str, told: str) -> None:
    spoilt(images, what)
    with pytest.raises(UserError, match=told):
        run(Place(tmp_path / "out"), "folder", images)
    assert not (tmp_path / "out").exists()
