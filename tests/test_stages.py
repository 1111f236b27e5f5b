"""Each stage, in process, on a tiny grid: it reads the keys that dvc.yaml declares and no other."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from attacks.registry import resolve
from pipeline import attack, data, memorize, noise, report, train, transfer, verify, watch
from pipeline.base.config import Config, load
from pipeline.base.errors import UserError
from pipeline.base.networks import load_network
from pipeline.base.store import Place, read_json, read_npz, write_npz
from pipeline.judging import images as judged
from pipeline.judging import measure
from pipeline.judging.witnesses import check_witnesses

ROOT = Path(__file__).parent.parent


def tiny(**changes: Any) -> dict[str, Any]:
    """The shipped parameters, cut down until the whole grid takes seconds."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["recipe"]["epochs"] = 3
    params["networks"] = {
        "plain": {"epochs": 3},
        "hard": {"adversarial": {"norm": "linf", "eps": 0.1, "steps": 2}},
    }
    params["suites"] = {
        "linf": {
            "norm": "linf",
            "eps": [0.05, 0.15],
            "attacks": [{"attack": "fgsm"}, {"attack": "pgd", "steps": 5}],
        }
    }
    params["noise"] |= {"kinds": ["corners", "uniform"], "draws": 3, "eps": {"linf": [0.8]}}
    params["memorize"]["recipe"]["epochs"] = 2
    params["memorize"] |= {
        "corruptions": {"labels": [{"kind": "labels", "fraction": 1.0}, {"kind": "gaussian"}]},
    }
    params["evaluation"]["samples"] = 60
    return params | changes


class Declared:
    """A view of a config that holds the declared keys alone; any other is a test failure."""

    def __init__(self, value: Any, keys: set[str], path: str = "") -> None:
        self._value, self._keys, self._path = value, keys, path

    def _pick(self, name: str, child: Any) -> Any:
        path = f"{self._path}.{name}".lstrip(".")
        if path in self._keys:
            return child
        if any(key.startswith(f"{path}.") for key in self._keys):
            return Declared(child, self._keys, path)
        raise AssertionError(f"{path} is read, but dvc.yaml does not declare it")

    def __getattr__(self, name: str) -> Any:
        return self._pick(name, getattr(self._value, name))

    def __getitem__(self, name: str) -> Any:
        return self._pick(name, self._value[name])

    def memorizing(self, network: str) -> Any:
        self._pick("recipe", None)
        for key in ("recipe", "seed"):
            getattr(self.memorize, key)
        self.memorize.networks[network]
        return self._value.memorizing(network)

    def groups(self, network: str) -> list[str]:
        self.networks[network]
        self.corruptions  # noqa: B018
        return self._value.groups(network)

    def recipe_of(self, network: str) -> Any:
        self._pick("recipe", None)
        self.networks[network]
        return self._value.recipe_of(network)


def declared(config: Config, stage: str, **item: str) -> Any:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    (listed,) = (next(iter(entry.values())) for entry in stages[stage]["params"])
    keys = {re.sub(r"\$\{item\.(\w+)\}", lambda m: item[m[1]], key) for key in listed}
    return Declared(config, keys)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Config]:
    """All stages run once, each with a config cut to what it declares."""
    folder = tmp_path_factory.mktemp("grid")
    (folder / "params.yaml").write_text(yaml.safe_dump(tiny()))
    config, place = load(folder / "params.yaml"), Place.of(folder / "params.yaml")
    data.run(place, declared(config, "data"))
    watch.run(place, declared(config, "watch"))
    for network in config.networks:
        train.run(place, declared(config, "train", network=network), network)
        item = {"network": network, "suite": "linf"}
        attack.run(place, declared(config, "attack", **item), network, "linf")
        noise.run(place, declared(config, "noise", **item), network, "linf")
    memorize.run(place, declared(config, "memorize", network="plain"), "plain")
    transfer.run(place, declared(config, "transfer"))
    report.run(place, declared(config, "report"))
    return place, config


def test_the_report_is_written(grid: tuple[Place, Config]) -> None:
    place, _ = grid
    for name in ("index.html", "report.md", "metrics.json", "tables", "figures"):
        assert (place.reports / name).exists(), name


