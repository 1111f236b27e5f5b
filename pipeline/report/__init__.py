"""Stage `report`: every number, interval, picture and sentence, derived from the stored verdicts.

It reads what the other stages wrote and imports no torch.
"""

from __future__ import annotations

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
    from . import opening, page, results, tables, templates
    from .measures import measures

    loaded = results.load(place, config)
    found = measures(loaded)
    head = config.headline
    first = [found[network, head.suite] for network in loaded.networks]
    values = page.content(place, loaded, found, config)
    summary = {
        "data": {"name": loaded.data.name, "checksum": loaded.data.checksum},
        "sentences": values["summary"],
        "lines": opening.headline(first, head.eps),
        "headline": {"suite": head.suite, "norm": first[0].norm, "eps": head.eps},
    }
    drawn = [chart for suite in values["suites"] for chart in (suite.distances, suite.curves)]
    drawn += [section["chart"] for section in values["memorization"]] + [values["training"]]
    drawn += [chart for part in values["alone"] for chart in part["charts"]]
    with store.replace_folder(place.reports / "figures") as folder:
        for chart in drawn:
            store.write_bytes(folder / f"{chart.name}.svg", chart.file)
    with store.replace_folder(place.reports / "tables") as folder:
        tables.write(folder, loaded, found, summary)
    store.write_text(place.reports / "report.md", templates.render("report.md.j2", values))
    store.write_text(place.reports / "index.html", templates.render("index.html.j2", values))
    store.write_json(
        place.reports / "metrics.json", tables.metrics(loaded, found, head.suite, head.eps)
    )
