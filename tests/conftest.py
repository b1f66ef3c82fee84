"""Shared fixtures."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def data_dir() -> Path:
    """The folder with real data; CI must have it, so there its absence is a failure."""
    folder = os.environ.get("AUTOENCODE_DATA")
    if folder:
        return Path(folder)
    if os.environ.get("CI"):
        pytest.fail("AUTOENCODE_DATA is not set: the tests on real data cannot run")
    pytest.skip("set AUTOENCODE_DATA to a folder that holds mnist/")
