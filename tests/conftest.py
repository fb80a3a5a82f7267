"""What all tests share: where the checkout is, and the real data beside it where there are any."""

import os
from pathlib import Path

import pytest

# Before torch is imported. Models here are so small that a second thread only waits, and waits by spinning: tests of
# training take two to three times the processor time, more where pytest's processes share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data that lie beside some checkouts; a test that needs them is skipped elsewhere."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the real data are not beside this checkout")
    return folder
