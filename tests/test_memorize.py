"""Corruptions: what is drawn, that it is drawn once, and what the networks make of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.base.config import Corruption
from pipeline.base.errors import UserError
from pipeline.base.splits import Split, first_of
from pipeline.base.store import Place, write_npz
from pipeline.corruptions import corrupt, corrupt_images, describe_corruption, random_labels
from pipeline.memorize import memorize, run
from pipeline.training.execution import Execution
from pipeline.training.images import Images
from pipeline.training.step import Step
from training import CPU, made_up, recipe

BIG = made_up(2000, classes=4)
TRAIN, TEST = made_up(120), made_up(90, seed=1)


def kind(name: str, fraction: float = 1.0) -> Corruption:
    return Corruption(kind=name, fraction=fraction)  # type: ignore[arg-type]


def test_fractions_of_random_labels() -> None:
    assert np.array_equal(random_labels(BIG, 0.0, 0), BIG.y)
    half, full = (random_labels(BIG, fraction, 0) for fraction in (0.5, 1.0))
    # A draw hits the true one of four classes in a quarter of cases.
    assert (half != BIG.y).mean() == pytest.approx(0.375, abs=0.03)
    assert (full != BIG.y).mean() == pytest.approx(0.75, abs=0.03)
    assert np.bincount(full, minlength=4).min() > 430
    changed = half != BIG.y
    assert np.array_equal(half[changed], full[changed])  # the larger holds the smaller
    assert np.array_equal(half, random_labels(BIG, 0.5, 0))
    assert not np.array_equal(half, random_labels(BIG, 0.5, 1))


def same_pixels(one: np.ndarray, other: np.ndarray) -> bool:
    flat = (np.sort(x.reshape(len(x), x.shape[1], -1), axis=2) for x in (one, other))
    return np.array_equal(*flat)


def colourful(count: int, seed: int) -> Split:
    draw = np.random.default_rng(seed)
    x = draw.integers(0, 200, (count, 3, 6, 5)).astype(np.uint8)
    x[:, 1] = x[:, 0] + 50  # so that channels can be told to have moved together
    return Split(x, np.zeros(count, np.int64), np.arange(count), 255, ["a"])


@pytest.mark.parametrize("name", ["shuffled_pixels", "random_pixels"])
def test_pixels_are_moved_and_channels_stay_together(name: str) -> None:
    train, test = colourful(40, 0), colourful(40, 1)
    moved = [corrupt_images(part, train, kind(name), seed=3) for part in (train, test)]
    for before, after in zip((train, test), moved, strict=True):
        assert after.x.shape == before.x.shape and after.x.dtype == np.uint8
        assert same_pixels(before.x, after.x) and not np.array_equal(before.x, after.x)
        assert np.array_equal(after.x[:, 1], after.x[:, 0] + 50)
        assert np.array_equal(after.y, before.y)
    again = corrupt_images(train, train, kind(name), seed=3)
    assert np.array_equal(again.x, moved[0].x)
    assert not np.array_equal(corrupt_images(train, train, kind(name), seed=4).x, moved[0].x)


def test_one_permutation_for_all_or_one_for_each() -> None:
    places = np.tile(np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8), (30, 1, 1, 1))
    train = Split(places, np.zeros(30, np.int64), np.arange(30), 255, ["a"])
    test = Split(places.copy(), train.y, train.index, 255, ["a"])
    orders: dict[str, list[np.ndarray]] = {
        name: [corrupt_images(part, train, kind(name), 0).x for part in (train, test)]
        for name in ("shuffled_pixels", "random_pixels")
    }
    shuffled = np.concatenate(orders["shuffled_pixels"])
    assert len(np.unique(shuffled, axis=0)) == 1  # of training and test images alike
    assert len(np.unique(np.concatenate(orders["random_pixels"]), axis=0)) == 60


def test_gaussian_images_have_the_mean_and_spread_of_the_data() -> None:
    # Far from black and white, so that cutting off changes nothing.
    draw = np.random.default_rng(0)
    x = np.stack([draw.normal(100, 10, (500, 8, 8)), draw.normal(150, 20, (500, 8, 8))], axis=1)
    train = Split(x.astype(np.uint8), np.zeros(500, np.int64), np.arange(500), 255, ["a"])
    noise = corrupt_images(train, train, kind("gaussian"), 0).x
    assert noise.mean(axis=(0, 2, 3)) == pytest.approx(train.x.mean(axis=(0, 2, 3)), abs=0.5)
    assert noise.std(axis=(0, 2, 3)) == pytest.approx(train.x.std(axis=(0, 2, 3)), rel=0.03)
    test = Split(train.x.copy(), *list_rest(train))
    other = corrupt_images(test, train, kind("gaussian"), 0).x
    centred = [part - part.mean(axis=(0, 2, 3), keepdims=True) for part in (noise, other)]
    assert abs(np.corrcoef(centred[0].ravel(), centred[1].ravel())[0, 1]) < 0.02
    dark = Split((train.x // 50), *list_rest(train)[:2], 4, ["a"])
    assert corrupt_images(dark, dark, kind("gaussian"), 0).x.max() <= 4


def list_rest(part: Split) -> tuple[np.ndarray, np.ndarray, int, list[str]]:
    return part.y, part.index, part.levels, part.classes


def test_names_that_people_read() -> None:
    names = [describe_corruption(kind("labels", fraction)) for fraction in (0, 0.25, 0.5, 1)]
    assert names == ["true labels", "25 % random labels", "50 % random labels", "random labels"]
    others = [
        describe_corruption(kind(k)) for k in ("shuffled_pixels", "random_pixels", "gaussian")
    ]
    assert others == ["shuffled pixels", "random pixels", "Gaussian images"]


ADAM = {"optimizer": "adam", "schedule": "constant", "lr": 0.003, "epochs": 80}


def test_random_labels_are_fitted_and_teach_nothing() -> None:
    true = memorize("net", recipe(**ADAM), TRAIN, TEST, kind("labels", 0.0), CPU)
    drawn = memorize("net", recipe(**ADAM), TRAIN, TEST, kind("labels"), CPU)
    for found in (true, drawn):
        last = found["history"][-1]
        assert found["train_acc"] == last["train_acc"] == 1.0
        assert found["fitted_epoch"] == last["epoch"] == len(found["history"]) < 80
        assert all(row["train_acc"] < 1 for row in found["history"][:-1])
    assert true["changed_fraction"] == 0 and true["test_acc"] > 0.95
    assert drawn["fitted_epoch"] > 2 * true["fitted_epoch"]
    labels = corrupt(TRAIN, kind("labels"), 0).y
    assert drawn["changed_fraction"] == (labels != TRAIN.y).mean() > 0.5
    assert drawn["label_hash"] == hashlib.sha256(labels.tobytes()).hexdigest()
    assert drawn["labels_seen"] == [drawn["label_hash"]]
    assert drawn["test_label_hash"] == hashlib.sha256(TEST.y.tobytes()).hexdigest()
    assert drawn["test_acc"] < 0.7 and (drawn["n_train"], drawn["n_test"]) == (120, 90)


def test_labels_that_change_while_they_are_trained_on_are_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also on a device of its own memory, where the images are a copy: here they are made one."""
    made, take = Images.__init__, Step.take
    copies: list[Images] = []

    def copied(self: Images, split: Split, device: torch.device) -> None:
        made(self, split, device)
        self.x, self.y = self.x.clone(), self.y.clone()
        copies.append(self)

    def redrawn(self: Step, *given: Any) -> Any:
        self.images.y.copy_(self.images.y.roll(1))
        return take(self, *given)

    monkeypatch.setattr(Images, "__init__", copied)
    asked = recipe(**ADAM | {"epochs": 1})
    found = memorize("net", asked, TRAIN, TEST, kind("labels"), CPU)
    assert found["labels_seen"] == [found["label_hash"]]
    assert [len(images) for images in copies] == [120, 90]
    monkeypatch.setattr(Step, "take", redrawn)
    found = memorize("net", asked, TRAIN, TEST, kind("labels"), CPU)
    assert len(found["labels_seen"]) == 2 and found["label_hash"] in found["labels_seen"]


