"""params.yaml: what is wrong is told, all of it, with its place and what is allowed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.__main__ import main
from pipeline.base.config import Recipe, load
from pipeline.base.config.augmentation import Augmentation
from pipeline.base.config.recipe import Adversarial

ROOT = Path(__file__).parent.parent


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Edit the shipped params.yaml, run `check-config` on it: exit code and message."""
    shipped = yaml.safe_load((ROOT / "params.yaml").read_text())

    def run(edit: Callable[[dict[str, Any]], object]) -> tuple[int, str]:
        params = copy.deepcopy(shipped)
        edit(params)
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(params))
        code = main(["check-config", "--params", str(path)])
        return code, capsys.readouterr().err

    return run


def _set(*path: str | int) -> Callable[[Any], Callable[[dict[str, Any]], object]]:
    *way, last = path

    def to(value: Any) -> Callable[[dict[str, Any]], object]:
        def edit(params: dict[str, Any]) -> None:
            place: Any = params
            for part in way:
                place = place[part]
            place[last] = value

        return edit

    return to


def _attack(**settings: Any) -> Callable[[dict[str, Any]], object]:
    return _set("suites", "linf", "attacks")([settings])


def _memorizer(**settings: Any) -> Callable[[dict[str, Any]], object]:
    return _set("memorize", "networks", "heart")(settings)


