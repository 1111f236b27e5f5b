"""Sentences that say what was measured. None is fixed: each follows from the data it is given."""

from __future__ import annotations

import math
from typing import Any

from . import wording
from .measures import Measure
from .results import Results
from .statistics import Accuracy
from .table import Cell, Table


def distance_table(found: list[Measure], levels: int) -> Table:
    """eps10 and eps50 of the attack, and the noise of the same harm."""
    head = ["network", "eps10", "eps50", "one draw of noise: eps50", "multiple"]
    draws = next((m.worst_draw.name for m in found if m.worst_draw), None)
    if draws:
        head += [f"{wording.draws(draws)}: eps50", "multiple"]
    rows = []
    for measure in found:
        row = [Cell(measure.network)]
        for eps in (measure.eps10, measure.eps50):
            row.append(Cell(*wording.size(eps, measure.norm, levels)))
        for noise in (measure.one_draw, measure.worst_draw):
            if noise:
                row.append(Cell(*wording.size(noise.eps50, measure.norm, levels)))
                times = noise.multiple
                row.append(Cell(wording.multiple(times), wording.multiple_interval(times)))
        rows.append(row)
    return Table(head, rows)


def distances(found: list[Measure]) -> str:
    """The takeaway of the chart of distances."""
    right = [m for m in found if m.right]
    told = [(m.eps50.value, wording.estimate(m.eps50), m.network) for m in right]
    unknown = [
        f"unknown for {m.network}, which reads nothing rightly" for m in found if not m.right
    ]
    known = [wording.by_network(told)] if told else []
    text = (
        f"Half of the rightly classified images are broken at ε = {wording.join(known + unknown)}."
    )
    never = [m.network for m in found if m.right and not m.one_draw.eps50.reached]
    if never:
        limit = wording.number(found[0].one_draw.eps50.limit)
        text += (
            f" One draw of noise broke half of the images of {wording.join(never)} at no size "
            f"tried, up to {limit}."
        )
    return text


def curves(found: list[Measure]) -> str:
    """The takeaway of accuracy against eps, read at the suite's largest eps."""
    eps = found[0].suite_curve.eps[-1]
    attack = [m.suite_curve.accuracy[-1] for m in found]
    noise = [m.one_draw.curve.at_least(eps) for m in found]
    text = (
        f"At the largest ε of the suite, {wording.grid_eps(eps)}, "
        f"{_range(attack)} of the images survive the attacks"
    )
    sizes = {wording.grid_eps(at) for at, _ in noise}
    where = "that ε" if sizes == {wording.grid_eps(eps)} else f"ε = {min(sizes)}"
    text += (
        f" and {_range([a for _, a in noise])} survive one draw of noise at {where}"
        f"{true_sizes(found, eps)}."
    )
    broke = sum(int(m.noise_only.max(initial=0)) for m in found)
    if broke:
        text += f" Noise broke {wording.count(broke, 'image')} that the attacks had not."
    return text


def _range(values: list[Accuracy]) -> str:
    """From the smallest that errors leave possible to the largest."""
    low, high = min(value.value for value in values), max(value.upper for value in values)
    return wording.join_ends(wording.percent(low), wording.percent(high))


def survival(found: list[Measure], eps: float) -> str:
    """The takeaway of the table of clean, noise and attacked accuracy."""
    points = {m.network: m.worst_curve.at_least(eps)[1] for m in found}
    best = max(points, key=lambda name: points[name].value)
    worst = min(points, key=lambda name: points[name].value)
    share = wording.accuracy(points[best])
    text = f"At ε = {wording.grid_eps(eps)}, {share} of the images survive for {best}"
    if best != worst:
        text += f" and {wording.accuracy(points[worst])} for {worst}"
    text += "."
    unfinished = [m.network for m in found if not m.complete]
    if unfinished:
        text += (
            f" Some verdicts of {wording.join(unfinished)} ended in an error, so these numbers are "
            "ranges and not complete."
        )
    return text


def true_sizes(found: list[Measure], eps: float) -> str:
    """`, where the noise's true mean size is 0.8`: of one draw, where that is less than its ε."""
    sizes = [
        (m.one_draw.curve.size_at(at), at)
        for m in found
        for at, _ in [m.one_draw.curve.at_least(eps)]
    ]
    if not any(wording.smaller(size, at) for size, at in sizes):
        return ""
    known = sorted(size for size, _ in sizes if math.isfinite(size))
    span = wording.join_ends(wording.number(known[0]), wording.number(known[-1]))
    return f", where the noise's true mean size is {span}"


def regularizers(recipe: dict[str, Any]) -> str:
    """What a recipe holds against learning by heart: `weight decay 0.005, dropout 0.3`."""
    told = [
        f"{name.replace('_', ' ')} {recipe[name]:g}"
        for name in ("weight_decay", "l1_penalty", "dropout", "label_smoothing")
        if recipe.get(name)
    ]
    augmentation = wording.augmentation(recipe)
    if augmentation != "none":
        told.append(f"{augmentation} augmentation")
    if recipe.get("adversarial"):
        told.append("adversarial training")
    return ", ".join(told) or "no regularization"


def memorization(runs: list[dict[str, Any]]) -> str:
    """What was fitted, what was not, and what that did to the test images."""
    fitted = [r for r in runs if r["fitted_epoch"] is not None]
    text = f"{len(fitted)} of {wording.count(len(runs), 'data set')} fitted"
    if fitted:
        slowest = max(fitted, key=lambda r: r["fitted_epoch"])
        fastest = min(fitted, key=lambda r: r["fitted_epoch"])
        text += (
            f", from epoch {fastest['fitted_epoch']} ({fastest['name']}) "
            f"to epoch {slowest['fitted_epoch']} ({slowest['name']})"
        )
    missed = [r for r in runs if r["fitted_epoch"] is None]
    if missed:
        told = [f"{r['name']} reached {wording.percent(r['train_acc'])}" for r in missed]
        text += f"; not fitted within the epochs given: {wording.join(told)}"
    return text + "."


def training(results: Results) -> str:
    last = {
        name: info["history"][info["selected_epoch"] - 1]["validation_acc"]
        for name, info in results.trained.items()
    }
    best, worst = max(last, key=lambda n: last[n]), min(last, key=lambda n: last[n])
    if best == worst:
        return f"{best} ends at {wording.percent(last[best])} on the validation images."
    return (
        f"The weights that were kept score {wording.percent(last[worst])} ({worst}) to "
        f"{wording.percent(last[best])} ({best}) on the validation images."
    )


def robustness(results: Results) -> str:
    """The best and the last epoch under attack of those that were trained for it."""
    told = [
        (found["best"] - found["last"], under_attack(info), name)
        for name, info in results.trained_to_resist.items()
        for found in [info["robust_acc_validation"]]
    ]
    return f"Validation images that survive the training attack: {wording.by_network(told)}."


def under_attack(info: dict[str, Any]) -> str:
    """`best 55.0 % (epoch 2), last 40.0 % (epoch 3)`, of the validation images."""
    found = info["robust_acc_validation"]
    return ", ".join(
        f"{which} {wording.percent(found[which])} (epoch {found[f'{which}_epoch']})"
        for which in ("best", "last")
    )