def test_test_images_get_the_corruption_of_the_training_images() -> None:
    # The class is told by place alone: where the places are moved alike, it can be learned.
    found = {
        name: memorize("net", recipe(**ADAM), TRAIN, TEST, kind(name), CPU)["test_acc"]
        for name in ("shuffled_pixels", "random_pixels")
    }
    assert found["shuffled_pixels"] > 0.9
    assert found["random_pixels"] < 0.6


def test_what_was_not_fitted_is_told() -> None:
    found = memorize("net", recipe(**ADAM | {"epochs": 2}), TRAIN, TEST, kind("labels"), CPU)
    assert found["fitted_epoch"] is None and found["train_acc"] < 1
    assert len(found["history"]) == 2


def test_all_epochs_where_that_is_asked() -> None:
    changes = ADAM | {"epochs": 12}
    found = memorize(
        "net", recipe(**changes), TRAIN, TEST, kind("labels", 0.0), CPU, until_fitted=False
    )
    assert found["fitted_epoch"] < len(found["history"]) == 12


def test_that_all_is_fitted_is_confirmed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a GPU takes the accuracy of each epoch in bfloat16: here the CPU does so."""
    in_bfloat16 = Execution(torch.bfloat16, torch.channels_last)
    monkeypatch.setattr(Execution, "on", classmethod(lambda cls, device, compiled: in_bfloat16))
    taken: list[torch.dtype] = []

    def watched(module: Any, given: Any, result: torch.Tensor) -> None:
        if not module.training and isinstance(module, torch.nn.Conv2d) and len(result) == 120:
            taken.append(result.dtype)

    hook = torch.nn.modules.module.register_module_forward_hook(watched)
    try:
        found = memorize("net", recipe(**ADAM), TRAIN, TEST, kind("labels", 0.0), CPU)
    finally:
        hook.remove()
    epochs = len(found["history"])
    assert found["fitted_epoch"] == epochs < 80
    assert taken[: 2 * epochs] == [torch.bfloat16] * 2 * epochs  # two convolutions
    assert taken[2 * epochs :] == [torch.float32] * 2


GROUP = [kind("labels", 0.0), kind("gaussian"), kind("random_pixels")]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place with a data set."""
    arrays: dict[str, Any] = {"checksum": np.array("abc")}
    for part, images in (("train", TRAIN), ("validation", TEST), ("test", TEST)):
        arrays |= {f"x_{part}": images.x, f"y_{part}": images.y, f"index_{part}": images.index}
    place = Place(tmp_path)
    write_npz(place.data, **arrays, classes=np.array(TRAIN.classes), levels=np.array(255))
    return place


