"""A network of several seeds: each is trained, judged and verified, and adding one costs one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import attack, data, noise, train, transfer, verify
from pipeline.base.config import Config, load
from pipeline.base.errors import UserError
from pipeline.base.kept import kept_pieces
from pipeline.base.seeds import trained
from pipeline.base.store import Place, read_json, read_npz, write_npz
from pipeline.judging import measure, per_seed
from test_stages import declared, tiny


def config(place: Place, *seeds: int, others: int = 0) -> Config:
    """The tiny grid with one network, which lists these seeds; `others`: that of any other one."""
    params = tiny(networks={"plain": {"seeds": list(seeds)}})
    params["recipe"]["seeds"] = [others]
    params["memorize"]["networks"] = {"plain": {}}
    params["evaluation"]["samples"] = 40
    path = place.folder / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    return load(path)


class Watched:
    """A function, and what it was called for."""

    def __init__(self, function: Any, what: Any) -> None:
        self.function, self.what, self.calls = function, what, []

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.calls.append(self.what(*given, **named))
        return self.function(*given, **named)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A network that was trained with seed 0 and judged."""
    place = Place(tmp_path_factory.mktemp("seeds"))
    asked = config(place, 0)
    data.run(place, asked)
    train.run(place, asked, "plain")
    attack.run(place, asked, "plain", "linf")
    noise.run(place, asked, "plain", "linf")
    return place


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_adding_a_seed_trains_and_judges_that_seed_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = Watched(train.fit, lambda *_, name, **__: name)
    suites = Watched(measure.run_suite, lambda *given, **_: len(given[1]))
    monkeypatch.setattr(train, "fit", fits)
    folders = [place.network("plain"), place.attack("plain", "linf"), place.noise("plain", "linf")]
    before = [contents(folder) for folder in folders]
    asked = config(place, 0, 1)
    item = {"network": "plain", "suite": "linf"}
    train.run(place, declared(asked, "train", network="plain"), "plain")
    assert fits.calls == ["train plain, seed 1"]
    monkeypatch.setattr(measure, "run_suite", suites)
    attack.run(place, declared(asked, "attack", **item), "plain", "linf")
    assert suites.calls == [40]  # one cascade, and no diagnosis
    noise.run(place, declared(asked, "noise", **item), "plain", "linf")
    for folder, files in zip(folders, before, strict=True):
        files.pop("seeds.json", None)
        assert contents(folder).items() >= files.items()  # seconds too: it was not run again
    assert trained(place, "plain") == {0: "", 1: "seed-1"}
    weights = [(folders[0] / part / "network.pt").read_bytes() for part in ("", "seed-1")]
    assert weights[0] != weights[1]
    assert read_json(folders[0] / "seed-1/training.json")["recipe"]["seeds"] == [1]
    first, second = (read_npz(folders[1] / part / "verdicts.npz") for part in ("", "seed-1"))
    assert first["index"].tolist() == second["index"].tolist()
    assert (first["margin"] != second["margin"]).any()


def test_verify_judges_the_witnesses_of_every_seed(place: Place, capsys) -> None:
    asked = config(place, 0, 1)
    transfer.run(place, asked)
    verify.run(place, asked)
    told = capsys.readouterr().out.splitlines()
    names = [line.partition(":")[0] for line in told]
    stages = ("attack", "noise", "transfer")
    assert names == [f"{s} plain linf{seed}" for seed in ("", " seed 1") for s in stages]
    assert all(line.endswith("all hold") for line in told)
    path = place.attack("plain", "linf") / "seed-1/witnesses.npz"
    good = read_npz(path)
    write_npz(path, **good | {"x_adv": good["x_adv"] * 0 + 0.5})
    with pytest.raises(UserError, match="attack plain linf seed 1: example"):
        verify.run(place, asked)
    write_npz(path, **good)
    tried = read_npz(place.transfer("linf"))
    write_npz(place.transfer("linf"), **tried | {"target_names": tried["target_names"][:1]})
    with pytest.raises(UserError, match=r"transfer/linf.npz: nothing on plain/seed-1; run"):
        verify.run(place, asked)  # a seed was added, and the stage not run since


