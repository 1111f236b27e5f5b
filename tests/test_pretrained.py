"""Weights to start training from, and networks of which the last layer alone is trained."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from pipeline import watch
from pipeline.base.config import load
from pipeline.base.errors import UserError
from pipeline.base.networks import load_network, new_network, save_network
from pipeline.base.pretrained import read_start
from pipeline.base.splits import Split
from pipeline.base.store import Place, read_json
from pipeline.base.watched import started_from
from pipeline.training.fit import fit
from pipeline.training.modes import training_mode
from test_stages import tiny
from training import CPU, made_up, recipe

TRAIN = made_up(96)


def colour(split: Split) -> Split:
    """The same images in colour, four times as large: for networks that need 32 pixels."""
    return dataclasses.replace(split, x=split.x.repeat(3, 1).repeat(4, 2).repeat(4, 3))


def trained(wanted, train: Split = TRAIN) -> tuple[nn.Module, dict]:
    model, settings = new_network(wanted, train, "networks.n")
    fit(model, train, None, wanted, device=CPU, name="n", keys="networks.n")
    return model, settings


def last(model: nn.Module) -> list[str]:
    return list(model.state_dict())[-2:]


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network with batch norm, as the train stage writes it."""
    path = tmp_path_factory.mktemp("given") / "network.pt"
    save_network(path, *trained(recipe(architecture="cnn", epochs=2)))
    return path


def test_training_starts_from_a_file(cnn: Path) -> None:
    model, settings = new_network(recipe(architecture="cnn", weights=str(cnn)), TRAIN, "n")
    before, described = load_network(cnn)
    assert settings["settings"]["mean"] == described["settings"]["mean"]
    for name, value in before.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_a_last_layer_of_other_classes_is_drawn_anew(cnn: Path) -> None:
    four = made_up(60, classes=4)
    model, _ = new_network(recipe(architecture="cnn", weights=str(cnn)), four, "n")
    before, _ = load_network(cnn)
    ours, theirs = model.state_dict(), before.state_dict()
    assert {name for name in ours if not torch.equal(ours[name], theirs[name])} == set(last(model))
    assert model(torch.rand(2, 1, 8, 8)).shape == (2, 4)


def test_a_frozen_network_trains_its_last_layer(cnn: Path) -> None:
    """Alone: batch norm keeps its statistics too, also beside an attack that switches modes."""
    threat = {"norm": "linf", "eps": 0.05, "steps": 1}
    for adversarial in (None, threat):
        wanted = recipe(
            architecture="cnn", weights=str(cnn), frozen=True, epochs=1, adversarial=adversarial
        )
        model, _ = trained(wanted)
        before, _ = load_network(cnn)
        ours, theirs = model.state_dict(), before.state_dict()
        changed = {name for name in ours if not torch.equal(ours[name], theirs[name])}
        assert changed == set(last(model))


def test_a_frozen_network_still_drops_what_the_recipe_says(cnn: Path) -> None:
    wanted = recipe(architecture="cnn", weights=str(cnn), frozen=True, dropout=0.5)
    model, _ = new_network(wanted, TRAIN, "n")
    inside = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5)).requires_grad_(False)  # of a block
    model.add_module("block", inside)
    training_mode(model)
    dropouts = [part for part in model.modules() if isinstance(part, nn.Dropout)]
    assert all(part.training for part in dropouts) and len(dropouts) > 1
    assert not any(part.training for part in model.modules() if isinstance(part, nn.BatchNorm2d))


def test_a_bare_state_dict_is_normalized_as_itself_says_or_the_images_do(
    cnn: Path, tmp_path: Path
) -> None:
    before, described = load_network(cnn)
    other = dataclasses.replace(TRAIN, x=TRAIN.x // 2)
    file = tmp_path / "w.pth"
    torch.save(before.state_dict(), file)
    whole, settings = new_network(recipe(architecture="cnn", weights=str(file)), other, "n")
    assert settings["settings"]["mean"] == pytest.approx(described["settings"]["mean"])
    assert torch.equal(weight_of(whole), weight_of(before))
    torch.save(before.get_submodule("network").state_dict(), file)
    bare, settings = new_network(recipe(architecture="cnn", weights=str(file)), other, "n")
    _, own = new_network(recipe(architecture="cnn"), other, "n")
    assert settings["settings"]["mean"] == own["settings"]["mean"] != described["settings"]["mean"]
    assert torch.equal(weight_of(bare), weight_of(before))


def weight_of(model: nn.Module) -> torch.Tensor:
    return model.state_dict()[last(model)[0]]


def test_weights_that_another_network_is_to_make_are_waited_for(check, tmp_path: Path) -> None:
    file = "artifacts/networks/plain/network.pt"

    def harden(params: dict) -> None:
        params["networks"]["hardened"] = {"weights": file}

    assert check(harden)[0] == 0
    with pytest.raises(UserError, match=r"no such file yet: .*; train plain first"):
        new_network(recipe(weights=file), TRAIN, "networks.hardened")
    assert started_from(recipe(weights=file)) == {file: None}


def test_a_file_that_does_not_fit_is_told_entry_by_entry(cnn: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"networks.n.weights: .*network.pt: is a cnn, not a small"):
        new_network(recipe(weights=str(cnn)), TRAIN, "networks.n")
    with pytest.raises(UserError, match=r"networks.n.weights: .* of images with 1 channels, not 3"):
        new_network(recipe(architecture="cnn", weights=str(cnn)), colour(TRAIN), "networks.n")
    bare = recipe(architecture="cnn", settings={"batch_norm": False}, weights=str(cnn))
    with pytest.raises(UserError) as error:
        new_network(bare, TRAIN, "networks.n")
    for told in ("networks.n.weights: 0.bias is missing", "running_mean is not expected"):
        assert told in str(error.value)
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"networks.n.weights: .*broken.pt: cannot be read"):
        new_network(recipe(weights=str(broken)), TRAIN, "networks.n")
    torch.save({"architecture": "cnn", "weight": torch.zeros(1)}, broken)  # of another program
    with pytest.raises(UserError, match=r"networks.n.weights: .*architecture are no tensors"):
        new_network(recipe(architecture="cnn", weights=str(broken)), TRAIN, "networks.n")