def test_verdicts_hold_one_row_per_example_attack_and_eps(grid: tuple[Place, Config]) -> None:
    place, _ = grid
    rows = read_npz(place.attack("plain", "linf") / "verdicts.npz")
    assert len(rows["index"]) == 60 * 2 * 2
    assert rows["attack_names"].tolist() == ["fgsm", "pgd"]
    noisy = read_npz(place.noise("plain", "linf") / "verdicts.npz")
    assert noisy["eps_grid"].tolist() == [0.05, 0.15, 0.8]
    names = noisy["attack_names"].tolist()
    assert names == ["corners", "corners_x3", "uniform", "uniform_x3"]
    assert len(noisy["index"]) == 60 * 4 * 3


def test_a_smaller_sample_is_part_of_a_larger_one(grid: tuple[Place, Config]) -> None:
    place, config = grid
    chosen = {}
    for samples in (20, 60):
        evaluation = config.evaluation.model_copy(update={"samples": samples})
        cut = config.model_copy(update={"evaluation": evaluation})
        attack.run(place, cut, "plain", "linf")
        chosen[samples] = read_npz(place.attack("plain", "linf") / "verdicts.npz")
    few, many = (set(chosen[samples]["index"].tolist()) for samples in (20, 60))
    assert few < many
    # and its verdicts are the same ones
    for key in few:
        for name in ("outcome", "distance", "adv_pred"):
            one = chosen[20][name][chosen[20]["index"] == key]
            other = chosen[60][name][chosen[60]["index"] == key]
            assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def test_a_suite_of_levels_keeps_witnesses_that_a_file_can_hold(grid, tmp_path: Path) -> None:
    place, config = grid
    suite = config.suites["linf"].model_copy(update={"levels": 17, "eps": [1 / 16, 3 / 16]})
    whole = config.model_copy(update={"suites": {"whole": suite}})
    attack.run(place, whole, "plain", "whole")
    x_adv = read_npz(place.attack("plain", "whole") / "witnesses.npz")["x_adv"]
    assert len(x_adv) > 10
    assert np.array_equal(x_adv * 16, np.round(x_adv * 16))
    assert read_json(place.attack("plain", "whole") / "run.json")["levels"] == 17
    finer = config.model_copy(
        update={"suites": {"whole": suite.model_copy(update={"levels": 256})}}
    )
    with pytest.raises(UserError, match=r"suites.whole.levels: the images are not on the grid"):
        attack.run(place, finer, "plain", "whole")
    shutil.rmtree(place.attack("plain", "whole"))


