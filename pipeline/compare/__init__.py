"""`python -m pipeline compare --base REVISION`: what changed between two runs, image by image.

For people as a page, for a pull request as Markdown on the terminal, for continuous integration as
an exit code. It only reads: verdicts of the workspace, and of a Git revision through DVC's cache
or of another folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..base.config import Config
    from ..base.store import Place

WORSE = 1  # exit code


def run(
    place: Place, config: Config, base: str, *, out: Path | None = None, fail_if_worse: bool = False
) -> int:
    """Print the comparison as Markdown and write compare.md and compare.html.

    Args:
        base: a folder of results, or anything that Git or DVC knows as a revision.
        out: the folder to write to; by default the experiment's reports/.
        fail_if_worse: answer 1 when any network got significantly worse.

    Returns:
        The exit code, 0 or 1.

    Raises:
        UserError: results are missing on either side, or nothing can be compared.
    """
    from ..base import store
    from ..base.errors import UserError
    from ..report import loading, templates
    from . import changes, page, runs
    from .bases import opened
    from .images import common

    folder = place.reports if out is None else out
    new = runs.of_folder(place.folder, "this run", cells=loading.load(place, config).cells)
    with opened(base, place) as before:
        images = common(before, new)
        grids = changes.grids(before, new)
        headline = changes.headline(config.headline.suite, config.headline.eps, grids)
        found = changes.changes(before, new, images, grids, headline)
        if not found:
            raise UserError(
                f"--base {base}: nothing to compare: no network was judged there by a suite of the "
                "same name and norm, at an ε of this run; it has "
                f"{', '.join(before.networks)} under {', '.join(before.suites)}"
            )
        values = page.content(before, new, images, grids, found, headline)
    text = templates.render("compare.md.j2", values, __name__)
    store.write_text(folder / "compare.md", text)
    store.write_text(folder / "compare.html", templates.render("compare.html.j2", values, __name__))
    print(text)
    return WORSE if fail_if_worse and any(change.is_worse for change in found) else 0
