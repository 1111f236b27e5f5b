"""The colours of networks, the same in the report and in MLflow."""

from __future__ import annotations

# Readable on white (3:1 and more), told apart by the colour-blind; a marker doubles each in charts.
SERIES = ["#0a6ab0", "#c46a00", "#00805f", "#a3458a", "#8a6d1d", "#c0392b", "#2b87ad", "#5b5b66"]


def color(number: int) -> str:
    """The colour of the network of this number, from 0, in the order of params.yaml."""
    return SERIES[number % len(SERIES)]
