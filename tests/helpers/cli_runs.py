"""What the tests of the command line share: a way to call it, and runs to use."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from autoencode.cli import main
from autoencode.runs import train


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        """The last line of stdout, which must be strict JSON."""
        return json.loads(self.out.splitlines()[-1], parse_constant=pytest.fail)


def assert_refused(result, *mentions, code=2):
    """One line on stderr that says what was wrong, and nothing on stdout."""
    lines = result.err.splitlines()
    assert result.code == code, result
    assert not result.out
    assert len(lines) == 1, result.err
    assert lines[0].startswith("error: ")
    for word in mentions:
        assert str(word) in lines[0], result


@pytest.fixture
def cli(capsys, tmp_path, monkeypatch):
    """Calls the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(left.value.code, captured.out, captured.err)

    return call


def _rows(n=60, width=6, seed=0):
    return np.random.default_rng(seed).random((n, width)).astype(np.float32)


@pytest.fixture
def rows():
    """Makes rows of numbers in [0, 1]."""
    return _rows


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """A file of 60 rows of 6 numbers in [0, 1]."""
    path = tmp_path_factory.mktemp("data") / "table.npy"
    np.save(path, _rows())
    return path


@pytest.fixture(scope="session")
def plane(tmp_path_factory, table):
    """A run with a code of two numbers."""
    folder = tmp_path_factory.mktemp("runs") / "plane"
    return train(str(table), "mlp", out=folder, epochs=2, hidden=(8,), latent_dim=2).folder


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A variational run on the bundled digits, with a code of 20 numbers."""
    folder = tmp_path_factory.mktemp("runs") / "images"
    return train("digits", "vae", out=folder, epochs=1, hidden=(16,), latent_dim=20).folder
