"""Checks that a sceptic would make, as pure functions of stored results.

A check that raises no flag proves nothing; one that does is a reason to doubt a number. What needs
a diagnosis, where none was made, is listed as NOT RUN. Questions, formulas and thresholds that
`evaluate` of the attack library asks too are those of attacks/diagnosis/flags.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from attacks.diagnosis.flags import (
    FAIL,
    NOT_RUN,
    ORDER,
    PASS,
    SIGNS,
    WARN,
    Flag,
    Sign,
    allowed,
    counted,
)
from attacks.diagnosis.whole import of_whole

from . import memorization_checks, training_checks, wording
from .check import Check, Finding
from .measures import Measure
from .results import BROKEN, RUN, Cell, Results, Verdicts

TOLERANCE = 1e-6

FASTER = Sign(
    "Does what breaks the faster copy break the network?",
    "that fell for the copy in which attacks search, and not for the network itself",
    warn=0.01,
)

OTHERS = Sign(
    "Do witnesses of other networks find what the attacks missed?",
    "that another network's witness breaks at its ε or a smaller one and no attack does",
    warn=0,
    fail=0.01,
)


def checks(results: Results, found: dict[tuple[str, str], Measure]) -> list[Check]:
    """Every check, those that raised a flag first."""
    cells = [(cell, found[key]) for key, cell in results.cells.items()]

    def each(test: Callable[[Cell, Measure], tuple[str, str]]) -> list[Finding]:
        return [Finding(f"{c.network} × {c.suite}", *test(c, m)) for c, m in cells]

    undefended = [
        Finding(f"{c.network} × {c.suite}", *_falls(m, results.data.name))
        for c, m in cells
        if c.network in results.trained
        and results.trained[c.network]["recipe"].get("adversarial") is None
        and _must_fall(m, results.data.name)
    ]
    made = [
        Check(
            "Is every verdict a verdict?",
            "tests that ended in an error; FAIL above 0",
            each(_errors),
        ),
        Check(
            "Does every broken image lie in its ball?",
            f"largest distance − ε; FAIL above {TOLERANCE:g}",
            each(_feasible),
        ),
        Check(SIGNS["noise_only"].question, SIGNS["noise_only"].formula, each(_noise_only)),
        Check(OTHERS.question, OTHERS.formula, each(_others) if len(results.networks) > 1 else []),
        Check(
            "Does an undefended network fall?",
            "accuracy at the ε at which networks trained without attacks are known to fall "
            f"({controls(results.data.name)}; not run where a suite ends below it, nor for "
            "transformations; where none is known at the suite's largest), if trained so; WARN "
            "above max(1 %, 2 images), FAIL above max(5 %, 2 images), where none is known WARN "
            "above that",
            undefended,
        ),
        Check(
            "Did the network learn its task?",
            "clean accuracy, lower end, against the share of the largest class; WARN if not above",
            each(_learned),
        ),
        Check(
            "Is the test attack stronger than the training attack?",
            "attacks of the suite that took more gradient steps on an image than training did; "
            "WARN if none",
            list(_stronger_attack(results, cells)),
        ),
    ]
    made.append(
        Check(
            "Did each attack climb the loss that it names?",
            "attacks with the DLR, of networks with fewer than 3 classes (4, where it is towards a "
            "class), in which the margin stands in; WARN from 1",
            each(_named_loss),
        )
    )
    made += [*training_checks.checks(results), *memorization_checks.checks(results)]
    made += [_faster_copy(cells), *_diagnosed(results)]
    return sorted(made, key=lambda check: ORDER.index(check.status))


# Of the signs that the attack stage counts; the others are read from the verdicts themselves.
COUNTED = ("zero", "saturated", "squashed", "constant", "random", "company", "precision", "fragile")


def _diagnosed(results: Results) -> list[Check]:
    """The checks that rest on the diagnosis of each cell, grouped by their question."""
    found: dict[str, list[tuple[str, Flag]]] = {}
    for cell in results.cells.values():
        counts = counted(cell.signs, COUNTED)
        for flag in [*cell.diagnosis.flags(), *counts, *of_whole(cell.signs)]:
            found.setdefault(flag.question, []).append((f"{cell.network} × {cell.suite}", flag))
    made = []
    for question, of_cells in found.items():
        run = [(where, flag) for where, flag in of_cells if flag.status != NOT_RUN]
        formula = of_cells[0][1].formula
        formula += "" if run else "; needs evaluation.diagnosis, or an attack to compare with"
        findings = [Finding(where, flag.status, flag.value) for where, flag in run]
        made.append(Check(question, formula, findings))
    return made


def counts(made: list[Check]) -> str:
    """`5 checks raised no flag, 1 warns, 0 fail; 7 were not run.`"""
    number = {status: sum(check.status == status for check in made) for status in ORDER}
    return (
        f"{wording.count(number[PASS], 'check')} raised no flag, {number[WARN]} "
        f"warn{'s' if number[WARN] == 1 else ''}, {number[FAIL]} "
        f"fail{'s' if number[FAIL] == 1 else ''}; {number[NOT_RUN]} could not be run from what "
        "was measured."
    )


def _errors(cell: Cell, measure: Measure) -> tuple[str, str]:
    return (FAIL if measure.errors else PASS), wording.count(measure.errors, "image")


def _feasible(cell: Cell, measure: Measure) -> tuple[str, str]:
    worst = max(_excess(cell.attack), _excess(cell.noise))
    return (FAIL if worst > TOLERANCE else PASS), f"{worst:.1e}" if worst > 0 else "none outside"


def _excess(table: Verdicts) -> float:
    rows = table.rows
    broken = rows["outcome"] == BROKEN
    over = rows["distance"][broken].astype(np.float64) - rows["eps"][broken]
    return float(np.nanmax(over, initial=-np.inf))


def _noise_only(cell: Cell, measure: Measure) -> tuple[str, str]:
    flag = SIGNS["noise_only"].judge(int(measure.noise_only.max(initial=0)), measure.n)
    return flag.status, flag.value


def _others(cell: Cell, measure: Measure) -> tuple[str, str]:
    flag = OTHERS.judge(int(measure.transfer_only.max(initial=0)), measure.n)
    return flag.status, flag.value


def _named_loss(cell: Cell, measure: Measure) -> tuple[str, str]:
    found = cell.run.get("stand_ins", {})
    told = "; ".join(f"{attack}: {what}" for attack, what in found.items())
    return (WARN if found else PASS), told or "each of them"


# The ε at which attacks leave nothing of networks that were trained without them: what is published
# for 8-bit images (RobustBench: 0.0 % at 8/255 and 0.5), or known of images so small.
CONTROL = {
    "digits": {"linf": 0.3, "l2": 1.5},
    "mnist": {"linf": 0.3, "l2": 3.0},
    "fashion_mnist": {"linf": 0.1, "l2": 1.5},
    "cifar10": {"linf": 8 / 255, "l2": 0.5},
    "cifar100": {"linf": 8 / 255, "l2": 0.5},
    "svhn": {"linf": 8 / 255, "l2": 1.0},
}


def controls(data: str) -> str:
    """The ε of the positive control of a data set, in words."""
    own = CONTROL.get(data, {})
    told = [f"{wording.norm(norm)} {wording.grid_eps(eps)}" for norm, eps in own.items()]
    return f"{data}: {wording.join(told)}" if told else f"of {data} none is known"


def _must_fall(measure: Measure, data: str) -> bool:
    """Must it fall somewhere on the grid? Below its control a network may well stand, and one may
    stand up to every rotation or brightness that is asked."""
    control = CONTROL.get(data, {}).get(measure.norm)
    if control is None:
        return not wording.NORMS[measure.norm].unit
    return measure.worst_curve.eps[-1] >= control * (1 - 1e-9)


def _falls(measure: Measure, data: str) -> tuple[str, str]:
    control = CONTROL.get(data, {}).get(measure.norm)
    at, left = measure.worst_curve.at_least(np.inf if control is None else control)
    # Where nobody knows that it must fall, standing is a reason to look and no failure.
    limits = ((WARN, 0.05),) if control is None else ((FAIL, 0.05), (WARN, 0.01))
    stand = left.count + left.unknown  # An error is no fall: what may have survived counts here.
    status = next((name for name, share in limits if stand > allowed(left.n, share)), PASS)
    return status, f"{wording.accuracy(left)} at ε = {wording.grid_eps(at)}"


def _faster_copy(cells: list[tuple[Cell, Measure]]) -> Check:
    found = []
    for cell, measure in cells:
        if cell.run.get("precision", "fp32") != "fp32":
            flag = FASTER.judge(cell.run["disputed"], measure.n)
            found.append(Finding(f"{cell.network} × {cell.suite}", flag.status, flag.value))
    needs = "" if found else "; needs evaluation.precision other than fp32"
    return Check(FASTER.question, FASTER.formula + needs, found)


def _learned(cell: Cell, measure: Measure) -> tuple[str, str]:
    largest = np.bincount(cell.attack.label.astype(np.int64)).max() / measure.n
    told = f"{wording.percent(measure.clean.low)} against {wording.percent(float(largest))}"
    return (PASS if measure.clean.low > largest else WARN), told


def _stronger_attack(results: Results, cells: list[tuple[Cell, Measure]]) -> Iterable[Finding]:
    for cell, _ in cells:
        against = results.training[cell.network]["recipe"].get("adversarial")
        if against is None:
            continue
        trained = against.get("steps") or 1  # fgsm has one
        stronger = [name for name, steps in _gradient_steps(cell.attack).items() if steps > trained]
        status = PASS if stronger else WARN
        yield Finding(f"{cell.network} × {cell.suite}", status, ", ".join(stronger) or "none")


def _gradient_steps(table: Verdicts) -> dict[str, int]:
    """The most backward passes that each attack spent on one image at one eps."""
    rows = table.rows
    run = rows["how"] == RUN
    return {
        name: int(rows["backwards"][run & (rows["attack"] == code)].max(initial=0))
        for code, name in enumerate(table.attacks)
    }