WRONG = [
    # The wrong type where a name or a list is looked up.
    (_set("memorize", "networks", "plain")(5), ["memorize.networks.plain", "dictionary"]),
    (_set("headline", "suite")(["linf"]), ["headline.suite", "string"]),
    (_set("data", "name")(["digits"]), ["data.name", "'digits'", "'svhn'"]),
    (_set("suites", "linf", "attacks")(["pgd"]), ["suites.linf.attacks.0", "dictionary"]),
    (_set("recipe", "epochs")(True), ["recipe.epochs", "true or false"]),
    # Seeds of training runs: a list, each once.
    (_set("networks", "plain", "seeds")(1), ["networks.plain.seeds", "list"]),
    (_set("networks", "plain", "seeds")([]), ["networks.plain.seeds", "at least 1"]),
    (_set("networks", "plain", "seeds")([0, 1, 0]), ["networks.plain.seeds", "once", "0 twice"]),
    (_set("recipe", "seeds")([0, True, -1]), ["recipe.seeds.1", "integer", "recipe.seeds.2"]),
    (_set("networks", "plain", "seed")(1), ["networks.plain.seed", "did you mean 'seeds'?"]),
    (_set("networks", "plain", "lr")(True), ["networks.plain.lr", "true or false"]),
    (_set("headline", "eps")(True), ["headline.eps", "true or false"]),
    (_set("suites", "linf", "eps")([True]), ["suites.linf.eps.0", "8/255"]),
    (_set("suites", "linf", "eps")(["1e400"]), ["suites.linf.eps.0", "finite"]),
    # Attacks that cannot be read, and settings that mean nothing.
    (_attack(attack="sys:exit"), ["suites.linf.attacks", "'sys'"]),
    (_attack(attack=".nothing:f"), ["suites.linf.attacks", "'.nothing'"]),
    (_attack(attack="math:sqrt"), ["suites.linf.attacks", "'math'"]),
    (_attack(attack="networks:trained"), ["suites.linf.attacks", "custom/"]),
    (_attack(attack="pgd", restarts=0), ["pgd.restarts must be more than 0"]),
    (_attack(attack="fmn", steps=0), ["fmn.steps must be more than 0"]),
    (_attack(attack="pgd", step_size=float("nan")), ["pgd.step_size must be finite"]),
    (_attack(attack="pgd", step_size=float("inf")), ["pgd.step_size must be finite"]),
    (_attack(attack="pgd", steps=True), ["pgd.steps must be int"]),
    (_set("noise", "draws")(0), ["noise.draws", "equal to 1"]),
    # What the data set cannot give, and what no one can mean.
    (
        _set("networks", "adversarial", "adversarial", "eps")(1.5),
        ["networks.adversarial.adversarial.eps", "at most 1"],
    ),
    (
        _set("recipe", "adversarial")({"norm": "l2", "eps": 9, "steps": 3}),
        ["recipe.adversarial.eps", "at most 8"],
    ),
    (_set("noise", "kinds")(["corners"]), ["noise.kinds", "l2", "suites.l2", "uniform"]),
    (_set("evaluation", "samples")(361), ["evaluation.samples", "360 test images"]),
    (_set("recipe", "samples")(1294), ["recipe.samples", "1293 training images"]),
    (_set("networks", "plain", "samples")(0), ["networks.plain.samples", "equal to 1"]),
    (_set("memorize", "recipe", "samples")(1294), ["memorize.recipe.samples", "1293 training"]),
    (_set("memorize", "recipe", "epoch")(3), ["memorize.recipe.epoch", "'epochs'"]),
    (_set("memorize", "recipe", "seeds")([3]), ["memorize.recipe.seeds", "memorize.seed"]),
    (_memorizer(lr="fast"), ["memorize.networks.heart.lr", "number", "'fast'"]),
    (_memorizer(lr_decay=0.9), ["memorize.networks.heart.lr_decay", "exponential"]),
    (_set("memorize", "recipe", "lr_decay")(0.9), ["memorize.recipe.lr_decay: no network uses"]),
    (_memorizer(select="best"), ["memorize.networks.heart.select", "last epoch"]),
    (_memorizer(samples=1294), ["memorize.networks.heart.samples", "1293 training images"]),
    (_memorizer(architecture="lenet5"), ["memorize.networks.heart.architecture", "8x8"]),
    (_memorizer(corruptions=["label"]), ["memorize.networks.heart.corr", "mean 'labels'?"]),
    (_memorizer(corruptions=["labels", "labels"]), ["corruptions: each", "labels twice"]),
    (_memorizer(corruptions="labels"), ["memorize.networks.heart.corruptions", "list of names"]),
    (_set("data", "samples")(1294), ["data.samples", "1293 training images"]),
    (
        _set("memorize", "corruptions", "images")([{"kind": "shuffled_pixels", "fraction": 0.5}]),
        ["memorize.corruptions.images.0.fraction", "only labels"],
    ),
    (
        _set("memorize", "corruptions", "images")([{"kind": "gaussian"}, {"kind": "gaussian"}]),
        ["memorize.corruptions.images", "listed once", "gaussian"],
    ),
    (_set("datas")({}), ["datas", "did you mean 'data'?"]),
    (_set("recipe", "epoch")(3), ["recipe.epoch", "did you mean 'epochs'?"]),
    (_set("networks", "plain", "epoch")(3), ["networks.plain.epoch", "'epochs'"]),
    (_set("networks", "plain", "lr")("fast"), ["networks.plain.lr", "number", "'fast'"]),
    (_set("recipe", "epochs")(2.5), ["recipe.epochs", "integer", "2.5"]),
    (_set("suites", "linf", "eps")([-0.1, 0.15]), ["suites.linf.eps.0", "greater than 0"]),
    (_set("suites", "linf", "eps")([0.15, 1.5]), ["suites.linf.eps", "at most 1"]),
    (_set("suites", "l2", "eps")([0.5, 9.0]), ["suites.l2.eps", "at most 8"]),
    (_set("noise", "eps", "l2")([0.5, 9.0]), ["noise.eps.l2", "at most 8"]),
    (_set("suites", "linf", "eps")([0.2, 0.15]), ["suites.linf.eps", "increase"]),
    (_set("suites", "linf", "eps")([]), ["suites.linf.eps", "at least 1"]),
    (_set("suites", "linf", "eps")(["eight/255"]), ["suites.linf.eps.0", "8/255"]),
    (_set("networks", "a-b")({}), ["networks.a-b", "lower-case letters, digits and _"]),
    (_set("suites", "l2.x")({}), ["suites.l2.x", "lower-case letters, digits and _"]),
    (_set("networks", "plain", "architecture")("lenet5"), ["networks.plain.arch", "28x28", "8x8"]),
    (_set("recipe", "architecture")("resnet19"), ["recipe.architecture", "'resnet18'"]),
    (_set("networks", "plain", "architecture")("small_cn"), ["networks.plain.arch", "'small_cnn'"]),
    (_set("recipe", "weights")("imagenet"), ["recipe.weights", "torchvision.* alone", "small_cnn"]),
    (_set("recipe", "weights")("none.pt"), ["recipe.weights", "no such file: none.pt"]),
    (_set("recipe", "weights")("imagnet"), ["recipe.weights", "imagenet or a file", "'imagnet'"]),
    (_set("networks", "plain", "frozen")(True), ["networks.plain.frozen", "give weights"]),
    (
        _set("networks", "plain")(
            {
                "architecture": "torchvision.resnet18",
                "weights": "imagenet",
                "initialization": "he",
                "dropout": 0.5,
            }
        ),
        ["plain.initialization: nothing is drawn", "plain.dropout: torch", "32x32 and larger"],
    ),
    (
        _set("recipe", "settings")({"widht": 2}),
        ["recipe.settings.widht", "did you mean 'width'?", "activation"],
    ),
    (
        _set("networks", "plain")({"architecture": "mlp", "settings": {"hidden": [512, 0]}}),
        ["networks.plain.settings.hidden", "a list such as", "[512, 0]"],
    ),
    (_set("recipe", "settings")({"activation": "gelu"}), ["settings.activation", "leaky_relu"]),
    (_set("recipe", "settings")({"width": True}), ["recipe.settings.width", "greater than 0"]),
    (_set("networks", "plain", "settings")(3), ["networks.plain.settings", "dictionary"]),
    (_set("suites", "linf", "attacks")([{"attack": "pgdd"}]), ["suites.linf.attacks", "'pgd'"]),
    (_set("suites", "linf", "attacks")("quick"), ["suites.linf.attacks", "fast"]),
    (_set("suites", "linf", "norm")("l1"), ["suites.linf.attacks", "cannot do l1", "linf, l2"]),
    (_set("noise", "kinds")(["corner"]), ["noise.kinds.0", "'corners'"]),
    (_set("headline", "suite")("linff"), ["headline.suite", "did you mean 'linf'?"]),
    (_set("headline", "eps")(0.16), ["headline.eps", "one of suites.linf.eps"]),
    (_set("suites", "linf", "levels")(1), ["suites.linf.levels", "2"]),
    (_set("suites", "linf", "levels")(256), ["suites.linf.levels", "17 levels", "write 17"]),
    (_set("suites", "linf", "levels")(17), ["suites.linf.eps", "0.1 lies between 1/16 and 2/16"]),
    (_set("suites", "linf", "level")(17), ["suites.linf.level", "did you mean 'levels'?"]),
    (_set("suites", "l2", "attacks")("randomized"), ["suites.l2.attacks", "evaluation.draws"]),
    (_set("evaluation", "draws")(1), ["evaluation.draws", "2"]),
    (lambda params: params.pop("noise"), ["noise: missing"]),
    (lambda params: params["noise"]["eps"].pop("l2"), ["noise.eps.l2", "suites.l2"]),
]


