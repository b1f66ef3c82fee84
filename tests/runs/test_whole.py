"""A run is whole before it is measured: whatever fails afterwards, the model is there."""

import json
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from autoencode.errors import DataError, RunFolderError, StorageError, TrainingError
from autoencode.evaluate import pca
from autoencode.evaluate.metrics import METRICS
from autoencode.runs import list_runs, resume, train
from autoencode.trained import load_trained
from autoencode.trained.model_files import read_metrics
from autoencode.training import Observer

X = np.random.default_rng(0).random((60, 12)).astype(np.float32)
FIGURES = {"epochs": 1, "hidden": (8,), "latent_dim": 3}


class StopAt(Observer):
    def __init__(self, at):
        self.at, self.now = at, 0

    def step(self, step):
        self.now = step

    def stop(self):
        return self.now >= self.at


def trained(out, **more):
    return train(X, "mlp_small", out=out, **{**FIGURES, **more})


def left_out_of(folder):
    return json.loads((folder / "metrics.json").read_text()).get("left_out")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (MemoryError(), "out of memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 80 GiB\nmore"), "out of memory"),
        (ValueError("no\nsense"), "ValueError: no"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_a_measure_that_fails_is_left_out_and_named(tmp_path, monkeypatch, error, why):
    def fail(*_):
        raise error

    monkeypatch.setattr(pca.PCA, "fit", fail)
    run = trained(tmp_path / "r")
    assert run.complete
    assert run.left_out == {"pca": why}
    assert f"pca was left out: {why}" in run.notices
    assert run.metrics.keys() == METRICS.keys()
    assert run.metrics["pca_mse"] is None
    assert run.metrics["mse"] is not None
    assert left_out_of(tmp_path / "r") == {"pca": why}
    assert read_metrics(tmp_path / "r") == run.metrics
    assert why in (tmp_path / "r/report.html").read_text()
    assert not (tmp_path / "r/resume").exists()
    assert load_trained(tmp_path / "r").embed(X[:2]).shape == (2, 3)
    assert resume(tmp_path / "r", source=X).left_out == {"pca": why}
    assert list_runs(tmp_path)[0]["mse"] == run.metrics["mse"]


def test_a_measure_that_is_too_dear_is_left_out_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(pca, "EXACT_COLUMNS", 0)
    monkeypatch.setattr(pca, "MOST_ENTRIES", 1)
    run = trained(tmp_path / "r")
    assert "PCA of 3 components of 12 columns would take more than" in run.left_out["pca"]
    assert run.metrics["mse"] is not None


def test_where_nothing_fails_nothing_is_said(tmp_path, pictures):
    run = trained(tmp_path / "r")
    assert run.left_out == {}
    assert json.loads((tmp_path / "r/metrics.json").read_text()) == run.metrics


def test_a_picture_that_cannot_be_drawn_is_left_out_and_named(tmp_path, monkeypatch, pictures):
    from autoencode.pictures import of_runs

    real = of_runs.draw

    def draw(kind, *given, **more):
        if kind == "latent":
            raise MemoryError
        return real(kind, *given, **more)

    monkeypatch.setattr(of_runs, "draw", draw)
    run = trained(tmp_path / "r")
    assert run.left_out == left_out_of(tmp_path / "r") == {"latent.png": "out of memory"}
    assert not (tmp_path / "r/plots/latent.png").exists()
    assert (tmp_path / "r/plots/reconstructions.png").exists()
    assert read_metrics(tmp_path / "r")["mse"] == run.metrics["mse"]


KILLED = """
import os, signal, sys
import numpy as np
import autoencode.runs.run as run
run.measured = lambda case: os.kill(os.getpid(), signal.SIGKILL)
run_ = sys.argv[1]
from autoencode import train
train(sys.argv[2], "mlp_small", out=run_, epochs=1, hidden=(8,), latent_dim=3)
"""


def test_killed_before_it_is_measured_a_run_can_be_used_and_measured_later(tmp_path):
    np.save(tmp_path / "x.npy", X)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "r", tmp_path / "x.npy"], check=False, timeout=300
    )
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "r/metrics.json").exists()
    before = (tmp_path / "r/model.safetensors").read_bytes()
    codes = load_trained(tmp_path / "r").embed(X)
    (listed,) = list_runs(tmp_path)
    assert (listed["run"], listed["mse"], listed["epochs"]) == (str(tmp_path / "r"), None, 1)
    run = resume(tmp_path / "r")
    assert run.complete
    assert (tmp_path / "r/model.safetensors").read_bytes() == before
    assert np.array_equal(run.trained.embed(X), codes)
    assert read_metrics(tmp_path / "r") == run.metrics != {}
    assert not (tmp_path / "r/resume").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, StorageError])
def test_interrupted_while_it_is_measured_the_model_stays(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error("x")

    where = "measured" if error is KeyboardInterrupt else "to_json"
    monkeypatch.setattr(f"autoencode.runs.run.{where}", fail)
    with pytest.raises(error) as caught:
        trained(tmp_path / "r")
    assert caught.value.__notes__ == [f"autoencode train --resume {tmp_path / 'r'} goes on"]
    assert load_trained(tmp_path / "r").embed(X).shape == (60, 3)
    monkeypatch.undo()
    assert resume(tmp_path / "r", source=X).metrics["mse"] is not None


def diverging(monkeypatch):
    figures = dict.fromkeys(METRICS) | {"mse": math.nan}
    monkeypatch.setattr("autoencode.runs.run.measured", lambda case: (figures, {}))


def test_a_training_that_diverged_leaves_no_model(tmp_path, monkeypatch):
    diverging(monkeypatch)
    with pytest.raises(TrainingError, match="training diverged: mse is nan; try a lower"):
        trained(tmp_path / "r")
    assert sorted(os.listdir(tmp_path / "r")) == ["history.jsonl", "resume"]
    with pytest.raises(RunFolderError, match="did not finish"):
        load_trained(tmp_path / "r")
    assert list_runs(tmp_path) == []


def test_a_run_that_goes_on_and_diverges_keeps_the_model_it_had(tmp_path, monkeypatch):
    trained(tmp_path / "r", epochs=3, batch_size=20, observer=StopAt(3))
    names = ("config.json", "model.safetensors")
    before = [(tmp_path / "r" / name).read_bytes() for name in names]
    diverging(monkeypatch)
    with pytest.raises(TrainingError, match="diverged"):
        resume(tmp_path / "r", source=X)
    assert [(tmp_path / "r" / name).read_bytes() for name in names] == before
    monkeypatch.undo()
    assert resume(tmp_path / "r", source=X).metrics["mse"] is not None


def test_a_complete_run_reads_the_data_it_is_given_as_its_own_and_refuses_others(tmp_path):
    x = np.random.default_rng(0).random((60, 6, 5)).astype(np.float32)
    train(x, "mlp_small", layout="row", epochs=1, out=tmp_path / "r")
    assert resume(tmp_path / "r", source=x).data.spec.shape == (30,)
    with pytest.raises(DataError, match=r"not what .* was trained on"):
        resume(tmp_path / "r", source=x[:, :, :4])
