"""Training: it learns, it is repeatable to the bit, it resumes, it refuses to diverge."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from attacks.threat import ThreatModel
from pipeline import train as stage
from pipeline.base.errors import UserError
from pipeline.base.networks import load_network, new_network
from pipeline.base.splits import Split
from pipeline.base.store import Place, write_npz
from pipeline.data import load_source, split
from pipeline.training.checkpoint import Checkpoint, training_key
from pipeline.training.fit import Fitted, fit
from pipeline.training.images import Images, accuracy
from pipeline.training.modes import attacked
from pipeline.training.optimizer import optimizer_for
from pipeline.training.perturb import perturb
from training import CPU, made_up, recipe

TRAIN, VALIDATION = made_up(150), made_up(60, seed=1)


def trained(**changes: Any) -> tuple[Fitted, dict[str, torch.Tensor]]:
    wanted = recipe(**changes)
    model, _ = new_network(wanted, TRAIN, "networks.test")
    fitted = fit(model, TRAIN, VALIDATION, wanted, device=CPU, name="test", keys="networks.test")
    return fitted, model.state_dict()


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one | other)


EVERYTHING = {
    "epochs": 4,
    "dropout": 0.3,
    "augmentation": "heavier",
    "flip": True,
    "adversarial": {"norm": "linf", "eps": 0.05, "steps": 2},
    "weight_decay": 1e-3,
    "label_smoothing": 0.1,
    "select": "best",
}


@pytest.mark.parametrize("changes", [{}, EVERYTHING, {"architecture": "cnn", "optimizer": "adam"}])
def test_reruns_give_the_same_bits_and_leave_the_global_generator(changes: dict[str, Any]) -> None:
    before = torch.get_rng_state()
    _, first = trained(**changes)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    _, second = trained(**changes)
    assert equal(first, second)
    _, other = trained(**changes, seeds=[1])
    assert not equal(first, other)


def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    wanted = recipe(**EVERYTHING, optimizer="adamw", lr=0.01)
    straight, _ = new_network(wanted, TRAIN, "networks.test")
    whole = fit(straight, TRAIN, VALIDATION, wanted, device=CPU, name="test", keys="k")

    class KilledError(Exception):
        pass

    def kill_in_epoch_3(row: dict[str, Any]) -> bool:
        if row["epoch"] == 3:
            raise KilledError
        return False

    path = tmp_path / "work" / "half.pt"
    model, _ = new_network(wanted, TRAIN, "networks.test")
    with pytest.raises(KilledError):
        fit(
            model,
            TRAIN,
            VALIDATION,
            wanted,
            device=CPU,
            name="test",
            keys="k",
            checkpoint=Checkpoint(path, seconds_between=0),
            finished=kill_in_epoch_3,
        )
    assert path.exists()

    epochs = []
    again, _ = new_network(wanted.seeded(5), TRAIN, "networks.test")
    resumed = fit(
        again,
        TRAIN,
        VALIDATION,
        wanted,
        device=CPU,
        name="test",
        keys="k",
        checkpoint=Checkpoint(path),
        finished=lambda row: bool(epochs.append(row["epoch"])),  # type: ignore[func-returns-value]
    )
    assert epochs == [3, 4]
    assert equal(straight.state_dict(), again.state_dict())
    assert resumed.selected_epoch == whole.selected_epoch

    def told(fitted: Fitted) -> list[dict[str, Any]]:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in fitted.history]

    assert told(resumed) == told(whole)


def test_a_damaged_checkpoint_is_training_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "half.pt"
    path.write_bytes(b"PK\x03\x04 cut off")
    assert Checkpoint(path).load() is None
    assert Checkpoint(tmp_path / "none.pt").load() is None


def test_learns_what_can_be_learned() -> None:
    fitted, _ = trained(epochs=6)
    last = fitted.history[-1]
    assert last["validation_acc"] == 1.0 and last["train_acc"] > 0.98
    assert last["loss"] < fitted.history[0]["loss"] / 5
    assert [row["epoch"] for row in fitted.history] == [1, 2, 3, 4, 5, 6]
    assert last["validation_robust_acc"] is None
    assert fitted.selected_epoch == 6


def test_best_keeps_the_weights_of_the_best_epoch() -> None:
    # Too few images for the accuracy on others, nearly all noise, to rise steadily.
    wanted = recipe(epochs=6, lr=0.03, schedule="constant", dropout=0.5, select="best")
    model, _ = new_network(wanted, TRAIN, "networks.test")
    noise = np.random.default_rng(0).integers(0, 256, VALIDATION.x.shape)
    blurred = (0.25 * VALIDATION.x + 0.75 * noise).astype(np.uint8)
    hard = dataclasses.replace(VALIDATION, x=blurred)
    seen: list[dict[str, torch.Tensor]] = []

    def keep(row: dict[str, Any]) -> bool:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return False

    fitted = fit(model, TRAIN, hard, wanted, device=CPU, name="test", keys="k", finished=keep)
    values = [row["validation_acc"] for row in fitted.history]
    assert len(set(values)) > 1
    best = max(range(6), key=lambda epoch: (values[epoch], epoch))
    assert fitted.selected_epoch == best + 1
    assert equal(model.state_dict(), seen[best])
    assert accuracy(model, Images(hard, CPU)) == values[best]


def test_divergence_is_an_error_that_names_the_key() -> None:
    with pytest.raises(UserError) as error:
        trained(lr=1e6, schedule="constant")
    message = str(error.value)
    assert "networks.test: training diverged in epoch 1" in message
    assert "networks.test.lr (now 1e+06)" in message and "one_cycle" in message


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_adversary_stays_in_the_ball_and_hurts(norm: str) -> None:
    wanted = recipe(epochs=4)
    model, _ = new_network(wanted, TRAIN, "k")
    fit(model, TRAIN, None, wanted, device=CPU, name="test", keys="k")
    model.train()
    x, y = Images(VALIDATION, CPU).batch(slice(None))
    threat = ThreatModel(norm, {"linf": 0.3, "l2": 2.5}[norm])
    x_adv = perturb(model, x, y, threat, 5, torch.Generator().manual_seed(0))
    assert model.training and not x_adv.requires_grad
    assert all(p.grad is None or not p.grad.isnan().any() for p in model.parameters())
    assert threat.distance(x_adv, x).max() <= threat.eps + 1e-6
    assert x_adv.min() >= 0 and x_adv.max() <= 1
    model.eval()
    assert (model(x).argmax(1) == y).float().mean() > 0.95
    assert (model(x_adv).argmax(1) == y).float().mean() < 0.5


def test_the_adversary_leaves_batch_norm_statistics_alone() -> None:
    model, _ = new_network(recipe(architecture="cnn"), TRAIN, "k")
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x, y = Images(VALIDATION, CPU).batch(slice(20))
    perturb(model, x, y, ThreatModel("linf", 0.1), 3, torch.Generator().manual_seed(0))
    assert equal(before, model.state_dict())


def test_an_attack_that_fails_leaves_the_network_as_it_was() -> None:
    model = torch.nn.Linear(4, 2)
    model.bias.requires_grad_(False)
    x = torch.rand(3, 4)

    def failing(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        assert not model.training and not model.weight.requires_grad
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        perturb(model, x, x, ThreatModel("linf", 0.1), 1, torch.Generator(), loss=failing)
    assert model.training and model.weight.requires_grad and not model.bias.requires_grad


def test_after_an_attack_every_part_is_in_the_mode_that_it_was_in() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Dropout(), torch.nn.BatchNorm1d(3))
    model[1].eval()
    with attacked(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, True, False, True]


def test_what_training_reads_back_grows_with_neither_steps_nor_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A GPU waits at each read."""
    monkeypatch.setattr("pipeline.training.fit.SECONDS_BETWEEN_LOOKS", 0.0)  # at each step

    class Reads(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            self.count += func is torch.ops.aten._local_scalar_dense.default
            return func(*args, **kwargs or {})

    def reads(**changes: Any) -> int:
        with Reads() as seen:
            trained(epochs=1, optimizer="adam", nesterov=False, **changes)
        return seen.count

    few, many = reads(batch_size=75), reads(batch_size=15)
    # A look at one step reads the loss for the check and for the display, and the weights.
    assert few == reads(batch_size=75, architecture="cnn") and (many - few) / 8 <= 3
    monkeypatch.setattr("pipeline.training.fit.SECONDS_BETWEEN_LOOKS", math.inf)
    assert reads(batch_size=75) == reads(batch_size=15) <= 6


def test_a_weight_that_is_not_finite_is_divergence_though_the_loss_is() -> None:
    with pytest.raises(UserError, match=r"diverged in epoch 1: a weight is not finite"):
        trained(epochs=1, lr=1e39, schedule="constant", batch_size=150)


def test_the_training_threat_rises_over_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[float] = []

    def watched(
        model: Any, x: Any, y: Any, threat: ThreatModel, *rest: Any, **settings: Any
    ) -> torch.Tensor:
        if model.training:  # not validation
            met.append(threat.eps)
        return perturb(model, x, y, threat, *rest, **settings)

    monkeypatch.setattr("pipeline.training.adversary.perturb", watched)
    adversarial = {"norm": "linf", "eps": 0.2, "steps": 1, "warm_up": 0.5}
    trained(epochs=2, batch_size=15, adversarial=adversarial)  # 20 steps
    assert met == pytest.approx([0.02 * step for step in range(1, 11)] + [0.2] * 10)
    met.clear()
    trained(epochs=1, batch_size=15, adversarial=adversarial | {"warm_up": 0.0})
    assert met == [0.2] * 10


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_weight_decay_is_for_weights_alone(name: str) -> None:
    model, _ = new_network(recipe(architecture="cnn"), TRAIN, "k")
    optimizer = optimizer_for(model, recipe(optimizer=name, weight_decay=0.01))
    assert type(optimizer).__name__.lower() == name
    decay = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    for parameter in model.parameters():
        assert decay[id(parameter)] == (0.01 if parameter.ndim > 1 else 0.0)


def test_a_batch_of_one_image_is_not_left_to_batch_norm() -> None:
    """150 images: what a folder holds is known no sooner than here."""
    with pytest.raises(UserError, match=r"networks.test.batch_size: 1 leaves one of 150 images"):
        trained(architecture="cnn", batch_size=1)
    few = {"architecture": "cnn", "epochs": 1, "lr": 0.001}
    trained(**few, batch_size=2)
    trained(**few, batch_size=1, settings={"batch_norm": False})


def test_normalization_comes_from_the_training_images() -> None:
    _, settings = new_network(recipe(), TRAIN, "k")
    scaled = TRAIN.x / 255
    assert settings["settings"]["mean"] == [pytest.approx(scaled.mean(), abs=1e-4)]
    assert settings["settings"]["std"] == [pytest.approx(scaled.std(), abs=1e-4)]


def test_an_architecture_that_cannot_take_the_images() -> None:
    with pytest.raises(UserError, match=r"networks.n.architecture: lenet5 takes .* not 8x8"):
        new_network(recipe(architecture="lenet5"), TRAIN, "networks.n")


# The stage: files in, files out.


class OneNetwork:
    """As much of a Config as the stage reads."""

    def __init__(self, **changes: Any) -> None:
        self.networks = {"net": changes}
        self.recipe = recipe()

    def recipe_of(self, network: str) -> Any:
        return recipe(**self.networks[network])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return written(tmp_path, VALIDATION)


def written(folder: Path, validation: Split) -> Place:
    place = Place(folder)
    arrays = {}
    for part, found in (("train", TRAIN), ("validation", validation), ("test", made_up(9))):
        arrays |= {f"x_{part}": found.x, f"y_{part}": found.y, f"index_{part}": found.index}
    classes = np.array(TRAIN.classes)
    write_npz(place.data, **arrays, classes=classes, levels=np.array(255), checksum=np.array("x"))
    return place


def test_the_stage_writes_weights_that_load_again(place: Place) -> None:
    stage.run(place, OneNetwork(epochs=4), "net")  # type: ignore[arg-type]
    folder = place.network("net")
    names = ["network.pt", "seeds.json", "training.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    record = json.loads((folder / "training.json").read_text())
    assert record["network"] == "net" and len(record["history"]) == 4
    assert record["selected_epoch"] == 4 and record["recipe"]["epochs"] == 4
    assert record["device"]["type"] and record["versions"]["torch"]
    model, info = load_network(folder)
    assert not model.training
    assert info["parameters"] == record["parameters"] == sum(p.numel() for p in model.parameters())
    assert info["shape"] == [1, 8, 8] and info["classes"] == 3
    found = accuracy(model, Images(VALIDATION, CPU))
    assert found == record["clean_acc_validation"] == record["history"][-1]["validation_acc"]

    weights = (folder / "network.pt").read_bytes()
    stage.run(place, OneNetwork(epochs=4), "net")  # type: ignore[arg-type]
    assert (folder / "network.pt").read_bytes() == weights
    assert not list(place.work.glob("*"))  # too short for a checkpoint


def test_without_validation_images_the_last_epoch_is_kept(tmp_path: Path) -> None:
    none = dataclasses.replace(
        VALIDATION, x=VALIDATION.x[:0], y=VALIDATION.y[:0], index=VALIDATION.index[:0]
    )
    place = written(tmp_path, none)
    against = {"norm": "linf", "eps": 0.1, "steps": 1}
    for own in ({}, {"adversarial": against}):
        stage.run(place, OneNetwork(epochs=2, **own), "net")  # type: ignore[arg-type]
        record = json.loads((place.network("net") / "training.json").read_text())
        assert record["selected_epoch"] == 2 and record["history"][-1]["train_acc"] > 0
        assert record["clean_acc_validation"] is record["robust_acc_validation"] is None
        assert not any("validation_acc" in row for row in record["history"])


def test_divergence_leaves_no_weights(place: Place) -> None:
    with pytest.raises(UserError, match=r"networks\.net: training diverged"):
        stage.run(place, OneNetwork(lr=1e6, schedule="constant"), "net")  # type: ignore[arg-type]
    assert not list(place.artifacts.rglob("network.pt"))


def test_what_changes_a_training_run_changes_its_key_and_nothing_else_does(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(device: str = "cpu", **changes: Any) -> str:
        return training_key(place, recipe(**changes), torch.device(device))

    assert key(compile=True) == key()  # nothing is compiled on a CPU
    assert key("cuda", compile=True) != key("cuda") != key()
    weights = key(weights="imagenet", architecture="torchvision.resnet18")
    monkeypatch.setattr("pipeline.base.versions.version", lambda package: "0.0")
    assert key(weights="imagenet", architecture="torchvision.resnet18") != weights


def test_only_a_checkpoint_of_the_same_run_is_resumed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoint, "is_due", lambda self: True)
    monkeypatch.setattr(Checkpoint, "remove", lambda self: None)
    started: list[int] = []
    original = fit

    def watched(*args: Any, **kwargs: Any) -> Fitted:
        saved = kwargs["checkpoint"].load()
        started.append(len(saved["history"]) if saved else 0)
        return original(*args, **kwargs)

    monkeypatch.setattr(stage, "fit", watched)
    stage.run(place, OneNetwork(epochs=3), "net")  # type: ignore[arg-type]
    other = place.work / f"train-net_b-{'0' * 16}.pt"
    other.write_bytes(b"of another network")
    stage.run(place, OneNetwork(epochs=3), "net")  # type: ignore[arg-type]
    stage.run(place, OneNetwork(epochs=3, lr=0.05), "net")  # type: ignore[arg-type]
    assert started == [0, 2, 0]
    assert len(list(place.work.glob("train-net-*.pt"))) == 1  # the outdated one is gone
    monkeypatch.undo()
    stage.run(place, OneNetwork(epochs=3, lr=0.05), "net")  # type: ignore[arg-type]
    assert not list(place.work.glob("train-net-*.pt"))  # nor is one left when all went well
    assert other.exists()


def test_a_file_that_is_no_network(tmp_path: Path) -> None:
    path = tmp_path / "network.pt"
    with pytest.raises(UserError, match=r"network\.pt: missing"):
        load_network(tmp_path)
    for content in (b"", b"PK\x03\x04 cut", pickle.dumps("a string", protocol=2)):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"network\.pt: not a network"):
            load_network(tmp_path)
    torch.save(["a", "list"], path)
    with pytest.raises(UserError, match=r"network\.pt: not a network"):
        load_network(tmp_path)


@pytest.mark.timeout(180)
def test_digits_yardstick() -> None:
    """What the recipes of params.yaml are to reach: real digits, clean and under PGD."""
    splits = split(load_source("digits", None), seed=0, validation=0.1, test=0.2, samples=None)
    test = Images(splits["test"], CPU)
    x, y = test.batch(slice(None))
    threat = ThreatModel("linf", 0.15)
    found = {}
    for name, changes in (
        ("plain", {"epochs": 15, "batch_size": 32}),
        (
            "adversarial",
            {
                "epochs": 15,
                "batch_size": 64,
                "adversarial": {"norm": "linf", "eps": 0.15, "steps": 7},
            },
        ),
    ):
        wanted = recipe(**changes)
        model, _ = new_network(wanted, splits["train"], "k")
        fit(model, splits["train"], splits["validation"], wanted, device=CPU, name=name, keys="k")
        x_adv = perturb(model, x, y, threat, 40, torch.Generator().manual_seed(0))
        robust = float((model(x_adv).argmax(1) == y).float().mean())
        found[name] = accuracy(model, test), robust
    assert found["plain"][0] >= 0.975 and found["plain"][1] <= 0.35
    assert found["adversarial"][0] >= 0.98 and found["adversarial"][1] >= 0.75
