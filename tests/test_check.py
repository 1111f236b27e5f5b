"""`check`: a model of one's own, a folder of images, one report and one exit code."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import check, verify
from pipeline.__main__ import main
from pipeline.base.config.asked import asked
from pipeline.base.errors import UserError
from pipeline.base.store import Place, read_npz
from pipeline.report.own import NOT_REFUTED, REFUTED, UNDECIDED, judge
from pipeline.report.statistics import accuracy
from pipeline.sources.given import Given, read_given
from training import made_up

# A network that is right by construction: the brightest third of the image is its class.
SOURCE = """\
import torch
from torch import nn


class Thirds(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        return self.scale * torch.stack([x[..., i : i + 2].sum((1, 2, 3)) for i in (0, 2, 4)], 1)


class Four(Thirds):
    def forward(self, x):
        found = super().forward(x)
        return torch.cat([found, self.scale * 7 + 0 * found[:, :1]], dim=1)


class Two(Thirds):
    def forward(self, x):
        return super().forward(x)[:, :2]


class Images:
    classes = ["left", "middle", "right", "none"]

    def __len__(self):
        return 12

    def __getitem__(self, number):
        x = torch.full((1, 8, 8), 0.2)
        x[..., 2 * (number % 3) : 2 * (number % 3) + 2] = 0.6
        return (x - 0.5) / 0.5 if self.normalized else x, number % 3

    normalized = False


def normalized():
    made = Images()
    made.normalized = True
    return made
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user works: a module, weights, a folder of images, an archive."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "thirds", raising=False)
    Path("thirds.py").write_text(SOURCE)
    torch.save({"scale": torch.tensor(3.0)}, "w.pt")
    split = made_up(24)
    for name in "abc":
        Path("photos/test", name).mkdir(parents=True)
    for number, (x, y) in enumerate(zip(split.x, split.y, strict=True)):
        Image.fromarray(x[0]).save(f"photos/test/{'abc'[y]}/{number:02}.png")
    np.savez("images.npz", x=split.x, y=split.y)
    return tmp_path


def given(data: str, **how: Any) -> Given:
    usual = {"outputs": None, "channels": None, "resize": None, "crop": None}
    return read_given(data, lambda index: index, **(usual | how))


def options(*more: str) -> list[str]:
    """The command line; the model moves pixels far, so that small budgets break nothing."""
    usual = ["--model", "thirds:Thirds", "--weights", "w.pt", "--data", "photos"]
    return ["check", *usual, "--ensemble", "fast", "--diagnosis", "0", *more]


def test_a_requirement_is_judged_by_exit_code_and_the_report_stands_in_a_new_folder(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asks = options("--eps", "90/255", "--require", "0.8", "--out", "out")
    assert main(asks) == 1
    told = capsys.readouterr()
    assert "out/reports/index.html" in told.out and "REFUTED" in told.out
    assert "24/24" in told.err  # progress
    page = Path("out/reports/index.html").read_text()
    markdown = Path("out/reports/report.md").read_text()
    for text in (page, markdown):
        assert "Does it keep what was claimed?" in text
        assert "is refuted: the whole interval lies below it." in text.replace("\u00a0", " ")
        assert "thirds:Thirds()" in text
        assert "How were the networks trained?" not in text
        assert "Can the networks learn by heart?" not in text
    assert list(work.glob("artifacts")) == list(work.glob("dvc*")) == []

    # What was found holds against other requirements, and witnesses when they are judged again.
    metrics = json.loads(Path("out/reports/metrics.json").read_text())["w"]
    place = Place(Path("out"))
    again = _question(work, *asks[:-2], "--out", "elsewhere")
    config = again.config(64, 24)
    ends = accuracy(round(metrics["robust_acc"] * 24), 24)
    for required, code in ((0.0, 0), (metrics["robust_acc"] + 1e-6, 3), (ends.high + 0.01, 1)):
        question = again.model_copy(update={"require": required})
        assert check._verdict(place, config, question, "90/255") == code
    verify.run(place, config)
    exec(_program(page), {"__name__": "recheck"})
    assert "witnesses hold" in capsys.readouterr().out

    # The same folder is not written over, whatever is asked.
    assert main(asks) == 2
    assert "--out: 'out' has a report already" in capsys.readouterr().err


def _question(work: Path, *arguments: str) -> Any:
    from pipeline.__main__ import _parser

    return asked(_parser().parse_args(arguments))


def _program(page: str) -> str:
    import html

    begin = page.index("<code>import numpy") + len("<code>")
    return html.unescape(page[begin : page.index("</code>", begin)])


def test_a_model_without_gradients_meets_random_search_alone(work: Path, capsys) -> None:
    asks = options("--eps", "0.9", "--require", "0.5", "--gradients", "no", "--samples", "8")
    asks += ["--model", "thirds:Four", "--data", "thirds:Images", "--out", "out"]
    assert main([*asks, "--diagnosis", "4"]) == 1
    assert "A weak bound" in capsys.readouterr().out
    table = read_npz(Path("out/artifacts/attack/w/linf/verdicts.npz"))
    assert table["attack_names"].tolist() == ["square"]
    alone = read_npz(Path("out/artifacts/attack/w/linf/diagnosis.npz"))
    assert not alone["gradients"].any()
    assert table["backwards"].sum() == 0
    page = Path("out/reports/index.html").read_text()
    assert "No attack used gradients on w" in page
    assert "What else does it take" not in page
    # Its fourth output is no class of these images.
    assert table["adv_pred"].max() == 3 and "a class beyond these" in page


def test_a_loss_that_two_classes_do_not_have_is_told(work: Path, capsys) -> None:
    split = made_up(24)
    np.savez("two.npz", x=split.x[split.y < 2], y=split.y[split.y < 2])
    asks = options("--eps", "0.1", "--data", "two.npz", "--model", "thirds:Two", "--samples", "3")
    assert main([*asks, "--ensemble", "autoattack", "--out", "out"]) == 0
    told = "apgd_t: the DLR needs 4 classes and there are 2: the margin stands in"
    assert told in capsys.readouterr().out
    report = Path("out/reports/report.md").read_text()
    assert told in report and "Did each attack climb the loss that it names?" in report
    assert "apgd_ce: the DLR" not in report
    # Three outputs are enough for a ratio that aims at no class.
    asks = options("--eps", "0.1", "--samples", "3", "--out", "three", "--draws", "2")
    assert main([*asks, "--ensemble", "randomized"]) == 0
    assert "the DLR" not in capsys.readouterr().out


def test_a_check_that_was_interrupted_goes_on_and_a_crash_is_no_verdict(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asks = options("--eps", "90/255", "--samples", "8", "--out", "out")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    def crash(*_: Any) -> None:
        raise RuntimeError("nobody foresaw this")

    with monkeypatch.context() as patch:
        patch.setattr(check.noise, "run", killed)
        assert main(asks) == 130
    assert main([*asks, "--seed", "1"]) == 2  # another question
    assert "out is not empty" in capsys.readouterr().err
    torch.save({"scale": torch.tensor(2.0)}, "w.pt")
    assert main(asks) == 2  # of another model; what the first has is kept
    assert "no unfinished check of this very model" in capsys.readouterr().err
    torch.save({"scale": torch.tensor(3.0)}, "w.pt")
    with monkeypatch.context() as patch:
        patch.setattr(check.attack, "run", killed)  # it was done
        patch.setattr(check.report, "run", crash)
        assert main(asks) == 4
    told = capsys.readouterr()
    assert "going on where it was interrupted" in told.out and "nobody foresaw this" in told.err
    assert main(asks) == 0  # nothing is required
    assert Path("out/reports/index.html").exists()


def test_requirements_are_judged_by_the_interval() -> None:
    measured = accuracy(50, 100)
    assert judge(measured, measured.high + 0.001) == REFUTED
    assert judge(measured, measured.high) == judge(measured, 0.5) == UNDECIDED
    assert judge(measured, measured.low) == NOT_REFUTED
    unfinished = accuracy(50, 100, unknown=30)  # what ended in an error refutes nothing
    assert judge(unfinished, measured.high + 0.001) == UNDECIDED


def test_options_that_are_wrong_are_told_all_at_once(work: Path, capsys) -> None:
    wrong = {
        "--model": ("thirds:Third", "did you mean 'Thirds'?"),
        "--weights": ("v.pt", "no such file"),
        "--eps": ("two", "8/255"),
        "--norm": ("linff", "did you mean 'linf'?"),
        "--ensemble": ("quick", "unknown ensemble"),
        "--require": ("80", "less than or equal to 1"),
        "--args": ("{width: ", "not valid YAML"),
        "--normalize": ("{mean: [0.5]}", "missing"),
        "--resize": ("small", "number of pixels"),
        "--samples": ("0", "greater than or equal to 1"),
        "--draws": ("1", "greater than or equal to 2"),
        "--name": ("My Model", "lower-case letters"),
    }
    arguments = [part for option, (value, _) in wrong.items() for part in (option, value)]
    assert main(["check", "--data", "nowhere", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    for option, (_, told) in wrong.items():
        assert any(option in line and told in line for line in lines), (option, lines)
    for data, told in (
        ("nowhere", "--data: 'nowhere' is no folder, no .npz file"),
        ("none.npz", "--data: none.npz: no such file"),
        ("thirds:Nothing", "--data: thirds has no such name: unknown 'Nothing'"),
        ("thirds:Thirds", "--data: thirds:Thirds() must return a Dataset"),
        ("thirds:normalized", "normalized already"),
    ):
        assert main(options("--eps", "0.1", "--data", data)) == 2
        assert told in capsys.readouterr().err
    assert main(options("--eps", "0.1", "--samples", "25")) == 2
    assert "--samples: 25 asked, but there are 24 images" in capsys.readouterr().err
    assert main(options("--eps", "0.1", "--classes", "{a: 0, b: 1}")) == 2
    assert "--classes: no output is given for c" in capsys.readouterr().err
    assert main(options("--eps", "2")) == 2
    assert "--eps: 2 is more than linf allows" in capsys.readouterr().err
    assert not list(work.glob("check-*"))


ENDS = """\
import argparse
import sys

import thirds

{at_import}


def build():
    {in_build}
    return thirds.Thirds()


def images():
    {in_build}
    return thirds.Images()


class Later(thirds.Thirds):
    asked = 0

    def forward(self, x):
        self.asked += 1
        if self.asked > {answers}:
            sys.exit(0)
        return super().forward(x)
"""


@pytest.mark.parametrize(
    ("asks", "how", "told"),
    [
        (["--model", "ends:build"], {"at_import": "sys.exit(0)"}, "--model: ends:build cannot"),
        (["--model", "ends:build"], {"at_import": "sys.exit(1)"}, "SystemExit(1)"),
        (
            ["--model", "ends:build"],
            {"at_import": "argparse.ArgumentParser().parse_args()"},
            "--model: ends:build cannot be imported: it ends the program (SystemExit(2))",
        ),
        (["--model", "ends:build"], {"in_build": "sys.exit(1)"}, "--model: ends:build() failed"),
        (["--data", "ends:build"], {"at_import": "sys.exit(0)"}, "--data: ends:build cannot"),
        (["--data", "ends:images"], {"in_build": "sys.exit(0)"}, "--data: ends:images() must"),
        (["--model", "ends:Later"], {"answers": 0}, "--model: does not take images"),
        (["--model", "ends:Later"], {"answers": 2}, "--model: it ends the program"),
    ],
)
def test_code_that_ends_the_program_gives_no_verdict(
    work: Path, monkeypatch, capsys, asks: list[str], how: dict[str, Any], told: str
) -> None:
    usual = {"at_import": "", "in_build": "pass", "answers": 0}
    Path("ends.py").write_text(ENDS.format(**(usual | how)))
    monkeypatch.delitem(sys.modules, "ends", raising=False)
    monkeypatch.setattr(sys, "argv", ["pipeline", "check"])
    importlib.invalidate_caches()
    assert main(options("--eps", "0.1", "--require", "0.9", *asks, "--out", "out")) == 2
    message = capsys.readouterr().err
    assert told in message and "if __name__ == '__main__'" in message
    assert not Path("out").exists()


def test_a_model_that_ends_the_program_under_attack_gives_no_verdict(work, monkeypatch) -> None:
    monkeypatch.setattr(check.attack, "run", lambda *_: sys.exit(0))
    assert main(options("--eps", "0.1", "--require", "0.9", "--out", "out")) == 4


def test_a_folder_that_cannot_be_written_is_told_before_any_work(
    work: Path, monkeypatch, capsys
) -> None:
    for out, told in (
        ("w.pt", "--out: must be a new folder, but 'w.pt' is a file"),
        ("w.pt/x", "--out: must be a new folder, but 'w.pt' is a file"),
        ("x" * 300, "cannot be a folder (OSError"),
        (f"{work}/w.pt/x/y", f"but '{work}/w.pt' is a file"),
    ):
        # Beside another error: before images are read.
        assert main(options("--eps", "two", "--out", out)) == 2
        message = capsys.readouterr().err
        assert told in message and "--eps: " in message
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)  # to root, all is open
        assert main(options("--eps", "0.1", "--out", "a/b")) == 2
    assert "'a/b' cannot be made: '.' may not be written to" in capsys.readouterr().err
    Path("nowhere").symlink_to("gone/away")  # neither there nor to be made
    assert main(options("--eps", "0.1", "--out", "nowhere")) == 2
    assert "--out: nowhere: cannot be written (FileExistsError" in capsys.readouterr().err


def test_the_same_images_are_read_from_folder_archive_and_data_set(work: Path) -> None:
    folder, archive = given("photos"), given("images.npz")
    assert folder.classes == ["a", "b", "c"] and folder.outputs is None
    assert archive.classes == ["0", "1", "2"] and archive.outputs == {"0": 0, "1": 1, "2": 2}
    order = np.argsort(archive.y, kind="stable")  # folders come class by class
    assert np.array_equal(folder.x, archive.x[order]) and folder.x.dtype == np.uint8
    assert np.array_equal(folder.y, archive.y[order])
    last = np.load("images.npz")["x"].transpose(0, 2, 3, 1)
    np.savez("last.npz", x_test=last / np.float32(255), y_test=archive.y)
    assert np.array_equal(given("last.npz").x, archive.x)
    assert given("last.npz").rounded < 1e-6
    data_set = given("thirds:Images", outputs={"middle": 1})
    assert data_set.classes == ["left", "middle", "right"]  # of those that occur
    assert data_set.x[0, 0, 0].tolist() == [153, 153, 51, 51, 51, 51, 51, 51]
    np.savez("some.npz", x=archive.x[:3], y=[5, 9, 5])
    some = given("some.npz", outputs={"nine": 9}, channels=3)
    assert some.classes == ["5", "nine"] and some.y.tolist() == [0, 1, 0]
    assert some.outputs == {"5": 5, "nine": 9} and some.x.shape == (3, 3, 8, 8)


def test_images_that_are_truly_dark_have_a_way_in(work: Path) -> None:
    dark = np.random.default_rng(0).integers(0, 17, (4, 1, 8, 8))
    np.savez("dark.npz", x=dark / 255, y=[0, 1, 2, 0])
    assert np.array_equal(given("dark.npz").x, dark)
    # It is the brightest of all images that tells, and not each.
    dark[3, 0, 0, 0] = 33
    np.savez("mixed.npz", x=dark.astype(np.uint8), y=[0, 1, 2, 0])
    assert np.array_equal(given("mixed.npz").x, dark)
    Image.fromarray(np.full((8, 8), 16, np.uint8)).save("photos/test/a/00.png")
    assert given("photos").x.max() > 200
    for path in Path("photos").rglob("*.png"):
        Image.fromarray(np.full((8, 8), 16, np.uint8)).save(path)
    with pytest.raises(UserError, match="no pixel is brighter than 16"):
        given("photos")


def test_photos_of_several_sizes_are_brought_to_one_as_torchvision_does_it(work: Path) -> None:
    from torchvision.transforms.v2.functional import center_crop, resize

    draw = np.random.default_rng(0)
    sizes = [(40, 31), (30, 50)]
    Path("large/cat").mkdir(parents=True)
    for number, size in enumerate(sizes):
        photo = Image.fromarray(draw.integers(0, 256, (*size, 3), np.uint8))
        photo.save(f"large/cat/{number}.png")
    with pytest.raises(UserError, match=r"several sizes.*--resize"):
        given("large")
    with pytest.raises(UserError, match="--crop: 40x40 pixels cannot be cut out"):
        given("large", crop=40)
    x = given("large", resize=20, crop=[16, 17]).x
    for number in range(2):
        with Image.open(f"large/cat/{number}.png") as photo:
            expected = np.asarray(center_crop(resize(photo, 20), [16, 17]))
        assert np.array_equal(x[number].transpose(1, 2, 0), expected)


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (np.full((2, 1, 8, 8), -0.4), "normalized already"),
        (np.full((2, 1, 8, 8), 1.8) - np.eye(8) * 2, "normalized already"),
        (np.full((2, 1, 8, 8), 200.5), "from 200.5 to 200.5, .* divide them by the largest value"),
        (np.eye(8)[None].repeat(2, 0) * 1.01, "from 0 to 1.01, .* divide them by the largest"),
        (np.eye(8)[None].repeat(2, 0) * 16, "no pixel is brighter than 16"),
        (np.full((2, 1, 8, 8), 256.0), "from 256 to 256, .* divide them by the largest value"),
        (np.full((2, 1, 8, 8), 65535, np.uint16), "to 65535, .* divide them by .* 65535 for 16"),
        (np.full((2, 1, 8, 8), 16, np.uint8), "no pixel is brighter than 16, where 8 bits go to"),
        (np.full((2, 1, 8, 8), 1), "no pixel is brighter than 1, .* as dark as that"),
        (np.full((2, 1, 8, 8), np.nan), "no numbers"),
        (np.zeros((2, 5, 8, 8)), "1 or 3 channels"),
        (np.zeros((3, 1, 8, 8)), "one whole number for each"),
    ],
)
def test_images_that_are_not_in_the_box_are_refused(work: Path, x: np.ndarray, told: str) -> None:
    np.savez("bad.npz", x=x, y=[0, 1])
    with pytest.raises(UserError, match=told):
        given("bad.npz")


def test_whole_numbers_and_rounded_ones_are_taken_whatever_their_type(work: Path) -> None:
    wanted = np.random.default_rng(0).integers(0, 256, (2, 1, 8, 8))
    wanted[:, :, 0, :2] = 0, 255
    for x in (wanted.astype(np.float32), wanted / 255 + 1e-6, wanted / 255 - 1e-9):
        np.savez("same.npz", x=x, y=[0, 1])
        assert np.array_equal(given("same.npz").x, wanted)


def test_a_class_that_names_no_label_and_channels_that_no_image_has_are_told(work: Path) -> None:
    np.savez("two.npz", x=np.full((2, 1, 8, 8), 200, np.uint8), y=[0, 1])
    with pytest.raises(UserError, match="--classes: none of the outputs named is a label"):
        given("two.npz", outputs={"cat": 77})
    with pytest.raises(UserError, match="--normalize: 2 means and deviations"):
        given("two.npz", channels=2)
