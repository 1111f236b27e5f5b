"""Memory that a pass frees stays with the process."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ROUNDS = """
import resource, torch
from torch import nn
{first}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def round():
    return [torch.ones(2**18) for _ in range(16)]
round(), round()
before = faults()
for _ in range(10):
    round()
print((faults() - before) // 10)
"""


def faults(first: str) -> int:
    """Page faults of a round that takes 16 MiB in blocks of one, and frees them."""
    told = subprocess.run(
        [sys.executable, "-c", ROUNDS.format(first=first)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(told.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_what_is_freed_is_not_faulted_in_again() -> None:
    oracle = "from attacks import Oracle; Oracle(nn.Linear(2, 2))"
    assert faults(oracle) * 10 < faults("")
