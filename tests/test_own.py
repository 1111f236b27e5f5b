"""A model of the user's own: found, given its weights, and judged like those trained here."""

from __future__ import annotations

import copy
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn
from torch.nn.functional import interpolate

from models.front import fronted
from pipeline.__main__ import main
from pipeline.base import own
from pipeline.base.callables import callable_errors
from pipeline.base.config.own import Own
from pipeline.base.errors import UserError
from pipeline.base.networks import load_network, save_described
from pipeline.base.watched import watched
from pipeline.base.weights import give_weights
from pipeline.sources.listing import listing_of

ROOT = Path(__file__).parent.parent
SOURCE = """\
from torch import nn


def build(width=4, outputs=3):
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        nn.Linear(16 * width, outputs),
    )


def a_list():
    return [1]


def features():
    return nn.Flatten(0)


class Squeezed(nn.Module):
    def __init__(self, dimensions):
        super().__init__()
        self.dimensions, self.last = dimensions, nn.Linear(1, 3)

    def forward(self, x):
        pooled = x.mean((2, 3), keepdim=True).squeeze().unsqueeze(-1)
        assert pooled.dim() >= self.dimensions, "a batch is missing"
        return self.last(pooled)
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder with the user's module `mine_net` and its weights, which is where they work."""
    (tmp_path / "mine_net.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_net", raising=False)
    import mine_net

    torch.manual_seed(1)
    torch.save(mine_net.build().state_dict(), "w.pt")
    return mine_net


def entry(**changes: Any) -> dict[str, Any]:
    return {"model": "mine_net:build", "weights": "w.pt", **changes}


CLAIM = {"suite": "linf", "eps": 0.15, "robust_acc": 0.8}
WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"model": "mine_net"}, ["model", "package.module:function"]),
    ({"model": "mine_nett:build"}, ["model", "no module 'mine_nett'", "PYTHONPATH"]),
    ({"model": "mine_net.deep:build"}, ["model", "no module 'mine_net.deep'"]),
    ({"model": "mine_net:biuld"}, ["model", "did you mean 'build'?"]),
    ({"model": "models.plain:mlp"}, ["model", "'models' is the name of a package of epsball"]),
    ({"model": "borrows:build"}, ["model", "borrows.py imports models.wide", "another name"]),
    ({"model": "broken:build"}, ["model", "broken.py cannot be read"]),
    ({"weights": "v.pt"}, ["weights", "no such file: 'v.pt'"]),
    ({"code": ["mine_net.py", "parts"]}, ["code.1", "no such file or folder: 'parts'"]),
    ({"code": ["borrows.py"]}, ["code.0", "imports models.wide"]),
    ({"wieghts": "w.pt"}, ["wieghts", "did you mean 'weights'?"]),
    ({"epochs": 3}, ["epochs", "unknown", "allowed: args, claimed"]),
    ({"normalize": {"mean": [0.5], "std": [0.5, 0.5]}}, ["normalize", "1 means, but 2"]),
    ({"normalize": {"mean": [0.5], "std": [0]}}, ["normalize.std.0", "greater than 0"]),
    ({"normalize": {"mean": [123.7], "std": [0.2]}}, ["normalize.mean.0", "123.7; divide it by"]),
    ({"normalize": {"mean": [0.5], "std": [58.4]}}, ["normalize.std.0", "[0, 1]", "got 58.4"]),
    ({"normalize": {"mean": [-0.5], "std": [float("nan")]}}, ["normalize.std.0", "got nan"]),
    ({"resize": 0}, ["resize", "number of pixels, or [height, width], got 0"]),
    ({"crop": [1, 2, 3]}, ["crop", "[height, width], got [1, 2, 3]"]),
    ({"classes": {"cat": 1, "dog": 1}}, ["classes", "cat and dog are both output 1"]),
    ({"claimed": CLAIM | {"suite": "linff"}}, ["claimed.suite", "did you mean 'linf'?"]),
    ({"claimed": CLAIM | {"eps": 0.16}}, ["claimed.eps", "one of suites.linf.eps"]),
    ({"claimed": CLAIM | {"robust_acc": 80}}, ["claimed.robust_acc", "less than or equal to 1"]),
    ({"gradients": "perhaps"}, ["gradients", "boolean"]),
]


