"""The program that the report prints judges every witness again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import synthetic
from altered import NETWORKS
from pipeline.base import store
from pipeline.base.store import Place
from pipeline.report import (
    recheck,
)


@pytest.mark.parametrize("folder", [".", "experiments/mnist"])
def test_the_printed_recheck_runs_and_catches_a_wrong_witness(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import io

    import torch

    import models

    place = synthetic.write(tmp_path / folder, {"plain": NETWORKS["plain"]}, n=8)
    torch.manual_seed(0)
    model = models.build("small_cnn", shape=(1, 8, 8), classes=10).eval()
    buffer = io.BytesIO()
    saved = {
        "architecture": "small_cnn", "settings": {}, "shape": [1, 8, 8], "classes": 10,
        "state": model.state_dict(),
    }  # fmt: skip
    torch.save(saved, buffer)
    store.write_bytes(place.network("plain") / "network.pt", buffer.getvalue())
    x = store.read_npz(place.data)["x_test"][2:6] / np.float32(16)
    x_adv = np.clip(x + np.float32(0.05), 0, 1)
    pred = model(torch.tensor(x_adv)).argmax(dim=1).numpy()
    path = place.attack("plain", "linf") / "witnesses.npz"
    stored = {"index": np.arange(2, 6) * 3, "x_adv": x_adv, "eps": np.full(4, 0.05)}
    # An experiment's own folder, from the repository's root, however params.yaml was named.
    monkeypatch.chdir(tmp_path)
    code = recheck.recheck(place, "plain", "linf", "linf")
    assert code == recheck.recheck(Place(Path(folder)), "plain", "linf", "linf")
    assert f'artifacts = "{Path(folder, "artifacts").as_posix()}"' in code
    assert str(tmp_path) not in code

    store.write_npz(path, **stored, label=(pred + 1) % 10)
    exec(code, {})
    assert capsys.readouterr().out == "4 witnesses hold\n"
    store.write_npz(path, **stored, label=pred)
    with pytest.raises(AssertionError):
        exec(code, {})
    store.write_npz(path, **(stored | {"eps": np.full(4, 0.04)}), label=(pred + 1) % 10)
    with pytest.raises(AssertionError):
        exec(code, {})
