"""An attack of one's own, as custom/README.md has it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from attacks import ThreatModel, evaluate
from networks import digits, trained

README = Path(__file__).parent.parent / "custom" / "README.md"


def test_the_example_of_the_readme_is_an_attack_in_a_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "spiral_of_mine.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "spiral_of_mine", raising=False)
    _, _, x, y = digits()
    x, y, threat = x[:100], y[:100], ThreatModel("linf", 0.15)
    own = {"attack": "spiral_of_mine:spiral", "steps": 20}
    result = evaluate(trained(), x, y, threat, [{"attack": "fgsm"}, own], signs=0)
    single = evaluate(trained(), x, y, threat, "fgsm", signs=0)
    assert result.suite.errors == {}
    assert result.broken.sum() > single.broken.sum() + 2
    assert int(result.suite.rows["backwards"].sum()) > 20, "its passes are counted"
