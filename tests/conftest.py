"""Shared fixtures."""

import math
import os
import tempfile
from pathlib import Path

# Several test processes share few cores: threads that wait for each other would only spin. Set before
# anything imports torch, and inherited by the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"
# On processors of AMD the products of matrices, as MKL makes them, depend on where rows lie in memory,
# which other threads and another order of rows change. Set before anything imports torch.
_PROCESSOR = Path("/proc/cpuinfo")
if _PROCESSOR.exists() and "AuthenticAMD" in _PROCESSOR.read_text(errors="replace"):
    os.environ["MKL_CBWR"] = "AUTO,STRICT"
# Without it scikit-learn skips one of its checks. Set before anything imports scipy.
os.environ["SCIPY_ARRAY_API"] = "1"
# What is decoded is no part of the data that are given. Set for the processes that tests start, too.
_CACHE = tempfile.TemporaryDirectory(prefix="autoencode-cache-", ignore_cleanup_errors=True)
os.environ["AUTOENCODE_CACHE"] = _CACHE.name

import pytest
from hypothesis import settings

from autoencode.pictures import of_runs as drawn
from autoencode.training import TrainingPlan

_AVAILABLE, _N_EPOCHS = drawn.available, TrainingPlan.n_epochs

# Its asserts say more then; several test files import it.
pytest.register_assert_rewrite("cli_runs")

# How long an example takes says more of the machine's other work than of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real data; CI must have it, so there its absence is a failure."""
    folder = os.environ.get("AUTOENCODE_DATA")
    if folder:
        return Path(folder)
    if os.environ.get("CI"):
        pytest.fail("AUTOENCODE_DATA is not set: the tests on real data cannot run")
    pytest.skip("set AUTOENCODE_DATA to a folder that holds mnist/")


@pytest.fixture(scope="session", autouse=True)
def _no_pictures():
    """Leaves the pictures out of every run that is trained here, for they take a second each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawn, "available", lambda trained: ())
        yield


@pytest.fixture
def pictures(monkeypatch):
    """Asked for by tests that need the pictures of a run."""
    monkeypatch.setattr(drawn, "available", _AVAILABLE)


@pytest.fixture
def hurried(monkeypatch):
    """Ends every training after about as many steps, for tests of what lies around a training."""

    def at_most(steps: int) -> None:
        def n_epochs(self: TrainingPlan, n_train: int) -> int:
            return min(
                _N_EPOCHS(self, n_train), math.ceil(steps / math.ceil(n_train / self.batch_size))
            )

        monkeypatch.setattr(TrainingPlan, "n_epochs", n_epochs)

    return at_most
