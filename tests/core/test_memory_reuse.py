"""Memory that a program asked to keep is not given back and taken anew."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from iris_core.allocator import reuse_memory

if sys.argv[1] == "reuse":
    assert reuse_memory()
torch.set_num_threads(1)
for _ in range(10):
    torch.ones(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(1 << 24)  # 64 MB, larger than what glibc keeps by itself
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    ran = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(ran.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone knows how")
def test_memory_is_touched_for_the_first_time_only_once():
    assert faults("reuse") * 5 < faults("as it is")
