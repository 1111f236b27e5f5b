"""What somebody reads who reads nothing else: the page's first sentences, the terminal's lines."""

from __future__ import annotations

import math

from . import wording
from .measures import Measure, NoiseMeasure
from .memorization import from_chance
from .results import Results
from .table import Cell, Table, accuracy_cell

# From this multiple on noise must be clearly larger than the attack; below it, they are alike.
DIRECTION = 1.5
# Standard errors that are called chance: 95 % of it.
CLEARLY = 1.96


def summary(results: Results, found: list[Measure], headline_eps: float) -> list[str]:
    """Three sentences for somebody who reads nothing else."""
    return [
        _far(results, found),
        _noise_sentence(found),
        _memory_sentence(results) or _survival_sentence(found, headline_eps),
    ]


def _far(results: Results, found: list[Measure]) -> str:
    change = wording.NORMS[found[0].norm].change
    ranked = sorted((m for m in found if m.right), key=_eps50_key)
    blind = [m.network for m in found if not m.right]
    start = f"On {wording.count(found[0].n, 'test image')} of {results.data.name}, "
    if not ranked:
        return f"{start}{wording.join(blind)} {_reads(blind)} nothing rightly."
    return f"{start}{_least_and_most(ranked, change, results.data.levels)}" + (
        f" {wording.join(blind)} {_reads(blind)} nothing rightly, so nothing is left to break."
        if blind
        else ""
    )


def _reads(networks: list[str]) -> str:
    return "reads" if len(networks) == 1 else "read"


def _least_and_most(ranked: list[Measure], change: str, levels: int) -> str:
    """How far the image of the network that falls first must move, and of that which falls last."""
    least, most = ranked[0], ranked[-1]
    if not least.eps50.reached:
        return (
            "the attacks broke half of the rightly classified images of no network, "
            f"up to ε = {wording.number(least.eps50.limit)}."
        )
    text = (
        f"half of the images that the network {least.network} gets right can be turned wrong while "
        f"{change} {_size(least, levels)}"
    )
    if most is least:
        return text + "."
    if any(m.eps50.upper > most.eps50.value for m in ranked[:-1] if not m.eps50.complete):
        return text + "; which network holds out longest is left open by verdicts that are missing."
    if not most.eps50.reached:
        return text + (
            f"; {most.network} kept more than half of its own up to the largest ε tried, "
            f"{wording.number(most.eps50.limit)}."
        )
    return text + f"; {most.network} holds out longest, to {_size(most, levels)}."


def _eps50_key(measure: Measure) -> tuple[float, float]:
    return (measure.eps50.value, -measure.worst_curve.accuracy[-1].value)


def _size(measure: Measure, levels: int) -> str:
    return wording.size(measure.eps50, measure.norm, levels)[0] + wording.NORMS[measure.norm].of


def _noise_sentence(found: list[Measure]) -> str:
    known = [m for m in found if m.one_draw.multiple.known]
    if not known:
        return f"How much larger noise must be cannot be said: {_not_known(found)}."
    text = (
        "Random noise breaks as many images as the attack does at "
        f"{_span([m.one_draw for m in known])} its size with one draw"
    )
    worst = [m.worst_draw for m in known if m.worst_draw]
    if worst:
        text += f", at {_span(worst)} with {wording.draws(worst[0].name)}"
    multiples = [m.one_draw.multiple for m in known]
    # A change of few parameters, such as a rotation, is soon found by chance: then it is no matter
    # of direction.
    hardest = multiples + [noise.multiple for noise in worst]
    if all(multiple.low > DIRECTION for multiple in hardest):
        text += ": the direction of a change matters more than its size"
    elif any(multiple.value < DIRECTION for multiple in multiples):
        near = [m.network for m in known if m.one_draw.multiple.value < DIRECTION]
        text += f": for {wording.join(near)}, noise does nearly the same harm"
    unknown = [m for m in found if not m.one_draw.multiple.known]
    if unknown:
        text += f". It cannot be said of all: {_not_known(unknown)}"
    return text + "."


