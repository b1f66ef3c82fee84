"""``--layout`` on the command line, and runs that keep it."""

import json

import numpy as np
import pytest

from autoencode.runs import resume, train
from autoencode.runs.data import run_data
from autoencode.trained import load_trained
from autoencode.training import Observer
from cli_runs import assert_refused

pytest_plugins = ["cli_runs"]

RNG = np.random.default_rng(0)
FAST = ("--recipe", "mlp_small", "--epochs", "1", "--quiet")


def kept(folder, *shape):
    np.save(folder / "x.npy", RNG.normal(size=shape).astype(np.float32))
    return folder / "x.npy"


class StopAtTwo(Observer):
    """Stops after two steps."""

    now = 0

    def step(self, step):
        self.now = step

    def stop(self):
        return self.now >= 2


# With all pictures, which know what a sequence and a volume look like.
@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("layout", "given", "shape"),
    [("sequence", (60, 9), [9, 1]), ("volume", (60, 4, 6, 5), [1, 4, 6, 5]), ("row", (60, 6, 5), [30])],
)
def test_a_run_keeps_the_layout_it_was_told(cli, tmp_path, layout, given, shape):
    file = kept(tmp_path, *given)
    more = ("--layout", layout, "--set", "latent_dim=2")
    result = cli("train", file, "--out", "r", *FAST, *more)
    assert result.code == 0, result
    assert "taken for" not in result.err
    config = json.loads((tmp_path / "r/config.json").read_text())
    assert (config["spec"]["layout"], config["spec"]["shape"]) == (layout, shape)
    assert config["data"]["layout"] == layout
    trained = load_trained(tmp_path / "r")
    assert run_data(trained, tmp_path / "r", None).spec.shape == tuple(shape)
    # Whatever is written has the shape of what was read.
    for command in (("reconstruct", "r", file), ("sample", "r", "-n", 5)):
        out = cli(*command, "--out", f"{command[0]}.npy", "--json")
        assert out.code == 0, out
        array = np.load(tmp_path / f"{command[0]}.npy")
        assert list(array.shape) == out.json["shape"]
        assert array.shape[1:] == given[1:]
    assert cli("evaluate", "r").code == 0
    assert cli("sample", "r", "--out", "s.png").code == 0


def test_the_guess_is_said_with_the_option_that_says_otherwise(cli, tmp_path):
    result = cli(
        "train", kept(tmp_path, 60, 6, 5), "--out", "r", "--recipe", "mlp_small", "--epochs", 1
    )
    said = "note: taken for 54 grey images of 6 x 5 (3-D array); layout='sequence' reads 6 steps of 5"
    assert said in result.err
    assert_refused(
        cli("train", tmp_path / "x.npy", "--out", "q", *FAST, "--layout", "volume"), "takes arrays of"
    )


@pytest.mark.parametrize("stream", [False, True])
def test_resume_reads_the_data_in_the_layout_of_the_run(tmp_path, stream):
    file = kept(tmp_path, 60, 9)
    more = {"layout": "sequence", "stream": stream, "epochs": 2, "batch_size": 10, "seed": 1}
    whole = train(file, "mlp_small", **more)
    stopped = train(file, "mlp_small", out=tmp_path / "r", observer=StopAtTwo(), **more)
    assert not stopped.complete
    run = resume(tmp_path / "r")
    assert run.trained.spec == whole.trained.spec
    assert run.trained.spec.layout == "sequence"
    assert [entry["loss"] for entry in run.history] == [entry["loss"] for entry in whole.history]
    again = run_data(run.trained, tmp_path / "r", None)
    assert again.fingerprint() == run.data.fingerprint()
    assert again.spec.layout == "sequence"
    np.testing.assert_array_equal(again.test.x, run.data.test.x)


def test_commands_that_train_on_the_file_take_a_layout(cli, tmp_path):
    x = RNG.normal(size=(60, 9)).astype(np.float32)
    holed = x.copy()
    holed[::4, 2] = np.nan
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "holed.npy", holed)
    told = ("--layout", "sequence", "--quiet")
    assert cli("impute", "holed.npy", "--out", "filled.npy", "--save", "i", *told).code == 0
    filled = np.load(tmp_path / "filled.npy")
    np.testing.assert_array_equal(filled[~np.isnan(holed)], holed[~np.isnan(holed)])
    assert np.isfinite(filled).all()
    assert cli("denoise", "x.npy", "--clean", "x.npy", "--out", "d.npy", "--save", "d", *told).code == 0
    assert np.load(tmp_path / "d.npy").shape == (60, 9)
    found = cli("anomalies", "x.npy", "--save", "a", "--report", "a.html", *told)
    assert found.code == 0, found
    for folder in "ida":
        assert load_trained(tmp_path / folder).spec.layout == "sequence"
    assert cli("anomalies", "x.npy", "--run", "a", "--quiet").code == 0
    for command in (("anomalies", "x.npy"), ("impute", "holed.npy", "--out", "f.npy")):
        assert_refused(cli(*command, "--run", "a", "--layout", "row"), "a run has its layout already")
