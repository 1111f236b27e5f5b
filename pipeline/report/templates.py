"""The templates of every page and Markdown file, filled in. Imports no chart library."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

OURS = "pipeline.report"


def render(template: str, values: dict[str, Any], package: str = OURS) -> str:
    """A template of `package` filled in; it may lean on layout, macros and style of the report.

    On a page, a number never parts from its unit or its ε.
    """
    text = _environment(".html" in template, package).get_template(template).render(**values)
    if ".html" in template:
        return text.replace("ε = ", "ε\u00a0=\u00a0").replace(" %", "\u00a0%")
    return re.sub("\n{3,}", "\n\n", text)


@cache
def _environment(html: bool, package: str) -> jinja2.Environment:
    """One for all templates of a kind: the macros that they share are compiled once."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(name, ".") for name in dict.fromkeys((package, OURS))]
        ),
        autoescape=html,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