def _not_known(found: list[Measure]) -> str:
    """Why there is no multiple for these networks."""
    few = [m.network for m in found if m.one_draw.multiple.few]
    never = [m.network for m in found if not m.one_draw.multiple.few]
    reasons = []
    if never:
        reasons.append(f"the attacks broke no half of the images of {wording.join(never)} for sure")
    if few:
        reasons.append(f"{wording.join(few)} {_reads(few)} too few images rightly")
    return " and ".join(reasons)


def _span(noises: list[NoiseMeasure]) -> str:
    """`4.2 to 6.3 times`, with `more than` where noise never broke half."""
    ends = [(end, n.multiple.limit) for n in noises for end in (n.multiple.value, n.multiple.upper)]
    reached = [end for end, _ in ends if math.isfinite(end)]
    beyond = [limit for end, limit in ends if not math.isfinite(end)]
    least = min(reached + beyond)
    if not beyond:
        most = max(reached)
        same = f"{least:.1f}" == f"{most:.1f}"
        return f"{least:.1f} times" if same else f"{least:.1f} to {most:.1f} times"
    return f"more than {least:.1f} times"


def _memory_sentence(results: Results) -> str | None:
    """What random labels showed, from the run with the largest share of random labels."""
    runs = [r for r in results.memorize if r["kind"] == "labels" and r["fraction"] > 0]
    if not runs:
        return None
    run = max(runs, key=lambda r: r["fraction"])
    away = from_chance(run)
    labels = (
        "labels drawn at random"
        if run["fraction"] == 1
        else f"{wording.percent(run['fraction'])} of the labels drawn at random"
    )
    how = "fits" if run["fitted_epoch"] is not None else "reaches"
    relation = (
        "no better than chance"
        if abs(away) <= CLEARLY
        else "above chance"
        if away > 0
        else "below chance"
    )
    return (
        f"With {labels}, {run['network']} {how} {wording.percent(run['train_acc'])} of its "
        f"training labels and is right on {wording.percent(run['test_acc'])} of the test images "
        f"({relation}, {wording.percent(1 / run['classes'])})."
    )


def _survival_sentence(found: list[Measure], eps: float) -> str:
    shares = [(m.worst_curve.at_least(eps)[1], m.network) for m in found]
    told = [(share.value, wording.accuracy(share), network) for share, network in shares]
    return (
        f"At ε = {wording.grid_eps(eps)} the share of images that survived is "
        f"{wording.by_network(told)}."
    )


def table(found: list[Measure], eps: float) -> Table:
    """One row for each network: what the page of all experiments shows of this one."""
    norm = wording.norm(found[0].norm)
    head = ["network", "clean", f"robust, {norm} ε = {wording.grid_eps(eps)}", "eps50", "n"]
    rows = [
        [
            Cell(m.network),
            accuracy_cell(m.clean),
            accuracy_cell(m.worst_curve.at_least(eps)[1]),
            Cell(wording.estimate(m.eps50), wording.interval(m.eps50)),
            Cell(str(m.n)),
        ]
        for m in found
    ]
    return Table(head, rows)


def distances(found: list[Measure], levels: int) -> Table:
    """The page's first numbers: how far, network by network, and how much farther noise must go."""
    head = ["network", "breaks 1 image in 10", "breaks half", "noise needs"]
    rows = [
        [
            Cell(m.network),
            Cell(*wording.size(m.eps10, m.norm, levels)),
            Cell(*wording.size(m.eps50, m.norm, levels)),
            Cell(
                wording.multiple(m.one_draw.multiple),
                wording.multiple_interval(m.one_draw.multiple),
            ),
        ]
        for m in found
    ]
    return Table(head, rows)


def headline(found: list[Measure], eps: float) -> list[str]:
    """Three lines for the terminal."""
    half = [f"{m.network} {wording.estimate(m.eps50)}" for m in found]
    survived = [f"{m.network} {wording.accuracy(m.worst_curve.at_least(eps)[1])}" for m in found]
    noise = [f"{m.network} {wording.multiple(m.one_draw.multiple)}" for m in found]
    return [
        f"{wording.norm(found[0].norm)} ε that breaks half of the images: {', '.join(half)}",
        f"images that survived ε = {wording.grid_eps(eps)}: {', '.join(survived)}",
        f"noise, one draw, must be larger than the attack by: {', '.join(noise)}",
    ]