def test_a_killed_training_loses_no_finished_seed_and_force_trains_all(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = Watched(train.fit, lambda *_, name, **__: name)

    def dying(*given: Any, **named: Any) -> Any:
        if "seed 3" in named["name"]:
            raise KeyboardInterrupt
        return fits(*given, **named)

    before = contents(place.network("plain"))
    asked = config(place, 2, 3)
    monkeypatch.setattr(train, "fit", dying)
    with pytest.raises(KeyboardInterrupt):
        train.run(place, asked, "plain")
    assert contents(place.network("plain")) == before  # the old or the new, never a mixture
    monkeypatch.setattr(train, "fit", fits)
    train.run(place, asked, "plain")
    assert fits.calls == ["train plain, seed 2", "train plain, seed 3"]
    # DVC runs the stage though what it watches beside the seeds changes no weights.
    train.run(place, config(place, 2, 3, others=1), "plain")
    assert len(fits.calls) == 2
    train.run(place, asked, "plain")
    assert len(fits.calls) == 2
    # The same again is what `dvc repro --force` asks for.
    train.run(place, asked, "plain")
    assert fits.calls == ["train plain, seed 2", "train plain, seed 3"] * 2
    # A seed less, and the other first: nothing is trained.
    train.run(place, config(place, 3), "plain")
    assert len(fits.calls) == 4
    assert trained(place, "plain") == {3: ""}
    assert not (place.network("plain") / "seed-3").exists()


def test_what_judges_and_what_an_attack_in_custom_reads_decide_over_what_was_kept(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of kept verdicts follows from the code that judges and every file below custom/, but
    from no cache, and from no other stage."""
    for name in ("pipeline", "attacks", "models", "custom"):
        shutil.copytree(per_seed.ROOT / name, tmp_path / name)
    monkeypatch.setattr(per_seed, "ROOT", tmp_path)
    weights = place.network("plain") / "network.pt"
    keys = [per_seed.result_key(place, weights)]
    for name in ("custom/__pycache__/mine.pyc", "pipeline/track.py", "custom/patch.npy",
                 "pipeline/gallery.py", "pipeline/judging/measure.py"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
        keys.append(per_seed.result_key(place, weights))
    assert keys[0] == keys[1] == keys[2]
    assert len(set(keys[2:])) == 4


def test_a_piece_is_made_once_for_its_key(tmp_path: Path) -> None:
    place, made = Place(tmp_path), []

    def make(piece: str, folder: Path) -> None:
        made.append(piece)
        folder.mkdir(parents=True)
        (folder / "made").write_text(piece)

    def run(keys: dict[str, str], *asked: Any) -> list[str]:
        made.clear()
        with kept_pieces(place, "stage", keys, make, *asked) as paths:
            assert [(path / "made").read_text() for path in paths.values()] == list(keys)
        return list(made)

    assert run({"a": "1", "b": "1"}) == ["a", "b"]
    assert run({"a": "1", "b": "2"}) == ["b"]  # what b follows from has changed
    assert run({"b": "2", "a": "1"}) == []  # another order
    assert run({"b": "2", "a": "1"}, "more") == []
    assert run({"b": "2", "a": "1"}, "more") == ["b", "a"]  # the very same again: by force
    (place.kept / "stage/.complete.x").touch()  # a kill may leave a file as well
    assert run({"a": "1"}) == []
    assert {path.name for path in (place.kept / "stage").iterdir()} == {"a-1", "complete"}
    with pytest.raises(ZeroDivisionError), kept_pieces(place, "stage", {"a": "2"}, make):
        raise ZeroDivisionError  # the stage's folder was not written
    assert run({"a": "2"}) == []
