"""What only params.yaml as a whole can tell: names that refer to others, budgets, boxes, sizes.

Works on the raw file, so that it speaks even where other parts are wrong; what has not even the
right type is told by the schema and passed over here.
"""

from __future__ import annotations

from ..data_sets import data_set_of
from ..raw import Raw
from .architectures import architecture_errors
from .budgets import training_errors
from .counts import count_errors
from .data import data_errors
from .memorize import memorize_errors
from .recipes import recipe_errors
from .suites import headline_errors, suite_errors
from .validation import validation_errors


def cross_errors(raw: Raw) -> list[str]:
    """One line for each contradiction between the parts of a raw params.yaml."""
    data_set = data_set_of(raw)
    return [
        *data_errors(raw, data_set),
        *memorize_errors(raw),
        *architecture_errors(raw, data_set),
        *headline_errors(raw),
        *count_errors(raw, data_set),
        *suite_errors(raw, data_set),
        *training_errors(raw, data_set),
        *recipe_errors(raw, data_set),
        *validation_errors(raw),
    ]
