"""What the published ensembles run, setting by setting: written down here from the papers."""

from __future__ import annotations

from typing import Any

import pytest

from attacks.registry import resolve, settings

# What a setting is where a paper has no such thing: a loss not climbed towards targets, a race.
PLAIN = {"restarts": 1, "targets": 0}
CE, DLR = {"loss": "cross_entropy"}, {"loss": "dlr"}
FAB_T = {"steps": 100, "restarts": 1, "targets": 9, "overshoot": 1.05, "bias": 0.1, "pull": 0.9}
FAB_T |= {"patience": 100, "race": False}  # all of its steps, whatever they find
SQUARE = {"queries": 5000, "restarts": 1, "share": 0.8, "rescale": False, "race": False}

# AutoAttack, standard version (Croce and Hein 2020, section 5 and appendix; in L1, 2021, section 5;
# their code, https://github.com/fra31/auto-attack): attacks in order, each with all its settings.
LINF_AND_L2 = [
    ("apgd", PLAIN | CE | {"steps": 100}),
    ("apgd", PLAIN | DLR | {"steps": 100, "targets": 9}),
    ("fab", FAB_T),
    ("square", SQUARE),
]
L1 = [
    ("apgd_l1", PLAIN | CE | {"steps": 100, "restarts": 5}),
    ("apgd_l1", PLAIN | DLR | {"steps": 100, "targets": 5}),
    ("fab", FAB_T),
    ("square", SQUARE),
]
AUTOATTACK = {"linf": LINF_AND_L2, "l2": LINF_AND_L2, "l1": L1}


def effective(ensemble: str, norm: str) -> list[tuple[str, dict[str, Any]]]:
    """Each attack that runs, with what all of its settings are then: defaults where not given."""
    return [
        (a.attack, {key: each.default for key, each in settings(a.entry).items()} | a.settings)
        for a in resolve(ensemble, norm)
    ]


@pytest.mark.parametrize("norm", AUTOATTACK)
def test_autoattack_is_the_published_one(norm: str) -> None:
    assert effective("autoattack", norm) == AUTOATTACK[norm]


@pytest.mark.parametrize(("norm", "climber"), [("linf", "apgd"), ("l2", "apgd"), ("l1", "apgd_l1")])
def test_the_ensemble_for_random_models_is_the_published_one(norm: str, climber: str) -> None:
    """The version "rand": Auto-PGD alone, on two losses, a hundred steps of one run each."""
    assert effective("randomized", norm) == [
        (climber, PLAIN | CE | {"steps": 100}),
        (climber, PLAIN | DLR | {"steps": 100}),
    ]
