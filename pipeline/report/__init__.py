"""Stage `report`: every number, interval, picture and sentence, derived from the stored verdicts.

It reads what the other stages wrote and imports no torch.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ..base import store
from .summary import headline_lines as headline_lines

if TYPE_CHECKING:
    from ..base.config import Config
    from ..base.store import Place


def run(place: Place, config: Config) -> None:
    """Write reports/: index.html, report.md, figures/, tables/, metrics.json.

    Raises:
        UserError: a result that params.yaml asks for is missing.
    """
    from . import loading, opening, page, tables, transferred
    from .luck import luck
    from .measures import measures
    from .section import Findings

    loaded = loading.load(place, config)
    found = measures(loaded)
    head = config.headline
    lucks = luck(loaded, found, head.suite, head.eps)
    findings = Findings(place, config, loaded, found, lucks)
    sections = page.sections(findings)
    summary = {
        "data": asdict(loaded.data) | {"classes": len(loaded.data.classes)},
        "sentences": opening.summary(loaded, findings.head, head.eps),
        "lines": opening.headline(findings.head, head.eps),
        "table": asdict(opening.table(findings.head, head.eps)),
        "headline": {"suite": head.suite, "norm": findings.head[0].norm, "eps": head.eps},
    }
    with store.replace_folder(place.reports / "figures") as folder:
        for chart in [chart for section in sections for chart in section.charts]:
            store.write_bytes(folder / f"{chart.name}.svg", chart.file)
    with store.replace_folder(place.reports / "tables") as folder:
        tables.write(folder, loaded, found, summary, lucks)
        transferred.write_table(folder / "transfer.parquet", place, list(config.suites))
    for name in ("report.md", "index.html"):
        store.write_text(place.reports / name, page.render(f"{name}.j2", findings, sections))
    metrics = tables.metrics(loaded, found, head.suite, head.eps, lucks)
    store.write_json(place.reports / "metrics.json", metrics)