def check(edit: Callable[[dict[str, Any]], object], capsys: Any) -> tuple[int, str]:
    params = copy.deepcopy(yaml.safe_load((ROOT / "params.yaml").read_text()))
    edit(params)
    Path("params.yaml").write_text(yaml.safe_dump(params))
    code = main(["check-config"])
    return code, capsys.readouterr().err


def test_what_is_wrong_in_an_entry_is_told_all_of_it_before_any_work(mine, capsys) -> None:
    Path("borrows.py").write_text("from models.wide import block\n\n\ndef build(): ...\n")
    Path("broken.py").write_text("def build(:\n")

    def edit(params: dict[str, Any]) -> None:
        for number, (changes, _) in enumerate(WRONG):
            params["networks"][f"own{number}"] = entry(**changes)
        params["memorize"]["networks"]["own"] = entry()
        params["recipe"]["epochs"] = "many"  # hides nothing

    code, message = check(edit, capsys)
    assert code == 2
    assert "Traceback" not in message
    for number, (_, (path, *parts)) in enumerate(WRONG):
        place = f"networks.own{number}.{path}"
        line = next((line for line in message.splitlines() if place in line), "")
        assert all(part in line for part in parts), (place, message)
    assert "memorize.networks.own.model: a model of your own is not trained" in message
    assert "recipe.epochs" in message


def test_an_entry_that_is_well_is_taken(mine, capsys) -> None:
    def edit(params: dict[str, Any]) -> None:
        claim = {"suite": "linf", "eps": "15/100", "robust_acc": 0.8}
        full = entry(code=["mine_net.py"], claimed=claim, resize=[8, 8], crop=6, gradients=False)
        params["networks"] |= {"own": full, "theirs": {"model": "torchvision.models:resnet18"}}

    assert check(edit, capsys) == (0, "")


def taken(names: str = "abc", shape: tuple[int, ...] = (1, 8, 8), **changes: Any) -> Any:
    described = own.own_network(Own(**entry(**changes)), list(names), shape, "networks.mine")
    save_described(Path("network.pt"), described)
    return load_network(Path("network.pt"))


def test_images_reach_the_network_resized_cut_and_normalized_and_outputs_are_sorted(mine) -> None:
    normalize = {"mean": [0.25], "std": [0.5]}
    given = {"normalize": normalize, "resize": 12, "crop": [8, 10]}
    model, about = taken("ab", **given, classes={"b": 0, "a": 2})
    assert about["classes"] == 2 and about["parameters"] == sum(
        p.numel() for p in mine.build().parameters()
    )
    network = mine.build()
    network.load_state_dict(torch.load("w.pt", weights_only=True))
    x = torch.rand(5, 1, 8, 8)
    larger = interpolate(x, size=(12, 12), mode="bilinear", antialias=True)
    cut = larger[:, :, 2:10, 1:11]
    expected = network((cut - 0.25) / 0.5)[:, [2, 0, 1]]
    assert torch.allclose(model(x), expected, atol=1e-5)


def test_a_photo_is_resized_as_torchvision_does_it() -> None:
    from torchvision.transforms.functional import center_crop, resize

    x = torch.rand(2, 3, 45, 60)
    front = fronted(nn.Identity(), (45, 60), resize=30, crop=25)
    assert torch.allclose(front(x), center_crop(resize(x, 30, antialias=True), [25]), atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"args": {"depth": 3}}, r"networks.mine.model: .*depth=3\) failed: TypeError"),
        ({"model": "mine_net:a_list"}, "returns list, not a torch.nn.Module"),
        ({"model": "mine_net:nn"}, "nothing to call"),
        ({"model": "mine_net:features", "weights": None}, "one tensor of logits"),
        (
            {"model": "mine_net:Squeezed", "weights": None, "args": {"dimensions": 1}},
            r"logits \(1, 3\) for one image alone, returns \(3,\); look for a squeeze",
        ),
        (
            {"model": "mine_net:Squeezed", "weights": None, "args": {"dimensions": 2}},
            "does not take one image of 1x8x8 alone, though it takes two .* a batch is missing",
        ),
        ({"crop": 20}, "networks.mine.crop: 20x20 pixels cannot be cut out of 8x8"),
        ({"normalize": {"mean": [0.1] * 3, "std": [1.0] * 3}}, "3 means and deviations"),
        ({"classes": {"a": 0, "b": 1}}, "networks.mine.classes: no output is given for c"),
        ({"classes": {"a": 0, "b": 1, "c": 3}}, "c: 3: the model has outputs 0 to 2"),
    ],
)
def test_a_model_that_cannot_be_taken_is_told(mine, changes, told) -> None:
    with pytest.raises(UserError, match=told):
        taken(**changes)


