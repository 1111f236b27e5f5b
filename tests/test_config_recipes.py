"""Recipes in params.yaml: what contradicts itself, what nothing reads, what is doubtful."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from edits import Edit, memorizer, put
from pipeline.__main__ import main
from pipeline.base.config import Recipe
from pipeline.base.config.augmentation import Augmentation
from pipeline.base.config.recipe import Adversarial

ROOT = Path(__file__).parent.parent


def _network(**own: Any) -> Edit:
    return lambda params: params["networks"].update(own=own)


def _against(**settings: Any) -> Edit:
    return _network(adversarial={"norm": "linf", "eps": 0.1} | settings)


CONTRADICTIONS = [
    (_network(optimizer="adam", momentum=0.8), ["networks.own.momentum", "sgd and rmsprop"]),
    (_network(optimizer="rmsprop", nesterov=True), ["networks.own.nesterov", "sgd's"]),
    (_network(momentum=0, nesterov=True), ["networks.own.nesterov", "write false"]),
    (_network(schedule="step", lr_decay=0.1), ["networks.own.lr_milestones", "[0.5, 0.75]"]),
    (_network(schedule="step", lr_milestones=[0.5]), ["networks.own.lr_decay", "such as 0.1"]),
    (_network(schedule="exponential"), ["networks.own.lr_decay", "needed"]),
    (_network(schedule="exponential", lr_decay=1.5), ["networks.own.lr_decay", "below 1", "1.5"]),
    (_network(lr_decay=0.1), ["networks.own.lr_decay", "step, exponential and inverse"]),
    (_network(lr_milestones=[0.5]), ["networks.own.lr_milestones", "write null"]),
    (
        _network(schedule="step", lr_decay=0.1, lr_milestones=[0.75, 0.5]),
        ["networks.own.lr_milestones", "must rise"],
    ),
    (_network(warm_up=0), ["networks.own.warm_up", "schedule: cosine"]),
    (_network(loss="hinge", label_smoothing=0.1), ["networks.own.label_smoothing", "hinge"]),
    (_network(flip=True), ["networks.own.flip", "augmentation is none"]),
    (_network(patience=3), ["networks.own.patience", "select: best"]),
    (
        _network(augmentation={"scheme": "light", "mixup": 0.4}, loss="hinge"),
        ["networks.own.augmentation.mixup", "hinge"],
    ),
    (
        _network(augmentation={"scheme": "light", "color": 0.4}),
        ["networks.own.augmentation.color", "grey"],
    ),
    (
        _network(augmentation={"scheme": "light", "cutout": 8}),
        ["networks.own.augmentation.cutout", "8x8", "at most 7"],
    ),
    (
        _network(augmentation={"scheme": "light", "crop": 9}),
        ["networks.own.augmentation.crop", "at most 7"],
    ),
    (_network(augmentation="lite"), ["networks.own.augmentation", "'light'", "'lite'"]),
    (
        _network(augmentation={"scheme": "light", "cutuot": 3}),
        ["networks.own.augmentation.cutuot", "did you mean 'cutout'?"],
    ),
    (_network(augmentation={"cutout": 3}), ["networks.own.augmentation.scheme: missing"]),
    (_against(method="fgsm", guard="stop", steps=7), ["networks.own.adversarial.steps", "fgsm"]),
    (_against(method="fgsm"), ["networks.own.adversarial.guard: missing", "stop"]),
    (_against(), ["networks.own.adversarial.steps: missing", "such as 7"]),
    (_against(steps=7, beta=6), ["networks.own.adversarial.beta", "only trades"]),
    (_against(steps=7, guard="tell"), ["networks.own.adversarial.guard", "only fgsm"]),
    (_against(method="trades", steps=7), ["networks.own.adversarial.beta: missing", "6.0"]),
    (_against(method="trade", steps=7), ["networks.own.adversarial.method", "'trades'"]),
    (
        memorizer(adversarial={"norm": "linf", "eps": 0.1, "method": "fgsm", "guard": "tell"}),
        ["memorize.networks.heart.adversarial.guard", "none are judged here; leave it out"],
    ),
    (
        lambda params: (
            _against(method="trades", steps=7, beta=6)(params),
            params["networks"]["own"].update(loss="hinge"),
        ),
        ["networks.own.adversarial.method", "hinge"],
    ),
    (
        _network(architecture="preact_resnet18", batch_size=1),
        ["networks.own.batch_size: 1 leaves one of 1293 images alone", "batch norm"],
    ),
    (
        _network(architecture="resnet18", batch_size=2),
        ["networks.own.batch_size: 2 leaves one of 1293"],
    ),
    (
        _network(architecture="cnn", batch_size=2, samples=81),
        ["networks.own.batch_size: 2 leaves one of 81 images"],
    ),
    (
        memorizer(architecture="cnn", batch_size=1),
        ["memorize.networks.heart.batch_size: 1 leaves one of 1293"],
    ),
    (
        _network(augmentation={"scheme": "none", "mixup": 0.4}, batch_size=1),
        ["networks.own.augmentation.mixup: an image is mixed with another", "batch_size is 1"],
    ),
    (put("recipe", "optimizer")("adam"), ["recipe.momentum: no network", "recipe.nesterov"]),
    (put("recipe", "optimizer")("adm"), ["recipe.optimizer", "'adamw'"]),
    (put("recipe", "lr_decay")(0.5), ["recipe.lr_decay: no network"]),
]


@pytest.mark.parametrize(
    ("edit", "told"), CONTRADICTIONS, ids=[told[0] for _, told in CONTRADICTIONS]
)
def test_a_setting_that_nothing_would_read_is_refused_with_the_reason(check, edit, told) -> None:
    code, message = check(edit)
    assert code == 2
    for part in told:
        assert part in message


def test_what_a_network_inherits_and_cannot_use_is_no_error(check) -> None:
    assert check(_network(optimizer="adam", lr=0.003)) == (0, "")
    assert check(_network(loss="hinge")) == (0, "")
    assert check(_network(schedule="inverse", lr_decay=0.5, warm_up=0.1)) == (0, "")
    stop = {"patience": 2, "select": "best", "schedule": "constant"}
    assert check(_network(**stop)) == (0, "")
    own = {"scheme": "none", "crop": 2, "mixup": 0.2, "rotation": 45}
    assert check(_network(augmentation=own)) == (0, "")
    assert check(_network(architecture="resnet18", batch_size=2, samples=80)) == (0, "")
    assert check(_network(architecture="resnet18", batch_size=3)) == (0, "")
    without = {"architecture": "cnn", "settings": {"batch_norm": False}, "batch_size": 1}
    assert check(_network(**without)) == (0, "")
    fgsm = {"norm": "linf", "eps": 0.1, "method": "fgsm"}
    assert check(memorizer(adversarial=fgsm)) == (0, "")
    assert check(put("recipe", "adversarial")(fgsm | {"guard": "stop"})) == (0, "")


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"augmentation": "light", "flip": True}, ["networks.own.flip", "digits"]),
        ({"patience": 3, "select": "best"}, ["networks.own.patience", "one_cycle"]),
        (
            {"augmentation": {"scheme": "light", "rotation": 46}},
            ["networks.own.augmentation.rotation", "a 6 becomes a 9", "46"],
        ),
    ],
)
def test_what_is_doubtful_is_said_and_done(check, own, told) -> None:
    code, message = check(_network(**own))
    assert code == 0 and message.startswith("warning: ")
    for part in told:
        assert part in message


def test_networks_that_memorize_are_warned_of_too_by_themselves(check) -> None:
    code, message = check(memorizer(augmentation="light", flip=True))
    assert code == 0
    (line,) = message.splitlines()
    assert line.startswith("warning: ") and "memorize.networks.heart.flip: digits" in line


def test_the_page_on_training_has_every_key_and_examples_that_are_well(tmp_path, capsys) -> None:
    page = (ROOT / "docs" / "training.md").read_text()
    for name in {*Recipe.model_fields, *Augmentation.model_fields, *Adversarial.model_fields}:
        assert f"`{name}" in page or f"{name}:" in page, name
    params = yaml.safe_load((ROOT / "experiments" / "cifar10" / "params.yaml").read_text())
    for block in page.split("```yaml\n")[1:]:
        params["networks"] |= yaml.safe_load(block.split("```")[0])["networks"]
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    assert main(["check-config", "--params", str(path)]) == 0
    assert capsys.readouterr().err == ""
