"""What does it look like? Broken images of every network, and images that fool."""

from __future__ import annotations

from .. import images, wording
from ..fooling import fooling
from ..section import Findings, Section


def section(findings: Findings) -> Section:
    results, head = findings.results, findings.config.headline.suite
    suites = [
        {
            "title": wording.suite(name, findings.of(name)[0].norm),
            "headline": name == head,
            "networks": [
                (network, images.examples(results.cells[network, name], results.data.classes))
                for network in results.networks
            ],
        }
        for name in findings.suites
    ]
    led = [name for name in results.networks if name not in results.without_gradients]
    return Section(
        name="gallery",
        short="Gallery",
        question="What does it look like?",
        values={
            "suites": suites,
            "fooling": fooling(findings.place, led, head, results.data.classes) if led else None,
        },
    )