def test_a_package_of_the_user_s_that_gets_ours_is_told_also_where_it_lies_deeper(mine) -> None:
    Path("mine_net.py").write_text("import mine_blocks\n\n\ndef build(): ...\n")
    Path("mine_blocks.py").write_text("from models import wide_block\n")
    sys.modules.pop("mine_net")
    told = r"mine.model: .* cannot be imported: .*\(models is of epsball; give your package another"
    with pytest.raises(UserError, match=told):
        taken()


@pytest.mark.parametrize("kind", ["package", "module"])
def test_a_package_that_ours_would_stand_in_for_is_told(mine, monkeypatch, capsys, kind) -> None:
    """Ours comes first on the path and has what is imported: nothing would fail."""
    Path("tree/other").mkdir(parents=True)
    theirs = Path("tree/models/__init__.py" if kind == "package" else "tree/models.py")
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("def build(): ...\n")
    Path("tree/via.py").write_text("from models import build\n")
    Path("tree/deep.py").write_text("from other import helper\n\n\ndef build(): ...\n")
    Path("tree/other/helper.py").write_text("import models\n")
    Path("apart.py").write_text("from models import build\n")
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path, str(Path("tree").resolve())])
    for module, told in (
        ("via", "via.py imports models.build, but 'models' is a package of epsball, which is not"),
        ("via", "lies beside 'via' and has the name of a package of epsball"),
        ("deep", "lies beside 'deep'"),
        ("other.helper", "lies beside 'other'"),
        ("apart", "apart.py imports models.build, but 'models' is a package of epsball"),
    ):
        arguments = ["--model", f"{module}:build", "--data", f"{module}:build", "--eps", "0.1"]
        assert main(["check", *arguments]) == 2
        message = capsys.readouterr().err
        assert told in message, (module, message)
        assert "tree/models" in message and "give your" in message
        with pytest.raises(UserError, match=r"--data: .*models"):
            listing_of(f"{module}:build")


def test_a_namesake_that_no_code_means_is_left_alone(mine, monkeypatch) -> None:
    """A folder of weights is no package, strangers are installed beside each other, and what
    lies elsewhere on the path is imported by nobody."""
    for folder in ("models", "venv/site-packages/models", "elsewhere/attacks"):
        Path(folder).mkdir(parents=True)
    Path("models/w.pt").write_bytes(b"")
    Path("venv/site-packages/models/__init__.py").write_text("")
    Path("elsewhere/attacks/__init__.py").write_text("")
    Path("venv/site-packages/lib.py").write_text("def build(): ...\n")
    Path("ours.py").write_text("from models import ARCHITECTURES\n\n\ndef build(): ...\n")
    usual = [str(ROOT), *sys.path, str(Path("elsewhere").resolve())]
    monkeypatch.setattr(sys, "path", usual)
    assert callable_errors("mine_net:build") == []
    assert callable_errors("ours:build") == []  # there is but one `models`: it means ours
    monkeypatch.setattr(sys, "path", [*usual, str(Path("venv/site-packages").resolve())])
    assert callable_errors("lib:build") == []
    assert "ours.py imports models.ARCHITECTURES" in callable_errors("ours:build")[0]


def test_outputs_that_fit_no_classes_are_told_and_numbered_classes_name_theirs(mine) -> None:
    with pytest.raises(UserError, match="3 outputs, the data set 2 classes; say which"):
        taken("ab")
    with pytest.raises(UserError, match="does not take images of 3x8x8"):
        taken(shape=(3, 8, 8))
    x = torch.rand(4, 1, 8, 8)
    whole, _ = taken("012")
    part, _ = taken("20")
    assert torch.equal(part(x), whole(x)[:, [2, 0, 1]])


def test_weights_that_do_not_fit_are_told_key_by_key(mine) -> None:
    state = torch.load("w.pt", weights_only=True)
    state["4.weight"] = torch.zeros(3, 7)
    state["0.wieght"] = state.pop("0.weight")
    state["9.bias"] = torch.zeros(1)
    torch.save(state, "w.pt")
    with pytest.raises(UserError) as error:
        taken()
    start = "networks.mine.weights: w.pt: "
    assert [line.removeprefix(start) for line in str(error.value).splitlines()] == [
        "0.weight is missing (the file has 0.wieght)",
        "0.wieght is not expected",
        "9.bias is not expected",
        "4.weight has the shape (3, 7), the model's (3, 64)",
    ]


