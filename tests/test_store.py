"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.base.errors import UserError
from pipeline.base.store import (
    Place,
    fingerprint,
    read_json,
    read_npz,
    replace_folder,
    write_bytes,
    write_json,
    write_npz,
)


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"new": float("nan")})
    with pytest.raises(TypeError):
        write_bytes(path, "text")  # type: ignore[arg-type]
    assert read_json(path) == {"old": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_is_replaced_whole_or_kept(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with replace_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    with pytest.raises(RuntimeError), replace_folder(target) as folder:
        (folder / "b").write_text("2")
        raise RuntimeError
    assert [each.name for each in target.iterdir()] == ["a"]
    with replace_folder(target) as folder:
        (folder / "c").write_text("3")
    assert [each.name for each in target.iterdir()] == ["c"]
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    arrays = {"b": np.arange(3), "a": np.array(["x"])}
    for name in ("one.npz", "two.npz"):
        write_npz(tmp_path / name, **arrays)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    write_json(tmp_path / "one.json", {"b": 1, "a": 2})
    write_json(tmp_path / "two.json", {"a": 2, "b": 1})
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_a_fingerprint_changes_with_every_part(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"1")
    first = fingerprint({"a": 1}, path)
    assert first == fingerprint({"a": 1}, path)
    assert first != fingerprint({"a": 2}, path)
    path.write_bytes(b"2")
    assert first != fingerprint({"a": 1}, path)


def test_a_missing_result_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro"):
        read_json(tmp_path / "none.json")


@pytest.mark.parametrize("spoil", ["cut", "flipped", "empty", "other", "folder"])
def test_a_damaged_result_is_named_with_what_to_do(tmp_path: Path, spoil: str) -> None:
    arrays, values = tmp_path / "rows.npz", tmp_path / "rows.json"
    write_npz(arrays, rows=np.arange(5000))
    write_json(values, {"rows": list(range(100))})
    for path, read in ((arrays, read_npz), (values, read_json)):
        whole = path.read_bytes()
        middle = len(whole) // 2
        if spoil == "folder":
            path.unlink()
            path.mkdir()
        else:
            contents = {
                "cut": whole[:middle],
                "flipped": whole[:middle] + b"\xff\xfe" + whole[middle + 2 :],
                "empty": b"",
                "other": b"\x80 an error page",
            }
            path.write_bytes(contents[spoil])
        with pytest.raises(UserError, match=rf"{path.name}: damaged \(.+\); delete it, and run"):
            read(path)


def test_experiments_have_their_own_files() -> None:
    top, mnist = Place.of("params.yaml"), Place.of("experiments/mnist/params.yaml")
    assert (top.name, mnist.name) == ("default", "mnist")
    assert Place.of(Path.cwd() / "params.yaml").name == "default"
    assert top.data == Path("artifacts/data.npz")
    assert mnist.attack("plain", "l2") == Path("experiments/mnist/artifacts/attack/plain/l2")
