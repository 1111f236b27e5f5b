"""Where a data set comes from, and what is held out of it."""

from __future__ import annotations

from ..data_sets import DataSet
from ..raw import Raw, mapping


def data_errors(raw: Raw, data_set: DataSet | None) -> list[str]:
    """A folder that nothing would read, and a test split that is nowhere."""
    data, errors = mapping(raw, "data"), []
    if data.get("name") == "digits" and data.get("root") is not None:
        errors.append(
            "data.root: the digits come with scikit-learn and are read from no folder; write null"
        )
    if data_set and data_set.test is None and "test" in data and data["test"] is None:
        errors.append(
            f"data.test: {data['name']} has no test split of its own; say which share of it is "
            "held out, such as 0.2"
        )
    return errors
