"""The first insight: a picture and two sentences, from a network trained on the spot."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.look import GRID, look, view


@pytest.mark.timeout(120)
def test_the_sentences_and_the_picture_say_what_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    look(tmp_path / "sub" / "look.png")
    assert time.monotonic() - began < 60  # 30 on an idle machine
    told = capsys.readouterr().out
    found = view()
    assert found.sentences() in told and str(tmp_path / "sub" / "look.png") in told
    for label, confidence in found.predictions.values():
        assert f"{label} ({confidence:.0%}" in told
    with Image.open(tmp_path / "sub" / "look.png") as image:
        assert image.format == "PNG" and min(image.size) > 500
        assert len(np.unique(np.asarray(image.convert("L")))) > 16


def test_attack_and_noise_have_the_same_size_and_different_success() -> None:
    found = view()
    assert found.eps in GRID
    original, noise, attack = (found.images[name] for name in ("original", "noise", "attack"))
    for image in (noise, attack):
        assert image.shape == (1, 1, 8, 8)
        assert image.min() >= 0 and image.max() <= 1
        # Noise is as large as the attack may be, except where the box cuts it off.
        assert (image - original).abs().max() == pytest.approx(found.eps, abs=1e-6)
    labels = {name: label for name, (label, _) in found.predictions.items()}
    assert labels["attack"] != labels["original"]
    assert all(0 < confidence <= 1 for _, confidence in found.predictions.values())
    assert found.broken_by_noise < found.broken_by_attack / 3 <= found.right / 3