def test_torchvisions_weights_come_from_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A made-up cache: the file that torchvision would download, with weights that are known."""
    from torchvision.models import get_model, get_model_weights

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(1)
    theirs = get_model("squeezenet1_1").state_dict()
    url = get_model_weights("squeezenet1_1").DEFAULT.url
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(theirs, cache / url.split("/")[-1])

    wanted = recipe(architecture="torchvision.squeezenet1_1", weights="imagenet", frozen=True)
    for train, inner in ((colour(TRAIN), "network"), (grey(TRAIN), "network.1")):
        model, settings = new_network(wanted, train, "networks.n")
        ours = model.get_submodule(inner).state_dict()
        different = {name for name in ours if not torch.equal(ours[name], theirs[name])}
        assert different == {"classifier.1.weight", "classifier.1.bias"}
        assert settings["settings"]["mean"][0] == pytest.approx(
            0.485 if inner == "network" else 0.449
        )
        assert {name for name, p in model.named_parameters() if p.requires_grad} == {
            f"{inner}.classifier.1.weight", f"{inner}.classifier.1.bias"
        }  # fmt: skip
    # A file that ends early is told from one that is not there.
    whole = (cache / url.split("/")[-1]).read_bytes()
    (cache / url.split("/")[-1]).write_bytes(whole[:1000])
    with pytest.raises(UserError, match=r"squeezenet1_1-.*cannot be read.*delete it"):
        new_network(wanted, colour(TRAIN), "networks.n")
    (cache / url.split("/")[-1]).write_bytes(whole)
    # A state_dict in a file does as well as torchvision's cache.
    named = wanted.model_copy(update={"weights": str(cache / url.split("/")[-1])})
    same, _ = new_network(named, grey(TRAIN), "networks.n")
    assert torch.equal(
        same.state_dict()["network.1.features.0.weight"], theirs["features.0.weight"]
    )


def grey(split: Split) -> Split:
    return dataclasses.replace(split, x=split.x.repeat(4, 2).repeat(4, 3))


def test_without_a_network_the_way_to_the_weights_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*args: object, **kwargs: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", nothing)
    wanted = recipe(architecture="torchvision.resnet18", weights="imagenet")
    with pytest.raises(UserError) as error:
        new_network(wanted, colour(TRAIN), "networks.n")
    for told in ("networks.n.weights: imagenet", str(tmp_path), "no network", "resnet18-", ".pth"):
        assert told in str(error.value)


def test_pixels_are_normalized_as_the_weights_were_trained(tmp_path: Path) -> None:
    file = str(tmp_path / "any.pt")
    torch.save({"weight": torch.zeros(1)}, file)
    centred = read_start(file, "torchvision.googlenet", 3, "k")
    assert (centred.mean, centred.std) == ([0.5] * 3, [0.5] * 3)
    grey = read_start(file, "torchvision.resnet18", 1, "k")
    assert np.allclose([grey.mean, grey.std], [[0.449], [0.226]])


def test_dvc_sees_another_file_of_weights(cnn: Path, tmp_path: Path) -> None:
    file = tmp_path / "given.pt"
    shutil.copy(cnn, file)
    wanted = recipe(architecture="cnn", weights=str(file))
    before = started_from(wanted)
    assert list(before) == [str(file)]
    file.write_bytes(file.read_bytes() + b" ")
    assert started_from(wanted) != before
    assert started_from(recipe()) == {}


def test_dvc_sees_the_weights_that_memorizing_starts_from(cnn: Path, tmp_path: Path) -> None:
    params = tiny()
    params["memorize"]["networks"] = {"given": {"architecture": "cnn", "weights": str(cnn)}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    place = Place(tmp_path)
    watch.run(place, load(tmp_path / "params.yaml"))
    assert list(read_json(place.watched / "memorize/given.json")) == [str(cnn)]
    assert read_json(place.watched / "plain.json") == {}
