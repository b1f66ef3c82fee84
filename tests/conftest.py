"""Shared fixtures."""

import os
from pathlib import Path

# Several test processes share few cores: threads that wait for each other would only spin. Set before
# anything imports torch, and inherited by the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"
# Without it scikit-learn skips one of its checks. Set before anything imports scipy.
os.environ["SCIPY_ARRAY_API"] = "1"

import pytest
from hypothesis import settings

# Its asserts say more then; several test files import it.
pytest.register_assert_rewrite("cli_runs")

# How long an example takes says more of the machine's other work than of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def data_dir() -> Path:
    """The folder with real data; CI must have it, so there its absence is a failure."""
    folder = os.environ.get("AUTOENCODE_DATA")
    if folder:
        return Path(folder)
    if os.environ.get("CI"):
        pytest.fail("AUTOENCODE_DATA is not set: the tests on real data cannot run")
    pytest.skip("set AUTOENCODE_DATA to a folder that holds mnist/")