def test_a_network_that_answers_at_random_is_judged_by_majority(
    grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Noisy(torch.nn.Module):
        def __init__(self, network: torch.nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network(x + 0.05 * torch.randn_like(x))

    def load(path: Path) -> tuple[torch.nn.Module, dict[str, Any]]:
        network, info = load_network(path)
        return Noisy(network) if path.parent.name == "plain" else network, info

    monkeypatch.setattr(judged, "load_network", load)
    place, config = grid
    evaluation = config.evaluation.model_copy(update={"samples": 12, "draws": 6, "diagnosis": 0})
    drawn = config.model_copy(update={"evaluation": evaluation})
    images = {name: judged.load_images(place, evaluation, name) for name in drawn.networks}
    assert {name: found.oracle.draws for name, found in images.items()} == {
        "plain": 6,
        "hard": None,
    }
    cascade = measure.Cascade(resolve([{"attack": "pgd", "steps": 3}], "linf"), [0.15])
    measured = measure.measure(place, "attack drawn", images["plain"], [cascade], "linf", 0, "key")
    about = {"norm": np.array("linf")}
    assert len(measured.witnesses["index"]) > 0
    assert check_witnesses(images["plain"], {**measured.witnesses, **about}) == []
    measured.discard()
    undeclared = drawn.model_copy(
        update={"evaluation": evaluation.model_copy(update={"draws": None})}
    )
    with pytest.raises(UserError, match="answers differently"):
        attack.run(place, undeclared, "plain", "linf")


def test_witnesses_are_tried_on_the_other_network_each_at_its_own_eps(grid) -> None:
    place, _ = grid
    tried = read_npz(place.transfer("linf"))
    names = tried["source_names"].tolist()
    assert sorted(names) == ["hard", "plain"]
    for source, other in ((0, 1), (1, 0)):
        witnesses = read_npz(place.attack(names[source], "linf") / "witnesses.npz")
        rows = tried["source"] == source
        assert (tried["target"][rows] == other).all()
        for name in ("index", "eps"):
            assert np.array_equal(tried[name][rows], witnesses[name])
        # judged by the bare network: not what fooled the first one is asked, but the second
        model, _ = load_network(place.network(names[other]) / "network.pt")
        read = model.eval()(torch.from_numpy(witnesses["x_adv"])).argmax(dim=1).numpy()
        assert np.array_equal(tried["outcome"][rows] == 1, read != witnesses["label"])


def test_verify_finds_a_witness_that_was_tampered_with(grid, capsys) -> None:
    place, config = grid
    verify.run(place, config)
    told = capsys.readouterr().out
    assert "attack plain linf:" in told
    assert "noise hard linf:" in told
    assert re.search(r"transfer plain linf: [1-9]\d* witnesses of others, all hold", told)
    path = place.attack("plain", "linf") / "witnesses.npz"
    good = read_npz(path)
    for spoil in (
        lambda w: w["x_adv"].__setitem__(0, 0.5),  # far outside the ball
        lambda w: w["eps"].__setitem__(0, w["distance"][0] / 2),
        lambda w: w["index"].__setitem__(0, 10**6),
        lambda w: w.update({n: a[1:] for n, a in w.items() if a.ndim and len(a) == len(w["eps"])}),
    ):
        bad = {name: array.copy() for name, array in good.items()}
        spoil(bad)
        write_npz(path, **bad)
        with pytest.raises(UserError, match="do not hold"):
            verify.run(place, config)
    write_npz(path, **good)


def test_more_samples_than_images_is_told(grid: tuple[Place, Config]) -> None:
    place, config = grid
    evaluation = config.evaluation.model_copy(update={"samples": 10**6})
    with pytest.raises(UserError, match=r"evaluation\.samples"):
        attack.run(place, config.model_copy(update={"evaluation": evaluation}), "plain", "linf")


def test_an_interrupted_attack_goes_on_from_its_finished_parts(grid, monkeypatch) -> None:
    """Killed in its second part and restarted: the first is kept, and the result is the same."""
    place, config = grid
    config = _with_evaluation(config, diagnosis=0)
    whole = read_npz(place.attack("plain", "linf") / "verdicts.npz")
    monkeypatch.setattr(measure, "PART", 25)
    real, calls = measure.run_suite, []

    def dying(*arguments: Any, **given: Any) -> Any:
        calls.append(len(arguments[1]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **given)

    monkeypatch.setattr(measure, "run_suite", dying)
    with pytest.raises(KeyboardInterrupt):
        attack.run(place, config, "plain", "linf")
    _, second = sorted(place.work.rglob("*.npz"))
    second.write_bytes(second.read_bytes()[:100])  # half-written counts as not there
    attack.run(place, config, "plain", "linf")
    assert calls == [25, 25, 10, 25, 10]
    again = read_npz(place.attack("plain", "linf") / "verdicts.npz")
    order, reference = (np.lexsort((t["attack"], t["eps"], t["index"])) for t in (again, whole))
    for name in ("index", "outcome", "adv_pred", "distance", "margin", "forwards", "how"):
        equal_nan = whole[name].dtype.kind == "f"
        assert np.array_equal(again[name][order], whole[name][reference], equal_nan=equal_nan), name
    assert not list(place.work.rglob("*.npz"))


def test_the_diagnosis_of_an_interrupted_attack_is_not_run_again(grid, monkeypatch) -> None:
    place, config = grid
    folder = place.attack("plain", "linf")
    attack.run(place, config, "plain", "linf")
    before = [(folder / name).read_bytes() for name in ("diagnosis.npz", "signs.json")]
    real, labels = measure.run_suite, []

    def dying(*arguments: Any, **given: Any) -> Any:
        labels.append([attacker.label for attacker in arguments[5]])
        if labels[-1] == ["fgsm", "pgd"]:
            raise KeyboardInterrupt
        return real(*arguments, **given)

    with monkeypatch.context() as patch:
        patch.setattr(measure, "run_suite", dying)
        with pytest.raises(KeyboardInterrupt):
            attack.run(place, config, "plain", "linf")
        assert ["square"] in labels
        labels.clear()
        with pytest.raises(KeyboardInterrupt):
            attack.run(place, config, "plain", "linf")
        assert labels == [["fgsm", "pgd"]]
    attack.run(place, config, "plain", "linf")
    assert [(folder / name).read_bytes() for name in ("diagnosis.npz", "signs.json")] == before
    assert not list(place.work.rglob("*.npz"))


def test_the_diagnosis_of_a_stage_that_is_killed_while_it_writes_is_kept(grid, monkeypatch) -> None:
    place, config = grid

    def dying(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(attack, "broken_examples", dying)
        with pytest.raises(KeyboardInterrupt):
            attack.run(place, config, "plain", "linf")
    with monkeypatch.context() as patch:
        patch.setattr(measure, "run_suite", None)  # nothing is attacked again
        attack.run(place, config, "plain", "linf")
    assert (place.attack("plain", "linf") / "diagnosis.npz").exists()
    assert not list(place.work.rglob("*.npz"))


def test_a_diagnosis_holds_each_attack_alone_on_a_part_of_the_images(grid) -> None:
    place, config = grid
    attack.run(place, _with_evaluation(config, diagnosis=40), "plain", "linf")
    table = read_npz(place.attack("plain", "linf") / "diagnosis.npz")
    names = table["attack_names"].tolist()
    assert names[:3] == ["fgsm", "pgd", "square"]
    assert table["role"].tolist()[:3] == ["suite", "suite", "probe"]
    assert table["compared_at"] == 0.15  # the middle of two is the second
    assert len(table["index"]) == 40 * len(names)
    assert [names[code] for code in table["steps_attack"]] == [
        "pgd, 1 steps", "pgd, 2 steps", "pgd", "pgd, 10 steps",
    ]  # fmt: skip
    assert table["steps"].tolist() == [1, 2, 5, 10]
    everything = read_npz(place.attack("plain", "linf") / "verdicts.npz")
    assert set(table["index"].tolist()) < set(everything["index"].tolist())
    attack.run(place, _with_evaluation(config, diagnosis=0), "plain", "linf")
    assert not (place.attack("plain", "linf") / "diagnosis.npz").exists()
    attack.run(place, config, "plain", "linf")


def test_the_first_attack_of_minimum_norm_is_not_run_twice(grid) -> None:
    """The cascade ran it alone: its verdicts in the diagnosis are those, and those of its own."""
    place, config = grid
    attacks = [{"attack": "fmn", "steps": 20}, {"attack": "pgd", "steps": 5}]
    suite = config.suites["linf"].model_copy(update={"attacks": attacks})
    found = {}
    for first in (attacks, attacks[::-1]):
        changed = suite.model_copy(update={"attacks": first})
        run = config.model_copy(update={"suites": {"linf": changed}})
        attack.run(place, run, "plain", "linf")
        table = read_npz(place.attack("plain", "linf") / "diagnosis.npz")
        code = table["attack_names"].tolist().index("fmn")
        rows = table["attack"] == code
        order = np.lexsort((table["index"][rows], table["eps"][rows]))
        found[str(first)] = {name: table[name][rows][order] for name in ("index", "eps", "outcome")}
    alone, reference = found.values()
    for name, column in reference.items():
        assert np.array_equal(alone[name], column), name
    attack.run(place, config, "plain", "linf")


def _with_evaluation(config: Config, **changes: Any) -> Config:
    evaluation = config.evaluation.model_copy(update=changes)
    return config.model_copy(update={"evaluation": evaluation})


def test_a_model_that_returns_probabilities_is_refused(grid, monkeypatch) -> None:
    place, config = grid
    model, info = judged.load_network(place.network("plain") / "network.pt")
    spoiled = torch.nn.Sequential(model, torch.nn.Softmax(dim=1)).eval()
    monkeypatch.setattr(judged, "load_network", lambda path: (spoiled, info))
    before = (place.attack("plain", "linf") / "verdicts.npz").read_bytes()
    with pytest.raises(UserError, match="probabilities"):
        attack.run(place, config, "plain", "linf")
    assert (place.attack("plain", "linf") / "verdicts.npz").read_bytes() == before


def test_weights_that_nothing_but_decay_moves_end_at_zero(tmp_path: Path) -> None:
    """Below 1e-38 a CPU calculates in microcode: training would take several times as long."""
    params = tiny(networks={"dead": {}})  # all its layers vanish together
    params["recipe"] |= {"architecture": "mlp", "settings": {"hidden": [32]}}
    params["recipe"] |= {"momentum": 0.0, "nesterov": False}
    params["recipe"] |= {"schedule": "constant", "weight_decay": 2.0, "epochs": 15}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    for command in (["data"], ["train", "dead"]):
        command = [sys.executable, "-m", "pipeline", *command, "--params", str(path)]
        subprocess.run(command, check=True, cwd=ROOT)
    weights = load_network(Place.of(path).network("dead"))[0].state_dict().values()
    sizes = torch.cat([weight.flatten().abs().double() for weight in weights])
    assert (sizes == 0).any()
    assert not ((sizes > 0) & (sizes < torch.finfo(torch.float32).tiny)).any()
