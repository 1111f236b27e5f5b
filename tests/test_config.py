"""params.yaml: what is wrong is told, all of it, with its place and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from edits import Edit, attacking, memorizer, put
from pipeline.__main__ import main
from pipeline.base.config import load

ROOT = Path(__file__).parent.parent


WRONG = [
    # The wrong type where a name or a list is looked up.
    (put("memorize", "networks", "plain")(5), ["memorize.networks.plain", "dictionary"]),
    (put("headline", "suite")(["linf"]), ["headline.suite", "string"]),
    (put("data", "name")(["digits"]), ["data.name", "'digits'", "'svhn'"]),
    (put("suites", "linf", "attacks")(["pgd"]), ["suites.linf.attacks.0", "dictionary"]),
    (put("recipe", "epochs")(True), ["recipe.epochs", "true or false"]),
    # Seeds of training runs: a list, each once.
    (put("networks", "plain", "seeds")(1), ["networks.plain.seeds", "list"]),
    (put("networks", "plain", "seeds")([]), ["networks.plain.seeds", "at least 1"]),
    (put("networks", "plain", "seeds")([0, 1, 0]), ["networks.plain.seeds", "once", "0 twice"]),
    (put("recipe", "seeds")([0, True, -1]), ["recipe.seeds.1", "integer", "recipe.seeds.2"]),
    (put("networks", "plain", "seed")(1), ["networks.plain.seed", "did you mean 'seeds'?"]),
    (put("networks", "plain", "lr")(True), ["networks.plain.lr", "true or false"]),
    (put("headline", "eps")(True), ["headline.eps", "true or false"]),
    (put("suites", "linf", "eps")([True]), ["suites.linf.eps.0", "8/255"]),
    (put("suites", "linf", "eps")(["1e400"]), ["suites.linf.eps.0", "finite"]),
    # Attacks that cannot be read, and settings that mean nothing.
    (attacking(attack="sys:exit"), ["suites.linf.attacks", "'sys'"]),
    (attacking(attack=".nothing:f"), ["suites.linf.attacks", "'.nothing'"]),
    (attacking(attack="math:sqrt"), ["suites.linf.attacks", "'math'"]),
    (attacking(attack="networks:trained"), ["suites.linf.attacks", "custom/"]),
    (attacking(attack="pgd", restarts=0), ["pgd.restarts must be more than 0"]),
    (attacking(attack="fmn", steps=0), ["fmn.steps must be more than 0"]),
    (attacking(attack="pgd", step_size=float("nan")), ["pgd.step_size must be finite"]),
    (attacking(attack="pgd", step_size=float("inf")), ["pgd.step_size must be finite"]),
    (attacking(attack="pgd", steps=True), ["pgd.steps must be int"]),
    (put("noise", "draws")(0), ["noise.draws", "equal to 1"]),
    # What the data set cannot give, and what no one can mean.
    (
        put("networks", "adversarial", "adversarial", "eps")(1.5),
        ["networks.adversarial.adversarial.eps", "at most 1"],
    ),
    (
        put("recipe", "adversarial")({"norm": "l2", "eps": 9, "steps": 3}),
        ["recipe.adversarial.eps", "at most 8"],
    ),
    (put("noise", "kinds")(["corners"]), ["noise.kinds", "l2", "suites.l2", "uniform"]),
    (put("evaluation", "samples")(361), ["evaluation.samples", "360 test images"]),
    (put("recipe", "samples")(1294), ["recipe.samples", "1293 training images"]),
    (put("networks", "plain", "samples")(0), ["networks.plain.samples", "equal to 1"]),
    (put("memorize", "recipe", "samples")(1294), ["memorize.recipe.samples", "1293 training"]),
    (put("memorize", "recipe", "epoch")(3), ["memorize.recipe.epoch", "'epochs'"]),
    (put("memorize", "recipe", "seeds")([3]), ["memorize.recipe.seeds", "memorize.seed"]),
    (memorizer(lr="fast"), ["memorize.networks.heart.lr", "number", "'fast'"]),
    (memorizer(lr_decay=0.9), ["memorize.networks.heart.lr_decay", "exponential"]),
    (put("memorize", "recipe", "lr_decay")(0.9), ["memorize.recipe.lr_decay: no network uses"]),
    (memorizer(select="best"), ["memorize.networks.heart.select", "last epoch"]),
    (memorizer(samples=1294), ["memorize.networks.heart.samples", "1293 training images"]),
    (memorizer(architecture="lenet5"), ["memorize.networks.heart.architecture", "8x8"]),
    (memorizer(corruptions=["label"]), ["memorize.networks.heart.corr", "mean 'labels'?"]),
    (memorizer(corruptions=[["labels"]]), ["memorize.networks.heart.corr", "['labels']"]),
    (memorizer(corruptions=["labels", "labels"]), ["corruptions: each", "labels twice"]),
    (memorizer(corruptions="labels"), ["memorize.networks.heart.corruptions", "list of names"]),
    (put("data", "samples")(1294), ["data.samples", "1293 training images"]),
    (put("data", "root")("images"), ["data.root", "scikit-learn", "write null"]),
    (put("data", "test")(None), ["data.test", "digits has no test split", "such as 0.2"]),
    (
        put("memorize", "corruptions", "images")([{"kind": "shuffled_pixels", "fraction": 0.5}]),
        ["memorize.corruptions.images.0.fraction", "only labels"],
    ),
    (
        put("memorize", "corruptions", "images")([{"kind": "gaussian"}, {"kind": "gaussian"}]),
        ["memorize.corruptions.images", "listed once", "gaussian"],
    ),
    (put("datas")({}), ["datas", "did you mean 'data'?"]),
    (put("recipe", "epoch")(3), ["recipe.epoch", "did you mean 'epochs'?"]),
    (put("networks", "plain", "epoch")(3), ["networks.plain.epoch", "'epochs'"]),
    (put("networks", "plain", "lr")("fast"), ["networks.plain.lr", "number", "'fast'"]),
    (put("recipe", "epochs")(2.5), ["recipe.epochs", "integer", "2.5"]),
    (put("suites", "linf", "eps")([-0.1, 0.15]), ["suites.linf.eps.0", "greater than 0"]),
    (put("suites", "linf", "eps")([0.15, 1.5]), ["suites.linf.eps", "at most 1"]),
    (put("suites", "l2", "eps")([0.5, 9.0]), ["suites.l2.eps", "at most 8"]),
    (put("noise", "eps", "l2")([0.5, 9.0]), ["noise.eps.l2", "at most 8"]),
    (put("suites", "linf", "eps")([0.2, 0.15]), ["suites.linf.eps", "increase"]),
    (put("suites", "linf", "eps")([]), ["suites.linf.eps", "at least 1"]),
    (put("suites", "linf", "eps")(["eight/255"]), ["suites.linf.eps.0", "8/255"]),
    (put("networks", "a-b")({}), ["networks.a-b", "lower-case letters, digits and _"]),
    (put("suites", "l2.x")({}), ["suites.l2.x", "lower-case letters, digits and _"]),
    (
        put("networks", "plain", "architecture")("lenet5"),
        ["networks.plain.arch", "28x28", "8x8"],
    ),
    (put("recipe", "architecture")("resnet19"), ["recipe.architecture", "'resnet18'"]),
    (
        put("networks", "plain", "architecture")("small_cn"),
        ["networks.plain.arch", "'small_cnn'"],
    ),
    (
        put("recipe", "weights")("imagenet"),
        ["recipe.weights", "torchvision.* alone", "small_cnn"],
    ),
    (put("recipe", "weights")("none.pt"), ["recipe.weights", "no such file: none.pt"]),
    (put("recipe", "weights")("imagnet"), ["recipe.weights", "imagenet or a file", "'imagnet'"]),
    (put("networks", "plain", "frozen")(True), ["networks.plain.frozen", "give weights"]),
    (
        put("networks", "plain")(
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
        put("recipe", "settings")({"widht": 2}),
        ["recipe.settings.widht", "did you mean 'width'?", "activation"],
    ),
    (
        put("networks", "plain")({"architecture": "mlp", "settings": {"hidden": [512, 0]}}),
        ["networks.plain.settings.hidden", "a list such as", "[512, 0]"],
    ),
    (put("recipe", "settings")({"activation": "gelu"}), ["settings.activation", "leaky_relu"]),
    (put("recipe", "settings")({"width": True}), ["recipe.settings.width", "greater than 0"]),
    (put("networks", "plain", "settings")(3), ["networks.plain.settings", "dictionary"]),
    (put("suites", "linf", "attacks")([{"attack": "pgdd"}]), ["suites.linf.attacks", "'pgd'"]),
    (put("suites", "linf", "attacks")("quick"), ["suites.linf.attacks", "fast"]),
    (attacking(attack="ddn"), ["suites.linf.attacks", "ddn cannot do linf", "it does l2"]),
    (put("noise", "kinds")(["corner"]), ["noise.kinds.0", "'corners'"]),
    (put("headline", "suite")("linff"), ["headline.suite", "did you mean 'linf'?"]),
    (put("headline", "eps")(0.16), ["headline.eps", "one of suites.linf.eps"]),
    (put("suites", "linf", "levels")(1), ["suites.linf.levels", "2"]),
    (put("suites", "linf", "levels")(256), ["suites.linf.levels", "17 levels", "write 17"]),
    (put("suites", "linf", "levels")(17), ["suites.linf.eps", "0.1 lies between 1/16 and 2/16"]),
    (put("suites", "linf", "level")(17), ["suites.linf.level", "did you mean 'levels'?"]),
    (put("suites", "l2", "attacks")("randomized"), ["suites.l2.attacks", "evaluation.draws"]),
    (put("evaluation", "draws")(1), ["evaluation.draws", "2"]),
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


def test_a_share_held_out_of_a_data_set_with_a_test_split_is_warned_of(check) -> None:
    """Beside it what is known of the split is checked all the same."""

    def edit(params: dict[str, Any], test: float | None, samples: int | None) -> None:
        params["data"] |= {"name": "mnist", "test": test, "samples": samples}
        for suite in params["suites"].values():
            suite.pop("levels", None)

    assert check(lambda params: edit(params, None, 54000)) == (0, "")
    code, message = check(lambda params: edit(params, 0.2, 54000))
    assert code == 0 and "data.test: mnist has a test split of its own; write null" in message
    for test in (None, 0.2):
        code, message = check(lambda params, test=test: edit(params, test, 54001))
        assert code == 2 and "mnist has 54000 training images" in message


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
        code, message = check(attacking(attack=name))
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
    assert check(put("evaluation", "samples")(360)) == (0, "")
    assert check(put("recipe", "samples")(1293)) == (0, "")
    assert check(memorizer(samples=1293, corruptions=["labels"])) == (0, "")
    assert check(put("memorize", "networks")({})) == (0, "")


def test_the_dlr_is_refused_by_name_where_a_folder_has_too_few_classes(
    check, tmp_path: Path
) -> None:
    def dlr(classes: int, **settings: Any) -> tuple[int, str]:
        for name in "abcd"[:classes]:
            (tmp_path / "photos/train" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos/train/.hidden").mkdir(exist_ok=True)

        def edit(params: dict[str, Any]) -> None:
            params["data"] |= {"name": "folder", "root": str(tmp_path / "photos")}
            attacking(**settings)(params)

        return check(edit)

    code, message = dlr(2, attack="pgd", name="ratio", loss="dlr")
    assert code == 2
    assert "suites.linf.attacks: ratio: the DLR needs 3 classes and there are 2" in message
    assert "write loss: margin" in message
    assert dlr(2, attack="apgd", loss="margin") == (0, "")
    assert dlr(2, attack="apgd", targets=1) == (0, "")  # by no name: the report tells it
    assert dlr(3, attack="pgd", loss="dlr") == (0, "")
    assert "the DLR needs 4 classes" in dlr(3, attack="apgd", loss="dlr", targets=1)[1]
    assert dlr(4, attack="apgd", loss="dlr", targets=1) == (0, "")
    assert check(attacking(attack="pgd", loss="dlr")) == (0, "")  # of digits, ten


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
    parts = split(source, seed=0, validation=0, test=0.2, samples=None)
    assert [len(parts[part].y) for part in ("train", "validation", "test")] == [1437, 0, 360]
    assert parts["validation"].shape == (1, 8, 8)


def test_without_validation_images_nothing_may_look_at_them(check) -> None:
    def none_held_out(*path: str, value: object) -> Edit:
        def edit(params: dict[str, Any]) -> None:
            params["data"]["validation"] = 0
            put(*path)(value)(params)

        return edit

    assert check(put("data", "validation")(0)) == (0, "")
    fgsm = {"method": "fgsm", "norm": "linf", "eps": 0.1, "guard": "tell"}
    for edit, key in (
        (none_held_out("networks", "plain", "select", value="best"), "networks.plain.select"),
        (none_held_out("recipe", "select", value="best"), "recipe.select"),
        (none_held_out("networks", "own", value={"adversarial": fgsm}), "own.adversarial.guard"),
    ):
        code, told = check(edit)
        assert code == 2 and told.count("\n") == 1
        assert f"{key}: looks at validation images" in told and "such as 0.1" in told
    assert check(none_held_out("recipe", "samples", value=1437)) == (0, "")
    assert "1437 training" in check(none_held_out("recipe", "samples", value=1438))[1]
    assert check(put("data", "validation")(-0.1))[0] == 2


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
    assert check(put("recipe", "lr")("1e-3"))[0] == 0

    def edit(params: dict[str, Any]) -> None:
        params["suites"]["linf"]["eps"] = ["8/255"]
        params["headline"]["eps"] = "8/255"

    assert check(edit) == (0, "")


def test_an_unknown_network_or_suite_on_the_command_line_is_told(tmp_path: Path, capsys) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    assert main(["attack", "plain", "l3", "--params", str(path)]) == 2
    assert "linf, l2" in capsys.readouterr().err
