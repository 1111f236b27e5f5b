"""`look --image`: a photo is made into another class by a change that nobody sees."""

from __future__ import annotations

import io
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline import photo
from pipeline.__main__ import main
from pipeline.base import download
from pipeline.base.errors import UserError

CLASSES = ["left", "middle", "right"]


class Thirds(nn.Module):
    """Which third of the photo is brightest; `scale` says how sure it is."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        thirds = x.unflatten(3, (3, -1)).mean(dim=(1, 2, 4))
        return self.scale * thirds


def grey(left: int, middle: int, right: int) -> torch.Tensor:
    levels = torch.tensor([left, middle, right]).repeat_interleave(4) / 255
    return levels.expand(1, 3, 12, 12).contiguous()


def test_the_smallest_change_of_whole_levels_that_makes_it_sure_is_found() -> None:
    # With k levels, right leads left by 2 (2 k - 5) logits, and 99 % needs 4.6 of them.
    found = photo.turn(Thirds(255 * 2.0), grey(105, 100, 100), 2, CLASSES, photo.GRID)
    assert found.eps == pytest.approx(4 / 255)
    levels = found.changed * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert (levels - found.original * 255).abs().max() <= 4 + 1e-4
    (before, sure), (after, surely) = (each[0] for each in found.read)
    assert (before, after) == ("left", "right") and surely >= photo.SURE and sure > 0.9
    assert "takes the photo for left" in found.sentences() and "says right" in found.sentences()
    with Image.open(io.BytesIO(photo.picture(found))) as picture:
        assert picture.format == "PNG" and min(picture.size) > 300


def test_where_it_cannot_be_made_sure_it_is_made_to_name_the_class() -> None:
    found = photo.turn(Thirds(1.0), grey(105, 100, 100), 2, CLASSES, photo.GRID)
    assert found.read[1][0][0] == "right" and found.read[1][0][1] < 0.5
    with pytest.raises(UserError, match=r"--eps: within 2/255 .* read right; allow more"):
        photo.turn(Thirds(1.0), grey(105, 100, 100), 2, CLASSES, (1 / 255, 2 / 255))
    with pytest.raises(UserError, match="takes the photo for left already"):
        photo.turn(Thirds(1.0), grey(105, 100, 100), 0, CLASSES, photo.GRID)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    small = Image.fromarray(draw.integers(0, 256, (6, 8, 3), np.uint8))
    small.resize((320, 240), Image.Resampling.BILINEAR).save("photo.jpg")
    return tmp_path


def look(*arguments: str) -> int:
    return main(["look", "--image", "photo.jpg", *arguments])


def test_a_photo_is_made_into_broccoli_with_weights_from_a_file(work: Path, capsys: Any) -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    state = resnet18().state_dict()
    state["fc.weight"] *= 100  # untrained, and sure of what it says
    torch.save(state, "r18.pth")
    given = ("--to", "Broccoli", "--weights", "r18.pth", "--eps", "64/255", "--out", "out.png")
    assert look(*given) == 0
    told = capsys.readouterr().out
    assert "it says broccoli" in told and "out.png" in told
    with Image.open("out-broccoli.png") as changed:
        assert changed.size == (224, 224)
    # Where it is cut short, the file's entries are told.
    del state["fc.bias"]
    torch.save(state, "r18.pth")
    assert look(*given) == 2
    assert "--weights: r18.pth: fc.bias is missing" in capsys.readouterr().err


def test_without_a_network_it_says_how_to_give_a_file(work: Path, monkeypatch, capsys) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise OSError("no route to host")

    def silent(*_: Any, **__: Any) -> Any:
        time.sleep(5)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(work))
    for asked, told in ((away, "no route to host"), (silent, "no answer within")):
        monkeypatch.setattr(urllib.request, "urlopen", asked)
        monkeypatch.setattr(download, "SECONDS", 0.2)
        assert look("--to", "broccoli") == 2
        message = capsys.readouterr().err
        assert told in message and "WEIGHTS=resnet18-" in message and "Traceback" not in message


def test_what_is_wrong_in_the_question_is_told(work: Path, capsys) -> None:
    Path("text.jpg").write_text("no photo")
    Image.new("I;16", (320, 240), 40000).save("deep.png")
    for arguments, told in (
        (["--image", "photo.jpg"], "--image: needs --image and --to"),
        (["--weights", "w.pth"], "--weights: needs --image and --to"),
        (["--image", "none.jpg", "--to", "broccoli"], "--image: none.jpg: no such file"),
        (["--image", "text.jpg", "--to", "broccoli"], "cannot be read as an image"),
        (["--image", "deep.png", "--to", "broccoli"], "deep.png: pixels of type I;16; images must"),
        (["--image", "photo.jpg", "--to", "brocoli"], "did you mean 'broccoli'"),
        (["--image", "photo.jpg", "--to", "dog", "--eps", "0.001"], "whole grey levels"),
        (["--image", "photo.jpg", "--to", "dog", "--eps", "much"], "8/255"),
    ):
        assert main(["look", *arguments]) == 2
        assert told in capsys.readouterr().err
