"""What looks at validation images where none are held out."""

from __future__ import annotations

from ..raw import Raw, mapping
from ..recipes import merged, recipe_layers


def validation_errors(raw: Raw) -> list[str]:
    """One line for each setting that nothing could be chosen or watched by.

    Networks of `memorize` look at no validation images: their last epoch is kept.
    """
    if mapping(raw, "data").get("validation") != 0:
        return []
    errors = []
    for layers in recipe_layers(raw):
        (_, recipe), (section, own) = layers[0], layers[-1]
        if not section.startswith("networks."):
            continue
        chosen = merged(recipe, own)
        for key, looks in (
            ("select", chosen.get("select") == "best"),
            ("adversarial.guard", mapping(chosen, "adversarial").get("guard") is not None),
        ):
            if looks:
                setter = section if key.split(".")[0] in own else "recipe"
                errors.append(
                    f"{setter}.{key}: looks at validation images, and data.validation: 0 leaves "
                    "none; write a share there, such as 0.1"
                )
    return list(dict.fromkeys(errors))
