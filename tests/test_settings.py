"""Every key of params.yaml is read: a changed value changes something, or is refused.

Rule 5 of the design calls some settings neutral: how a result is computed must not change it. They
are in the table as such, and a change of theirs is tested to change nothing.

To add a key, add a line to TABLE; without one the test fails. A line says which outcome another
value changes, and what must stand beside it for the key to matter:

    "recipe.lr": Changes("training", 0.05)
    "recipe.lr_decay": Changes("training", 0.1, beside={"recipe.schedule": "inverse", ...})
    "evaluation.x": Neutral("verdicts", 3)
    "data.x": Refused(3, "data.x: only")          # where no other value can be taken
    "tracking.x": Elsewhere("test_track.py", "test_that_proves_it")

`*` in a key stands for a name; `outcomes.HERE` says which one is changed. The outcomes are the
functions of `Outcomes`: small runs of the real stages, each run once for the same parameters. What
a run measures of itself (seconds, rates) is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from outcomes import Outcomes, changed, small
from pipeline import attack
from pipeline.base.config import Config, ConfigError, Recipe

TESTS = Path(__file__).parent


@dataclass(frozen=True)
class Changes:
    outcome: str
    value: Any
    beside: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Neutral(Changes):
    pass


@dataclass(frozen=True)
class Refused:
    value: Any
    told: str
    beside: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Elsewhere:
    file: str
    test: str


Line = Changes | Refused | Elsewhere

PGD = {"recipe.adversarial": {"norm": "linf", "eps": 0.1, "steps": 2}}
TRADES = {"recipe.adversarial": {**PGD["recipe.adversarial"], "method": "trades", "beta": 6.0}}
FGSM = {"recipe.adversarial": {"norm": "linf", "eps": 0.1, "method": "fgsm"}}
LAST = "the last epoch is always kept"

TABLE: dict[str, Line] = {
    # Each has its folder, and digits refuse one: no name changes alone.
    "data.name": Elsewhere("test_image_folder.py", "test_a_folder_of_grey_images"),
    "data.root": Changes("split", "two", {"data.name": "folder", "data.root": "one"}),
    "data.validation": Changes("split", 0.2),
    "data.test": Changes("split", 0.3),
    "data.samples": Changes("split", 50),
    "data.seed": Changes("split", 1),
    "recipe.architecture": Changes("training", "linear"),
    "recipe.samples": Changes("memorized", 40),
    "recipe.settings": Changes("training", {"activation": "elu"}),
    "recipe.initialization": Changes("training", "he"),
    "recipe.weights": Elsewhere("test_pretrained.py", "test_training_starts_from_a_file"),
    "recipe.frozen": Elsewhere("test_pretrained.py", "test_a_frozen_network_trains_its_last_layer"),
    "recipe.epochs": Changes("training", 2),
    "recipe.batch_size": Changes("training", 16),
    "recipe.compile": Neutral("training", True),  # on a CPU, where nothing is compiled
    "recipe.optimizer": Changes("training", "rmsprop", {"recipe.nesterov": False}),
    "recipe.lr": Changes("training", 0.05),
    "recipe.momentum": Changes("training", 0.8),
    "recipe.nesterov": Changes("training", False),
    "recipe.schedule": Changes("training", "constant"),
    "recipe.warm_up": Changes("training", 0.5),
    "recipe.lr_decay": Changes(
        "training", 0.5, {"recipe.schedule": "inverse", "recipe.epochs": 2, "recipe.lr_decay": 0.1}
    ),
    "recipe.lr_milestones": Changes(
        "training",
        [0.8],
        {"recipe.schedule": "step", "recipe.lr_decay": 0.1, "recipe.lr_milestones": [0.3]},
    ),
    "recipe.loss": Changes("training", "hinge"),
    "recipe.label_smoothing": Changes("training", 0.1),
    "recipe.weight_decay": Changes("training", 0.01),
    "recipe.l1_penalty": Changes("training", 0.01),
    "recipe.dropout": Changes("training", 0.3),
    "recipe.flip": Changes("training", True, {"recipe.augmentation": "light"}),
    **{
        f"recipe.augmentation.{name}": Changes(
            "training", value, {"recipe.augmentation": {"scheme": "light"}}
        )
        for name, value in {
            "scheme": "heavier",
            "shift": 0.2,
            "crop": 1,
            "rotation": 10,
            "shear": 0.1,
            "zoom": 0.1,
            "stretch": 0.1,
            "lens": 0.1,
            "elastic": 0.1,
            "brightness": 0.1,
            "contrast": 0.1,
            "cutout": 3,
            "mixup": 0.4,
        }.items()
    },
    # Grey images have no colour; that it is read where there is one: test_augment.py.
    "recipe.augmentation.color": Refused(
        0.5, "augmentation.color", {"recipe.augmentation": {"scheme": "light"}}
    ),
    "recipe.adversarial.norm": Changes("training", "l2", PGD),
    "recipe.adversarial.eps": Changes("training", 0.05, PGD),
    "recipe.adversarial.steps": Changes("training", 3, PGD),
    "recipe.adversarial.beta": Changes("training", 3.0, TRADES),
    "recipe.adversarial.guard": Elsewhere(
        "test_adversarial_training.py", "test_the_guard_stops_or_tells"
    ),
    # Each method has settings of its own, and is another network under the same.
    "recipe.adversarial.method": Elsewhere(
        "test_adversarial_training.py", "test_the_loss_of_trades_by_hand"
    ),
    "recipe.adversarial.warm_up": Changes("training", 0.5, PGD),
    "recipe.select": Changes("training", "best", {"recipe.epochs": 6}),
    "recipe.patience": Changes(
        "training", 1, {"recipe.epochs": 8, "recipe.schedule": "constant", "recipe.select": "best"}
    ),
    "recipe.seeds": Changes("training", [1]),
    "networks": Changes("training", {"plain": {"lr": 0.05}}),
    "suites.*.norm": Changes("verdicts", "l2"),
    "suites.*.eps": Changes("verdicts", [0.15, 0.2]),
    "suites.*.attacks": Changes("verdicts", [{"attack": "pgd", "steps": 3}]),
    "suites.*.levels": Changes("verdicts", 17, {"suites.*.eps": [0.125], "headline.eps": 0.125}),
    "noise.kinds": Changes("noise", ["uniform"]),
    "noise.draws": Changes("noise", 3),
    "noise.eps": Changes("noise", {"linf": [0.7], "l2": [2.0]}),
    "memorize.networks": Changes("metrics", {"plain": {}, "other": {"lr": 0.01}}),
    "memorize.seed": Changes("memorized", 1),
    "memorize.until_fitted": Changes(
        "memorized",
        False,
        {"memorize.recipe": {"epochs": 30}, "memorize.corruptions.*.fraction": 0.0},
    ),
    "memorize.corruptions.*.kind": Changes("memorized", "gaussian"),
    "memorize.corruptions.*.fraction": Changes("memorized", 0.5),
    "headline.suite": Changes("metrics", "l2"),
    "headline.eps": Changes("metrics", 0.3),
    "evaluation.samples": Changes("verdicts", 6),
    "evaluation.seed": Changes("verdicts", 1),
    # Part of the compute shape, so that it is recorded, and no verdict may hang on it.
    "evaluation.slots": Changes("cost", 4),
    "evaluation.precision": Changes("cost", "bf16"),
    "evaluation.draws": Elsewhere(
        "test_stages.py", "test_a_network_that_answers_at_random_is_judged_by_majority"
    ),
    "evaluation.diagnosis": Changes("verdicts", 0),
    "tracking.register_weights": Elsewhere(
        "test_track.py", "test_weights_are_registered_only_where_asked_and_once"
    ),
    "tracking.artifacts": Elsewhere("test_track.py", "test_artifacts_can_be_left_out"),
}


def _memorizing(line: Line) -> Line:
    """The same of a key of `memorize.recipe`."""
    if isinstance(line, Elsewhere):
        return line
    beside = {f"memorize.{key}": value for key, value in line.beside.items()}
    if isinstance(line, Refused):
        return replace(line, beside=beside)
    return replace(line, outcome="memorized", beside=beside)


TABLE |= {
    f"memorize.{key}": _memorizing(line) for key, line in TABLE.items() if key.startswith("recipe.")
} | {
    "memorize.recipe.select": Refused("best", LAST),
    "memorize.recipe.patience": Refused(3, LAST),
    "memorize.recipe.seeds": Refused([1], "every run has memorize.seed"),
    "memorize.recipe.adversarial.guard": Refused(
        "stop", "none are judged", {f"memorize.{key}": value for key, value in FGSM.items()}
    ),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    with pytest.MonkeyPatch.context() as patch:
        # They read the seed alone, and take ten times as long as all the rest of the stage.
        patch.setattr(attack, "fooling_images", lambda *_: {})
        yield Outcomes(tmp_path_factory.mktemp("settings"))


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of the schema that holds a value; `*` for a name that the user chooses."""
    for name, schema in model.model_fields.items():
        inner, named = _inside(schema.annotation)
        key = f"{prefix}{name}"
        if key == "memorize.recipe":
            inner = Recipe  # it keeps what was written, which is as much of a recipe as one likes
        if inner is None:
            yield key
        else:
            yield from keys(inner, f"{key}.*." if named else f"{key}.")


