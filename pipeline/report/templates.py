"""The templates of every page and Markdown file, filled in. Imports no chart library."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

OURS = "pipeline.report"


def render(template: str, values: dict[str, Any], package: str = OURS) -> str:
    """A template of `package` filled in; it may lean on layout, macros and style of the report.

    On a page, a number never parts from its unit or its ε.
    """
    text = _environment(template, package).get_template(template).render(**values)
    if ".html" in template:
        return text.replace("ε = ", "ε\u00a0=\u00a0").replace(" %", "\u00a0%")
    return re.sub("\n{3,}", "\n\n", text)


def _environment(template: str, package: str) -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(name, ".") for name in dict.fromkeys((package, OURS))]
        ),
        autoescape=".html" in template,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
