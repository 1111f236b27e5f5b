"""What the section `memorize` asks for and cannot have."""

from __future__ import annotations

from ..errors import unknown
from ..raw import Raw, items, mapping


def memorize_errors(raw: Raw) -> list[str]:
    """Corruptions that are not there, and settings that memorizing decides itself."""
    memorize = mapping(raw, "memorize")
    networks, groups = mapping(memorize, "networks"), mapping(memorize, "corruptions")
    errors = []
    for name in networks:
        key, asked = f"memorize.networks.{name}", mapping(networks, name).get("corruptions", [])
        if not isinstance(asked, list):
            errors.append(f"{key}.corruptions: must be a list of names of memorize.corruptions")
        errors += [
            f"{key}.corruptions: {unknown(group, groups)}"
            for group in items(asked)
            if group not in list(groups)  # which a group that is a list or mapping can be asked for
        ]
        errors += [
            f"{key}.corruptions: each may be listed once, got {group} twice"
            for number, group in enumerate(items(asked))
            if group in items(asked)[:number]
        ]
    sections = {"memorize.recipe": mapping(memorize, "recipe")}
    sections |= {f"memorize.networks.{name}": mapping(networks, name) for name in networks}
    for section, settings in sections.items():
        if "seeds" in settings:
            errors.append(f"{section}.seeds: every run has memorize.seed; leave it out")
        errors += [
            f"{section}.{key}: the last epoch is always kept; leave it out"
            for key in ("select", "patience")
            if key in settings
        ]
        if mapping(settings, "adversarial").get("guard") is not None:
            errors.append(
                f"{section}.adversarial.guard: it watches validation images, and none are judged "
                "here; leave it out"
            )
    return errors