def _inside(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model within a type such as `dict[Name, Suite]`, and whether under a name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    named = getattr(annotation, "__origin__", None) in (dict, list)
    for part in get_args(annotation):
        found, deeper = _inside(part)
        if found is not None:
            return found, named or deeper
    return None, False


@pytest.mark.parametrize("key", list(keys(Config)))
def test_a_changed_setting_changes_what_it_should(key: str, outcomes: Outcomes) -> None:
    line = TABLE.get(key)
    assert line is not None, f"{key}: say in TABLE of {__file__} what another value changes"
    if isinstance(line, Elsewhere):
        assert f"def {line.test}(" in (TESTS / line.file).read_text()
        return
    before = changed(small(), line.beside)
    after = changed(before, {key: line.value})
    assert after != before
    if isinstance(line, Refused):
        outcomes.read(before)
        with pytest.raises(ConfigError, match=line.told):
            outcomes.read(after)
        return
    same = outcomes.of(line.outcome, before) == outcomes.of(line.outcome, after)
    assert same == isinstance(line, Neutral)


def test_the_table_holds_no_key_that_is_gone() -> None:
    assert set(TABLE) <= set(keys(Config))


def test_an_outcome_is_the_same_when_nothing_is_changed(outcomes: Outcomes) -> None:
    """Else every change would seem to change something."""
    for outcome in ("split", "training", "verdicts", "cost", "noise", "memorized"):
        first = outcomes.of(outcome, small())
        outcomes.known.clear()
        assert outcomes.of(outcome, small()) == first, outcome
