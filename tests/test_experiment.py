"""A new experiment is a copy of another one's definition, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.base.config import load
from pipeline.base.errors import UserError
from pipeline.experiment import available, create
from pipeline.report import factors

ROOT = Path(__file__).parent.parent


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for folder, epochs in (("", 3), ("experiments/mnist", 7)):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "params.yaml").write_text(f"# why\nrecipe: {{epochs: {epochs}}}\n")
        (tmp_path / folder / "dvc.yaml").write_text("stages: {}\n")
        (tmp_path / folder / "artifacts").mkdir()
        (tmp_path / folder / "dvc.lock").write_text("schema: '2.0'\n")
    return tmp_path


@pytest.mark.parametrize(("origin", "folder"), [("mnist", "experiments/mnist"), ("default", "")])
def test_copies_the_definition_and_no_results(repository: Path, origin: str, folder: str) -> None:
    create("mine", origin, repository)

    made = repository / "experiments" / "mine"
    assert sorted(path.name for path in made.iterdir()) == ["dvc.yaml", "params.yaml", "place.yaml"]
    for file in ("params.yaml", "dvc.yaml"):
        assert (made / file).read_bytes() == (repository / folder / file).read_bytes()
    assert yaml.safe_load((made / "place.yaml").read_text()) == {
        "root": "../..",
        "here": "experiments/mine/",
    }


def test_a_new_experiment_can_be_copied_in_turn(repository: Path) -> None:
    create("mine", "mnist", repository)
    create("yours", "mine", repository)
    assert available(repository) == ["default", "mine", "mnist", "yours"]


@pytest.mark.parametrize("name", ["", "Mine", "a-b", "a b", "../up", "a/b", "default", "é"])
def test_refuses_names_that_dvc_could_not_keep_apart(repository: Path, name: str) -> None:
    with pytest.raises(UserError, match="lower-case letters, digits and _"):
        create(name, "mnist", repository)
    assert available(repository) == ["default", "mnist"]


def test_refuses_to_overwrite(repository: Path) -> None:
    before = (repository / "experiments/mnist/params.yaml").read_bytes()
    with pytest.raises(UserError, match="exists already"):
        create("mnist", "default", repository)
    assert (repository / "experiments/mnist/params.yaml").read_bytes() == before


def test_an_unknown_origin_is_told_with_the_known_ones(repository: Path) -> None:
    with pytest.raises(UserError, match=r"'minst'.*default, mnist"):
        create("mine", "minst", repository)
    assert not (repository / "experiments/mine").exists()


def test_every_experiment_of_this_repository_says_where_it_lies() -> None:
    places = [ROOT / "place.yaml", *ROOT.glob("experiments/*/place.yaml")]
    assert places
    for path in places:
        place = yaml.safe_load(path.read_text())
        assert (path.parent / place["root"]).resolve() == ROOT.resolve()
        assert (ROOT / place["here"]).resolve() == path.parent.resolve()


@pytest.mark.parametrize("origin", ["cifar10", "mnist"])
def test_the_grid_of_the_ablation_fits_other_data(origin: str, tmp_path: Path) -> None:
    """As docs/memorization.md says it is done."""
    params, grid = (
        yaml.safe_load((ROOT / "experiments" / name / "params.yaml").read_text())
        for name in (origin, "ablation")
    )
    params["networks"], params["memorize"]["networks"] = grid["networks"], {}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    config = load(path)
    found = factors.grid({name: config.recipe_of(name).model_dump() for name in config.networks})
    assert found is not None
    assert (len(found.rows), len(found.columns)) == (3, 4)
