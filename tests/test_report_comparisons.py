"""Networks compared image by image, and class by class."""

from __future__ import annotations

import numpy as np
import pytest

from altered import EPS, made_results
from pipeline.report import (
    comparisons,
    measures,
    wording,
)
from pipeline.report.comparisons import ALIKE, APART, Right
from pipeline.report.results import Results


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return made_results(tmp_path_factory.mktemp("made"))


def test_the_matrix_marks_what_cannot_be_told_apart() -> None:
    base = np.arange(200) < 100
    close = base.copy()
    close[99:101] = [False, True]  # one image lost, another one won
    few = np.arange(200) < 20
    compared = comparisons.pairs(
        {"a": Right(base, base), "b": Right(close, close), "c": Right(few, few)}
    )
    assert [pair.verdict for pair in compared] == [ALIKE, APART, APART]
    table = comparisons.matrix(["a", "b", "c"], compared)
    shown = {
        (row[0].text, name): cell.text
        for row in table.rows
        for name, cell in zip(table.head[1:], row[1:], strict=True)
    }
    assert shown["a", "a"] == "–"
    assert shown["a", "b"] == shown["b", "a"] == "not distinguishable"
    assert (shown["a", "c"], shown["c", "a"]) == ("+40.0", "−40.0")
    told = comparisons.verdict(compared)
    assert told == "2 of 3 pairs can be told apart; not distinguishable: a and b."


def test_of_many_pairs_those_are_named_that_are_fewer() -> None:
    many, few = np.arange(200) < 100, np.arange(200) < 20
    names = [f"n{number}" for number in range(5)]
    rights = {name: Right(many, many) for name in names} | {"weak": Right(few, few)}
    told = comparisons.verdict(comparisons.pairs(rights))
    pairs = ", ".join(f"{name} and weak" for name in names)
    assert told == f"5 of 15 pairs can be told apart: {pairs}."
    del rights["weak"]
    assert comparisons.verdict(comparisons.pairs(rights)) == "0 of 10 pairs can be told apart."


def test_a_sentence_names_few_networks_one_by_one_and_of_many_the_ends() -> None:
    told = [(float(7 - n), f"{7 - n} %", f"n{n}") for n in range(7)]
    assert wording.by_network(told[:1]) == "7 % for n0"
    assert wording.by_network(told[:3]) == "7 % for n0, 6 % for n1 and 5 % for n2"
    ends = "1 % for n6, 7 % for n0 and between these for the 5 other networks"
    assert wording.by_network(told) == ends


def test_the_smallest_difference_shrinks_with_more_images() -> None:
    def points(n: int, family: int = 1) -> float:
        first, second = np.arange(n) % 10 != 0, np.arange(n) % 10 != 1
        (pair,) = comparisons.pairs({"a": Right(first, first), "b": Right(second, second)})
        told = comparisons.smallest_difference([pair] * family)
        return float(told.split("by about ")[1].split()[0])

    # 20 % disagree: 2.80 * sqrt(0.2 / n)
    assert points(400) == pytest.approx(6.3, abs=0.05)
    assert points(10000) == pytest.approx(1.3, abs=0.05)
    # among ten pairs the strictest step of Holm tests at 0.5 %: 3.65 * sqrt(0.2 / n)
    assert points(400, family=10) == pytest.approx(8.2, abs=0.05)


def test_classes_add_up_to_the_whole(made: Results) -> None:
    found = measures.measures(made)
    headline = [found[network, "linf"] for network in made.networks]
    takeaway, table = comparisons.by_class(made, headline, EPS)
    n = [int(row[1].text) for row in table.rows]
    survived = sum(count * (row[2].share or 0) for count, row in zip(n, table.rows, strict=True))
    assert sum(n) == 200
    assert survived == pytest.approx(headline[0].worst_curve.at_least(EPS)[1].count)
    least = min(table.rows, key=lambda row: row[2].share or 0)
    assert f"{least[0].text} for plain" in takeaway
