"""A pass in IEEE float32, whatever the caller asked torch for; afterwards, what was asked for."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attacks import Oracle

BACKENDS: Any = torch.backends
OPERATIONS = (
    BACKENDS.cudnn.conv,
    BACKENDS.cuda.matmul,
    BACKENDS.mkldnn.conv,
    BACKENDS.mkldnn.matmul,
)
PLACES = (BACKENDS, BACKENDS.cudnn, BACKENDS.mkldnn, *OPERATIONS)


def in_force() -> list[str]:
    return [place.fp32_precision for place in PLACES]


class Noting(nn.Module):
    """Notes what is in force for convolutions and products while it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.seen |= {place.fp32_precision for place in OPERATIONS}
        return x.flatten(1)[:, :2]


def everywhere() -> None:
    BACKENDS.fp32_precision = "tf32"


def of_a_backend() -> None:
    BACKENDS.mkldnn.fp32_precision = "bf16"


def of_an_operation() -> None:
    BACKENDS.mkldnn.conv.fp32_precision = "bf16"
    BACKENDS.cuda.matmul.fp32_precision = "tf32"


def by_default() -> None:
    pass


@pytest.mark.parametrize("ask", [by_default, everywhere, of_a_backend, of_an_operation])
def test_a_pass_is_ieee_and_the_settings_are_as_before(ask: Callable[[], None]) -> None:
    before = in_force()
    try:
        ask()
        asked = in_force()
        model = Noting()
        Oracle(model).judged(torch.rand(3, 1, 4, 4), torch.arange(3))
        # "none": nobody asked for anything, which torch takes for IEEE.
        assert model.seen <= {"ieee", "none"}
        assert in_force() == asked
    finally:
        for place, value in zip(PLACES, before, strict=True):
            place.fp32_precision = value