@pytest.mark.parametrize(("edit", "told"), WRONG, ids=[told[0] for _, told in WRONG])
def test_an_error_names_its_place_and_what_is_allowed(check, edit, told) -> None:
    code, message = check(edit)
    assert code == 2
    for part in told:
        assert part in message
    assert "Traceback" not in message


def test_a_network_of_its_own_architecture_starts_from_the_defaults_of_that_one(
    check, tmp_path: Path
) -> None:
    def edit(params: dict[str, Any]) -> None:
        params["recipe"]["settings"] = {"width": 2}
        params["networks"]["other"] = {"architecture": "linear"}

    assert check(edit) == (0, "")
    config = load(tmp_path / "params.yaml")
    assert config.recipe_of("plain").settings == {"width": 2}
    assert config.recipe_of("other").settings == {}


def test_the_shipped_files_are_well(check) -> None:
    assert check(lambda params: None) == (0, "")
    for path in sorted((ROOT / "experiments").glob("*/params.yaml")):
        assert main(["check-config", "--params", str(path)]) == 0


def test_levels_and_draws_that_fit_are_taken(check) -> None:
    def edit(params: dict[str, Any]) -> None:
        params["suites"]["l2"] |= {"levels": 17, "attacks": "randomized"}
        params["evaluation"]["draws"] = 20

    assert check(edit) == (0, "")


def test_an_attack_of_the_user_that_does_not_parse_is_told(
    check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "unfinished.py").write_text("def attack(:\n")
    (tmp_path / "computed.py").write_text("def attack(model, *, steps: int = max(1, 2)): ...\n")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "__init__.py").write_text("raise KeyError('nobody foresaw this')\n")
    (tmp_path / "broken" / "inner.py").write_text("def attack(model): ...\n")
    for name, told in (
        ("unfinished:attack", "invalid syntax"),
        ("computed:attack", "'steps' must be written out"),
        ("broken.inner:attack", "no module 'broken.inner'"),
    ):
        code, message = check(_attack(attack=name))
        assert code == 2 and "suites.linf.attacks" in message and told in message
        # and that it does not lie in custom/; nothing else
        assert len(message.splitlines()) == 2
        assert all("suites.linf.attacks" in line for line in message.splitlines())


