"""Large tensors lie in large pages, which a step does not have to wait for."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[2] / "workflow"
SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")

ASK = """
import resource
import diffusion_bert, torch
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(1 << 25)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(**environment):
    """How many pages the system had to make for 128 MiB, each of three times."""
    kept = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env=kept | {"PYTHONPATH": str(LIBRARY)} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(count) for count in done.stdout.split()]


@pytest.mark.skipif(
    not SETTING.exists() or re.search(r"\[(\w+)\]", SETTING.read_text())[1] != "madvise",
    reason="this system has no large pages, or gives them to all",
)
def test_large_tensors_lie_in_large_pages_unless_the_user_says_otherwise():
    assert max(pages()) < 5_000
    assert min(pages(THP_MEM_ALLOC_ENABLE="0")) > 30_000