def config(**changes: Any) -> Any:
    """The part of a configuration that the stage reads."""
    wanted = ADAM | {"epochs": 3, "batch_size": 30, "seeds": [5]}
    return SimpleNamespace(
        recipe=recipe(),
        memorizing=lambda network: recipe(**wanted | changes),
        memorize=SimpleNamespace(
            until_fitted=True, corruptions={"mixed": GROUP}, groups=lambda network: ["mixed"]
        ),
    )


def test_the_stage_writes_a_group_of_runs(place: Place) -> None:
    run(place, config(samples=100), "net")
    record = json.loads(place.memorize("net").read_text())
    assert (record["network"], record["recipe"]["lr"]) == ("net", 0.003)
    assert {(one["group"], one["n_train"]) for one in record["runs"]} == {("mixed", 100)}
    assert record["device"]["type"] and record["versions"]["torch"]
    assert [one["name"] for one in record["runs"]] == [describe_corruption(one) for one in GROUP]
    assert all(len(one["history"]) <= 3 for one in record["runs"])
    assert {row["lr"] for one in record["runs"] for row in one["history"]} == {0.003}


def test_a_kill_loses_no_finished_run_and_mixes_none(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    killed = True

    def watched(network: str, recipe: Any, train: Split, *rest: Any, **more: Any) -> Any:
        begun.append(rest[1].kind)
        if killed and begun[-1] == "random_pixels":
            raise KeyboardInterrupt
        return memorize(network, recipe, train, *rest, **more)

    monkeypatch.setattr("pipeline.memorize.memorize", watched)

    def ran(**changes: Any) -> list[str]:
        begun.clear()
        try:
            run(place, config(**changes), "net")
        except KeyboardInterrupt:
            assert not place.memorize("net").exists()
        return list(begun)

    kinds = [corruption.kind for corruption in GROUP]
    assert ran() == kinds
    assert ran() == ["random_pixels"]
    assert ran(lr=0.004) == kinds  # finished, but not with these parameters
    assert ran(samples=100) == kinds
    killed = False
    assert ran(samples=100) == ["random_pixels"]
    runs = json.loads(place.memorize("net").read_text())["runs"]
    assert [one["kind"] for one in runs] == kinds and {one["n_train"] for one in runs} == {100}
    place.memorize("net").unlink()
    GROUP.append(kind("shuffled_pixels"))
    try:
        assert ran(samples=100) == ["shuffled_pixels"]  # one more costs one
        assert ran(samples=100) == [*kinds, "shuffled_pixels"]  # forced: nothing new was asked
    finally:
        GROUP.pop()


def test_each_corruption_is_fitted_once_however_near_to_another(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = [kind("labels", 0.5), kind("labels", 0.50000001)]
    asked = config()
    asked.memorize.corruptions = {"one": near, "two": near[1:]}
    asked.memorize.groups = lambda network: ["one", "two"]
    begun: list[float] = []

    def watched(*given: Any) -> Any:
        begun.append(given[4].fraction)
        return memorize(*given)

    monkeypatch.setattr("pipeline.memorize.memorize", watched)
    run(place, asked, "net")
    assert begun == [0.5, 0.50000001]
    runs = json.loads(place.memorize("net").read_text())["runs"]
    assert [(one["group"], one["fraction"]) for one in runs] == [
        ("one", 0.5), ("one", 0.50000001), ("two", 0.50000001),
    ]  # fmt: skip


def test_divergence_names_keys_that_memorize_has(place: Place) -> None:
    with pytest.raises(UserError, match="diverged") as error:
        run(place, config(lr=1e30), "net")
    told = "Lower memorize.networks.net.lr (now 1e+30), or raise its batch_size"
    assert told in str(error.value)
    assert "schedule" not in str(error.value)


def test_fewer_samples_are_a_nested_random_subset() -> None:
    few, many = first_of(TRAIN, 10, "recipe"), first_of(TRAIN, 40, "recipe")
    assert set(few.index.tolist()) < set(many.index.tolist()) < set(TRAIN.index.tolist())
    assert len(few.y) == 10 and few.index.tolist() != TRAIN.index[:10].tolist()
    assert np.array_equal(few.y, TRAIN.y[few.index]) and np.array_equal(few.x, TRAIN.x[few.index])
    assert first_of(TRAIN, None, "recipe") is TRAIN
    with pytest.raises(UserError, match=r"networks\.a\.samples: 121 asked"):
        first_of(TRAIN, len(TRAIN.y) + 1, "networks.a")