def test_budgets_and_samples_end_where_the_data_set_does(check) -> None:
    """The L1 ball of radius d, and the last image, are the largest that may be asked."""

    def l1(largest: float) -> Callable[[dict[str, Any]], object]:
        def edit(params: dict[str, Any]) -> None:
            suite = {"norm": "l1", "eps": [1, largest], "attacks": [{"attack": "fgsm"}]}
            params["suites"]["l1"] = suite
            params["noise"]["eps"]["l1"] = [64]

        return edit

    assert check(l1(64)) == (0, "")
    code, message = check(l1(64.5))
    assert code == 2 and "suites.l1.eps: 64.5 is more" in message and "at most 64" in message
    assert check(_set("evaluation", "samples")(360)) == (0, "")
    assert check(_set("recipe", "samples")(1293)) == (0, "")
    assert check(_memorizer(samples=1293, corruptions=["labels"])) == (0, "")
    assert check(_set("memorize", "networks")({})) == (0, "")


def test_the_sizes_that_are_checked_are_those_of_the_split() -> None:
    from pipeline.base.data_sets import PUBLISHED, held_out
    from pipeline.data import load_source, split

    source = load_source("digits", None)
    assert source.train[0].shape == (PUBLISHED["digits"].train, *PUBLISHED["digits"].shape)
    for share in (0.07, 0.1, 1 / 3, 0.29, 0.5):
        parts = split(source, seed=0, validation=share, test=share, samples=None)
        test = held_out(PUBLISHED["digits"].train, share)
        assert len(parts["test"].y) == test
        assert len(parts["validation"].y) == held_out(PUBLISHED["digits"].train - test, share)


def test_all_errors_are_told_at_once(check) -> None:
    def edit(params: dict[str, Any]) -> None:
        for each, _ in WRONG:
            if each is not WRONG[-2][0]:  # with `noise` gone, its own errors cannot be told
                each(params)

    code, message = check(edit)
    assert code == 2
    for told in (
        "datas",
        "recipe.epoch:",
        "recipe.epochs:",
        "networks.a-b",
        "suites.linf.eps",
        "suites.linf.attacks",
        "headline.suite",
        "memorize.networks",
    ):
        assert told in message, told


def test_every_stage_checks_the_whole_file_before_it_works(tmp_path: Path, capsys) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["headline"]["eps"] = 99
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    for stage in (["data"], ["train", "plain"], ["attack", "plain", "linf"], ["report"]):
        assert main([*stage, "--params", str(tmp_path / "params.yaml")]) == 2
        assert "headline.eps" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(
    ("text", "told"),
    [("a: [1", "not valid YAML"), ("- 1", "must be a mapping"), (None, "no such file")],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, capsys, text, told) -> None:
    path = tmp_path / "params.yaml"
    if text is not None:
        path.write_text(text)
    assert main(["check-config", "--params", str(path)]) == 2
    assert told in capsys.readouterr().err


def test_numbers_are_read_as_people_and_dvc_write_them(check) -> None:
    """`1e-3` is a string to PyYAML and a number to DVC; 8/255 is how budgets are written."""
    assert check(_set("recipe", "lr")("1e-3"))[0] == 0

    def edit(params: dict[str, Any]) -> None:
        params["suites"]["linf"]["eps"] = ["8/255"]
        params["headline"]["eps"] = "8/255"

    assert check(edit) == (0, "")


def test_an_unknown_network_or_suite_on_the_command_line_is_told(tmp_path: Path, capsys) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    assert main(["attack", "plain", "l3", "--params", str(path)]) == 2
    assert "linf, l2" in capsys.readouterr().err


def _network(**own: Any) -> Callable[[dict[str, Any]], object]:
    return lambda params: params["networks"].update(own=own)


def _against(**settings: Any) -> Callable[[dict[str, Any]], object]:
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
        lambda params: (
            _against(method="trades", steps=7, beta=6)(params),
            params["networks"]["own"].update(loss="hinge"),
        ),
        ["networks.own.adversarial.method", "hinge"],
    ),
    (_set("recipe", "optimizer")("adam"), ["recipe.momentum: no network", "recipe.nesterov"]),
    (_set("recipe", "optimizer")("adm"), ["recipe.optimizer", "'adamw'"]),
    (_set("recipe", "lr_decay")(0.5), ["recipe.lr_decay: no network"]),
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
    own = {"scheme": "none", "crop": 2, "mixup": 0.2}
    assert check(_network(augmentation=own)) == (0, "")


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"augmentation": "light", "flip": True}, ["networks.own.flip", "digits"]),
        ({"patience": 3, "select": "best"}, ["networks.own.patience", "one_cycle"]),
    ],
)
def test_what_is_doubtful_is_said_and_done(check, own, told) -> None:
    code, message = check(_network(**own))
    assert code == 0 and message.startswith("warning: ")
    for part in told:
        assert part in message


def test_networks_that_memorize_are_warned_of_too_by_themselves(check) -> None:
    code, message = check(_memorizer(augmentation="light", flip=True))
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
