"""Two runs held against each other: made results whose change is known, image by image."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from pyarrow import parquet

import synthetic
from pipeline import compare
from pipeline.__main__ import main
from pipeline.base import store
from pipeline.base.errors import UserError
from pipeline.base.store import Place
from pipeline.report import loading, tables
from test_stages import tiny

PAIR = {"plain": (0.09, 5.0, 0.98), "hard": (0.21, 4.0, 0.97)}
WEAKER = {"plain": (0.09, 5.0, 0.98), "hard": (0.12, 4.0, 0.97)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of the same images: `now`, and `base`, in which `hard` was stronger."""
    folder = tmp_path_factory.mktemp("runs")
    for name, networks in (("base", PAIR), ("now", WEAKER)):
        place = synthetic.write(folder / name, networks, seed=0)
        for network in networks:
            store.write_bytes(
                place.network(network) / "network.pt", f"{networks[network]}".encode()
            )
        params = tiny()
        params["networks"]["hard"] = {"weight_decay": 0.001 if name == "now" else 0.002}
        (folder / name / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def config(networks: dict[str, tuple[float, float, float]] = WEAKER) -> Any:
    return synthetic.config(networks)


def against(folder: Path, base: str = "base", **options: Any) -> tuple[int, str]:
    """Exit code and Markdown of the comparison of `now` with a folder."""
    place = Place(folder / "now")
    code = compare.run(place, config(), str(folder / base), **options)
    return code, (options.get("out", place.reports) / "compare.md").read_text()


def row(text: str, network: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {network} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def table_of(place: Place, networks: dict[str, Any]) -> None:
    """The table of all verdicts, as the report writes it."""
    nothing = SimpleNamespace(networks=[], corruptions={})
    loaded = loading.load(place, synthetic.config(networks, memorize=nothing))
    (place.reports / "tables").mkdir(parents=True)
    path = place.reports / "tables" / "verdicts.parquet"
    tables.write_verdicts(path, loaded)
    # as it is where a cell has more rows than a row group may hold
    whole = parquet.ParquetFile(path)
    groups = [whole.read_row_group(number) for number in range(whole.num_row_groups)]
    with parquet.ParquetWriter(path, whole.schema_arrow) as writer:
        for rows in groups:
            writer.write_table(rows, row_group_size=700)


def test_a_network_that_lost_is_worse_and_one_that_did_not_change_is_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = against(folder)
    assert code == 0
    assert capsys.readouterr().out.strip() == text.strip()
    assert "**Worse: hard; not distinguishable: plain.**" in text
    assert row(text, "hard")[1] == "worse"
    told = ["(the same images)", "(the same images)", "(no image changed)", "(no image changed)"]
    assert row(text, "plain")[1] == "not distinguishable"
    assert [re.sub(r"^\S+( %)? ", "", cell) for cell in row(text, "plain")[2:]] == told
    # thresholds shrank by 0.12 / 0.21 for every image
    ratio = re.search(r"×(\d\.\d+) \((\d\.\d+)–(\d\.\d+)\)", row(text, "hard")[4])
    assert ratio is not None
    low, high = float(ratio[2]), float(ratio[3])
    assert low < 0.12 / 0.21 < high
    assert high - low < 0.2
    assert "`networks.hard.weight_decay`: 0.002 → 0.001" in text
    assert "The weights of plain are the same in both runs" in text


def test_the_tests_are_mcnemars_on_the_same_images(folder: Path) -> None:
    """Counted again from the stored verdicts."""
    survived = []
    for name in ("base", "now"):
        stored = store.read_npz(Place(folder / name).attack("hard", "linf") / "verdicts.npz")
        at = np.isclose(stored["eps"], 0.1)
        broken = np.unique(stored["index"][at & (stored["outcome"] == 1)])
        survived.append(~np.isin(np.arange(200) * 3, broken))
    _, text = against(folder)
    shares = [f"{100 * each.mean():.1f} %" for each in survived]
    assert row(text, "hard")[3].startswith(f"{shares[0]} → {shares[1]}")
    page = (folder / "now/reports/compare.html").read_text()
    cells = re.findall(r"<tr><th scope=\"row\">hard</th>((?:<td>\d+</td>){4})</tr>", page)
    before, after = survived
    kept = [before & after, before & ~after, ~before & after, ~before & ~after]
    assert re.findall(r"\d+", cells[0]) == [str(int(each.sum())) for each in kept]


def test_a_gain_does_not_close_the_gate(folder: Path) -> None:
    better = compare.run(Place(folder / "base"), config(), str(folder / "now"), fail_if_worse=True)
    assert better == 0
    assert "Better: hard" in (folder / "base/reports/compare.md").read_text()


def test_the_command_answers_by_exit_code(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    command = ["compare", "--params", "now/params.yaml", "--out", str(folder / "out"), "--base"]
    assert main([*command, "base"]) == 0
    assert main([*command, "base", "--fail-if-worse"]) == 1
    assert {path.name for path in (folder / "out").iterdir()} == {"compare.md", "compare.html"}
    capsys.readouterr()
    for base, told in (
        ("nonsense", "neither a revision of this Git repository nor a folder that holds"),
        ("now", "these are the results that are to be compared"),
        ("out", "a folder of this name holds no results"),
    ):
        assert main([*command, base]) == 2
        assert told in capsys.readouterr().err
    monkeypatch.setattr(compare, "run", lambda *_, **__: 1 // 0)
    assert main([*command, "base"]) == 4  # 1 would say that a network got worse
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_copies_of_artifacts_or_of_reports_alone_say_the_same(folder: Path) -> None:
    table_of(Place(folder / "base"), PAIR)
    shutil.copytree(folder / "base/artifacts", folder / "artifacts-alone")
    shutil.copytree(folder / "base/reports", folder / "reports-alone")
    shutil.rmtree(folder / "base/reports")
    told = [against(folder, base)[1] for base in ("base", "artifacts-alone", "reports-alone")]
    rows = [[row(text, network) for network in WEAKER] for text in told]
    assert rows[0] == rows[1] == rows[2]
    assert "weight_decay" not in told[1] + told[2]  # no params.yaml there
    assert "paired by their number, and their labels agree" in told[2]
    assert "paired by" not in told[0] + told[1]


def test_the_table_of_the_last_report_holds_no_network_that_was_removed(folder: Path) -> None:
    table_of(Place(folder / "base"), {"hard": PAIR["hard"]})
    _, text = against(folder)
    assert "1 network new in this run, not compared: plain." in text


def test_networks_suites_and_grids_that_differ_are_told_and_the_rest_is_compared(
    folder: Path,
) -> None:
    base = Place(folder / "base")
    shutil.move(base.attack("plain", "linf").parent, base.attack("gone", "linf").parent)
    shutil.move(base.noise("plain", "linf").parent, base.noise("gone", "linf").parent)
    shutil.rmtree(base.attack("hard", "l2"))
    shutil.rmtree(base.attack("gone", "l2"))
    for network in ("hard", "gone"):
        path = base.attack(network, "linf") / "verdicts.npz"
        stored = store.read_npz(path)
        grid = stored["eps_grid"][[1, 3, 4]]
        kept = np.isin(stored["eps"], grid)
        rows = {
            key: column[kept]
            for key, column in stored.items()
            if len(column.shape) and len(column) == len(kept)
        }
        store.write_npz(path, **(stored | rows | {"eps_grid": grid}))
    _, text = against(folder)
    assert "1 network new in this run, not compared: plain." in text
    assert "1 network only in the base, not compared: gone." in text
    assert "1 suite new in this run, not compared: l2." in text
    assert "0.05, 0.15, 0.2; now 0.02, 0.05, 0.1, 0.15, 0.2, 0.3): compared at" in text
    # the headline's ε, 0.1, is not in both: the next smaller one that is
    assert "survived L∞ ε = 0.05" in text
    assert "hard" in text.splitlines()[2]
    assert not any(line.startswith("| plain") for line in text.splitlines())


def test_other_attacks_are_named_as_a_cause(folder: Path) -> None:
    path = Place(folder / "base").attack("hard", "linf") / "verdicts.npz"
    stored = store.read_npz(path)
    store.write_npz(path, **(stored | {"attack_names": np.array(["fgsm", "apgd"])}))
    shutil.rmtree(folder / "base/artifacts/attack/plain")
    assert "attacks of suite linf have changed (fgsm, apgd; now fgsm, pgd)" in against(folder)[1]


def shifted(place: Place, by: int, *, checksum: str) -> None:
    """The same images, each with another number, in a data set of another checksum."""
    data = store.read_npz(place.data)
    store.write_npz(
        place.data,
        **(data | {"index_test": data["index_test"] + by, "checksum": np.array(checksum)}),
    )
    for path in place.artifacts.glob("*/*/*/verdicts.npz"):
        stored = store.read_npz(path)
        store.write_npz(path, **(stored | {"index": stored["index"] + by}))


def test_images_of_changed_data_are_paired_by_their_pixels(folder: Path) -> None:
    before = against(folder)[1]
    shifted(Place(folder / "base"), 3, checksum="1" * 64)
    after = against(folder)[1]
    assert "images are paired by their pixels" in after
    assert [row(after, name) for name in WEAKER] == [row(before, name) for name in WEAKER]


def test_numbers_that_mean_other_images_are_refused(folder: Path) -> None:
    shifted(Place(folder / "base"), 3, checksum="1" * 64)
    Place(folder / "base").data.unlink()
    with pytest.raises(UserError, match=r"images of the same number have other labels"):
        against(folder)


def test_runs_with_no_network_in_common_are_told(folder: Path) -> None:
    base = Place(folder / "base")
    shutil.rmtree(base.attack("hard", "linf").parent)
    for stage in (base.attack, base.noise):
        stage("plain", "linf").parent.rename(stage("other", "linf").parent)
    with pytest.raises(UserError, match=r"nothing to compare: .* it has other under l2, linf"):
        against(folder)


def test_another_data_set_and_a_cut_sample(folder: Path) -> None:
    base = Place(folder / "base")
    for path in base.artifacts.glob("*/*/*/verdicts.npz"):
        stored = store.read_npz(path)
        kept = stored["index"] < 300
        store.write_npz(
            path,
            **{
                k: v[kept] if len(v.shape) and len(v) == len(kept) else v for k, v in stored.items()
            },
        )
    assert "The base judged 100 test images, this run 200; 100 are the same" in against(folder)[1]
    data = store.read_npz(base.data)
    store.write_npz(base.data, **(data | {"name": np.array("mnist")}))
    with pytest.raises(UserError, match="the base is of the data set mnist, this run of digits"):
        against(folder)


def test_errors_leave_a_verdict_open_and_are_no_loss(folder: Path) -> None:
    """Every image of `hard` that survived ended in an error now: it may or may not have broken."""
    place = Place(folder / "now")
    shutil.copytree(
        folder / "base/artifacts/attack", place.artifacts / "attack", dirs_exist_ok=True
    )
    shutil.copytree(folder / "base/artifacts/noise", place.artifacts / "noise", dirs_exist_ok=True)
    path = place.attack("hard", "linf") / "verdicts.npz"
    stored = store.read_npz(path)
    stored["outcome"][(stored["outcome"] == 0) & (stored["how"] == 0)] = 2
    store.write_npz(path, **stored)
    code, text = against(folder, fail_if_worse=True)
    assert code == 0
    assert row(text, "hard")[1] == "incomplete"
    assert "left open by errors" in row(text, "hard")[3]
    assert row(text, "plain")[1] == "not distinguishable"


def test_the_same_run_has_changed_nothing_and_the_page_asks_for_nothing(folder: Path) -> None:
    shutil.copytree(folder / "now", folder / "copy")
    # Witnesses of other networks break everything now: the network itself is as it was.
    transfer = Place(folder / "now").transfer("linf")
    stored = store.read_npz(transfer)
    stored["outcome"][:], stored["eps"][:] = 1, 0.02
    store.write_npz(transfer, **stored)
    code, text = against(folder, "copy", fail_if_worse=True)
    assert code == 0
    assert "Not distinguishable: plain and hard.** digits, 200 test images" in text
    assert "No image changed its verdict." in text
    page = (folder / "now/reports/compare.html").read_text()
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    ids = re.findall(r"\sid=\"([^\"]+)\"", page)
    assert len(ids) == len(set(ids))
    against(folder, "copy")
    assert (folder / "now/reports/compare.html").read_text() == page


def test_an_empty_cache_or_a_damaged_table_is_told(folder: Path) -> None:
    (folder / "bad/tables").mkdir(parents=True)
    (folder / "bad/tables/verdicts.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(UserError, match=r"verdicts\.parquet: damaged"):
        against(folder, "bad")
