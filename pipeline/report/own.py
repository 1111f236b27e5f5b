"""Models that were not trained here: what they are, and what was claimed of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..base.raw import budget
from . import wording
from .measures import Measure
from .results import Results
from .statistics import Accuracy
from .table import Cell, Table, accuracy_cell, plain

REFUTED, UNDECIDED, NOT_REFUTED = "REFUTED", "UNDECIDED", "NOT REFUTED"
WHY = {
    REFUTED: "the whole interval lies below it",
    UNDECIDED: "the interval spans it",
    NOT_REFUTED: "the whole interval lies at or above it",
}
CLAIMS_HEAD = ["network", "threat", "claimed", "measured", "verdict", "n"]
MODELS_HEAD = ["network", "model", "images reach it", "gradients", "made of"]


def judge(measured: Accuracy, claimed: float) -> str:
    """Whether the 95 % interval refutes that the robust accuracy is at least `claimed`.

    What was measured is an upper bound, so that nothing can confirm a claim.
    """
    if measured.high < claimed:
        return REFUTED
    return NOT_REFUTED if measured.low >= claimed else UNDECIDED


def claims(
    found: Mapping[tuple[str, str], Measure], networks: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Claims beside measurements, as a takeaway and a table; None where nothing is claimed."""
    rows, verdicts = [], []
    for network, entry in networks.items():
        claim = entry.get("claimed") if "model" in entry else None
        if not claim:
            continue
        measure, claimed = found[network, claim["suite"]], float(claim["robust_acc"])
        eps, measured = measure.worst_curve.at_least(float(budget(claim["eps"])))
        verdict = judge(measured, claimed)
        threat = f"{wording.norm(measure.norm)} ε = {_told(measure.norm, eps)}"
        verdicts.append(
            f"That {network} keeps {wording.percent(claimed)} within {threat} is "
            f"{verdict.lower()}: {WHY[verdict]}."
        )
        rows.append(
            [
                Cell(network),
                Cell(threat),
                Cell(wording.percent(claimed), share=claimed),
                accuracy_cell(measured),
                Cell(verdict.lower()),
                Cell(str(measured.n)),
            ]
        )
    if not rows:
        return None
    return {"takeaway": " ".join(verdicts), "beside": Table(CLAIMS_HEAD, rows)}


def _told(norm: str, eps: float) -> str:
    """With the grey levels that claims are made in."""
    levels = round(eps * 255)
    exact = norm == "linf" and abs(eps * 255 - levels) < 1e-6
    return wording.grid_eps(eps) + (f" ({levels}/255)" if exact else "")


def models(results: Results) -> Table | None:
    """Where each came from and how images reach it; None where all were trained here."""
    if not results.own:
        return None
    return plain(
        MODELS_HEAD,
        [
            [
                name,
                info["own"]["model"] + _arguments(info["own"]["args"]),
                _way(info["own"]),
                "yes" if info["own"]["gradients"] else "no",
                ", ".join(f"{file} {digest[:12]}" for file, digest in info["own"]["files"].items()),
            ]
            for name, info in results.own.items()
        ],
    )


def _arguments(args: Mapping[str, Any]) -> str:
    return f"({', '.join(f'{name}={value!r}' for name, value in args.items())})"


def _way(own: Mapping[str, Any]) -> str:
    told = [
        f"{what} {'x'.join(map(str, size)) if isinstance(size, list) else size}"
        for what, size in (("resized to", own["resize"]), ("cut to", own["crop"]))
        if size is not None
    ]
    if own["normalize"]:
        told.append(f"mean {own['normalize']['mean']}, std {own['normalize']['std']}")
    return ", ".join(told) or "as they are"