class Runs:
    """What a weights file may hold to run code when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


def test_no_code_of_a_weights_file_runs(mine) -> None:
    for write in (
        lambda: torch.save({"state_dict": Runs()}, "w.pt"),
        lambda: Path("w.pt").write_bytes(pickle.dumps(Runs(), protocol=2)),
        lambda: torch.save(mine.build(), "w.pt"),  # the whole model, pickled
    ):
        write()
        with pytest.raises(UserError, match=r"mine.weights: w.pt: cannot be read as weights"):
            taken()
        assert not Path("ran").exists()
    torch.save([1, 2], "w.pt")
    with pytest.raises(UserError, match="holds list, not a state_dict"):
        taken()
    torch.save({"epoch": 3}, "w.pt")
    with pytest.raises(UserError, match="not a state_dict: epoch are no tensors"):
        taken()


def test_weights_inside_a_checkpoint_and_behind_a_wrapper_are_found(mine) -> None:
    x = torch.rand(4, 1, 8, 8)
    plain = taken()[0](x)
    state = torch.load("w.pt", weights_only=True)
    wrapped = {f"module.{name}": value for name, value in state.items()}
    torch.save({"epoch": 9, "state_dict": wrapped}, "w.pt")
    assert torch.equal(taken()[0](x), plain)
    torch.save({f"_orig_mod.{name}": value for name, value in wrapped.items()}, "w.pt")
    assert torch.equal(taken()[0](x), plain)


def test_a_model_that_is_wrapped_itself_takes_what_fits_it(tmp_path: Path) -> None:
    file, plain = tmp_path / "w.pt", nn.Linear(3, 2)
    wrapped = nn.Sequential(OrderedDict(module=plain))  # as DataParallel names it
    for saved in (plain, wrapped):
        torch.save(saved.state_dict(), file)
        for network in (nn.Linear(3, 2), nn.Sequential(OrderedDict(module=nn.Linear(3, 2)))):
            give_weights(network, file, "k")
            assert torch.equal(next(network.parameters()), plain.weight)


def test_a_changed_file_is_seen_and_python_s_leavings_are_not(mine) -> None:
    Path("parts/__pycache__").mkdir(parents=True)
    Path("parts/block.py").write_text("a = 1\n")
    asked = entry(code=["parts"])
    before = watched(asked)
    assert set(before) == {"mine_net", "parts/block.py", "w.pt"}
    Path("parts/__pycache__/block.pyc").write_bytes(b"1")
    Path("parts/block.pyc").write_bytes(b"1")
    assert watched(asked) == before
    Path("parts/block.py").write_text("a = 2\n")
    Path("mine_net.py").write_text(SOURCE + "\n")
    changed = watched(asked)
    assert {name for name in before if changed[name] != before[name]} == {
        "mine_net",
        "parts/block.py",
    }


def test_a_package_of_the_user_s_that_hides_ours_is_told(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "models").mkdir()
    (tmp_path / "models/__init__.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "check", "--model", "a:b", "--data", ".", "--eps", "1"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert f"{tmp_path / 'models'}" in done.stderr and "'models'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_called_pipeline_is_told_where_epsball_is_looked_for_first(tmp_path: Path) -> None:
    """As docs/own-model.md says to start it; else Python runs that folder, and ends with 1."""
    import subprocess

    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/__init__.py").write_text("")
    (tmp_path / "mine.py").write_text("def build(): ...\n")
    done = subprocess.run(
        f"{sys.executable} -m pipeline check --model mine:build --data . --eps 0.1".split(),
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:.", "PYTHONSAFEPATH": "1", "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert f"--model: {tmp_path / 'pipeline'} lies beside 'mine'" in done.stderr


def test_a_model_without_gradients_is_asked_for_none() -> None:
    class Answers(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mean = torch.tensor(np.asarray(x).mean(axis=(1, 2, 3)))  # as an engine would
            return torch.stack([mean, 1 - mean], dim=1)

    x = torch.rand(3, 1, 4, 4, requires_grad=True)
    with pytest.raises(RuntimeError, match="requires grad"):
        fronted(Answers(), (4, 4))(x)
    assert not fronted(Answers(), (4, 4), gradients=False)(x).requires_grad
