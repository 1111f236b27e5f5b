"""The data stage: one data set, split once, in one file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_sets import PARTS, cut, run
from pipeline.base.errors import UserError
from pipeline.base.splits import load_checksum, load_split
from pipeline.base.store import Place
from pipeline.data import load_source
from pipeline.sources.source import Source

FIRST_OF_TEST = [0, 2, 6, 9, 12, 16, 22, 31]


@pytest.fixture(scope="module")
def digits() -> Source:
    return load_source("digits", None)


def test_digits_are_split_once_by_class(digits: Source) -> None:
    parts = cut(digits)
    assert [len(parts[part].y) for part in PARTS] == [1293, 144, 360]
    together = np.concatenate([parts[part].index for part in PARTS])
    assert sorted(together) == list(range(1797))
    for part in PARTS:
        found = parts[part]
        assert np.array_equal(found.x, digits.train[0][found.index])
        assert np.array_equal(found.y, digits.train[1][found.index])
        assert found.levels == 16 and found.x.max() == 16 and found.x.dtype == np.uint8
        shares = np.bincount(found.y) / len(found.y)
        assert np.abs(shares - np.bincount(digits.train[1]) / 1797).max() < 0.01


def test_the_split_depends_on_the_seed_alone(digits: Source) -> None:
    one, same, other = cut(digits), cut(digits), cut(digits, seed=1)
    for part in PARTS:
        assert np.array_equal(one[part].index, same[part].index)
        assert not np.array_equal(one[part].index, other[part].index)
    # Written down, so that another machine or version of numpy is found out.
    assert one["test"].index[:8].tolist() == FIRST_OF_TEST


def test_samples_are_nested_and_leave_the_other_parts_alone(digits: Source) -> None:
    whole = cut(digits)
    few, more = cut(digits, samples=100), cut(digits, samples=400)
    assert len(few["train"].y) == 100 and len(more["train"].y) == 400
    assert set(few["train"].index) < set(more["train"].index) < set(whole["train"].index)
    for part in ("validation", "test"):
        assert np.array_equal(few[part].index, whole[part].index)
    assert len(np.unique(few["train"].y)) == 10


def test_a_test_part_of_its_own_is_kept_and_numbered_by_itself() -> None:
    x = np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1)
    y = np.repeat(np.arange(2), 25)
    source = Source((x, y), (x[:7] + 100, y[:7]), ["a", "b"])
    parts = cut(source, validation=0.2)
    assert parts["test"].x.ravel().tolist() == list(range(100, 107))
    assert parts["test"].index.tolist() == list(range(7))
    assert len(parts["validation"].y) == 10 and len(parts["train"].y) == 40
    assert np.bincount(parts["validation"].y).tolist() == [5, 5]


def test_a_share_that_is_needed_is_asked_for_and_one_that_is_not_read_is_told(
    digits: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=r"data\.test: .*no test split of their own.*such as 0\.2"):
        cut(digits, test=None)
    run(Place(tmp_path), "digits")
    assert "not read" not in capsys.readouterr().out
    for number in range(4):
        path = tmp_path / "images" / ("train", "test")[number % 2] / "ab"[number // 2] / "0.png"
        path.parent.mkdir(parents=True)
        Image.new("L", (8, 8), 40 * number).save(path)
    run(Place(tmp_path), "folder", tmp_path / "images", test=None)
    assert "not read" not in capsys.readouterr().out
    run(Place(tmp_path), "folder", tmp_path / "images")
    told = "data.test: not read, as folder has that split of its own"
    assert told in capsys.readouterr().out


def test_the_file_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    places = [Place(tmp_path / name) for name in ("one", "other")]
    for place in places:
        run(place, "digits")
    assert places[0].data.read_bytes() == places[1].data.read_bytes()
    third = Place(tmp_path / "third")
    run(third, "digits", seed=1)
    assert load_checksum(third) != load_checksum(places[0])
    found = load_split(places[0], "validation")
    assert found.shape == (1, 8, 8) and found.classes == [str(digit) for digit in range(10)]
    assert found.y.dtype == found.index.dtype == np.int64
    with np.load(places[0].data) as archive:
        assert str(archive["name"]) == "digits" and archive["classes"].dtype.kind == "U"


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with pytest.raises(UserError, match=r"data\.npz: missing; run `dvc repro"):
        load_split(place, "test")
    with pytest.raises(UserError, match=r"data\.npz: missing; run `dvc repro"):
        load_checksum(place)
    run(place, "digits")
    whole = place.data.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no archive"):
        place.data.write_bytes(content)
        with pytest.raises(UserError, match=r"data\.npz: damaged"):
            load_split(place, "test")
        with pytest.raises(UserError, match=r"data\.npz: damaged"):
            load_checksum(place)


def test_digits_need_neither_torch_nor_a_network() -> None:
    code = (
        "import sys; from pipeline.data import load_source; load_source('digits', '/nowhere');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
