"""Run folders of other people: nothing outside of them is touched, nothing in them is believed."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch

from autoencode.errors import InputError, ModelFileError, RunFolderError
from autoencode.files.sealed import seal
from autoencode.runs import list_runs, resume, train
from autoencode.trained import load_trained
from autoencode.trained.model_files import read_history, read_metrics
from autoencode.training import Observer

X = np.random.default_rng(0).random((40, 5)).astype(np.float32)


class _Stop(Observer):
    def __init__(self, at):
        self.at, self.now = at, False

    def step(self, step):
        self.now = step >= self.at

    def stop(self):
        return self.now


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A complete run and an unfinished one with two checkpoints, to be copied and altered."""
    home = tmp_path_factory.mktemp("made")
    np.save(home / "x.npy", X)
    figures = {"epochs": 4, "batch_size": 10, "hidden": (4,), "latent_dim": 2}
    train(home / "x.npy", "mlp", out=home / "whole", **figures)
    train(
        home / "x.npy",
        "mlp",
        out=home / "stopped",
        observer=_Stop(5),
        checkpoint_seconds=0.0,
        **figures,
    )
    return home


@pytest.fixture
def home(made, tmp_path):
    shutil.copytree(made, tmp_path / "home")
    return tmp_path / "home"


def _claims(run, **changes):
    path = run / "resume" / "run.json"
    facts = {k: v for k, v in json.loads(path.read_text()).items() if k != "sha256"}
    path.write_bytes(seal(facts | changes))


def _tensors(run, alter):
    """Alters the weights of a run, with a checksum that fits."""
    weights = run / "model.safetensors"
    weights.write_bytes(alter(weights.read_bytes()))
    config = {k: v for k, v in json.loads((run / "config.json").read_text()).items() if k != "sha256"}
    config["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    (run / "config.json").write_bytes(seal(config))


# Nothing outside is touched

NAMES = [
    "victim",
    "",
    ".",
    "..",
    "/",
    "a/b",
    ".old",
    "." + "0" * 31 + ".old",
    "." + "0" * 32 + ".old/..",
]
NAMES += [
    "." + "G" * 32 + ".old",
    "." + "0" * 32 + ".old\n",
    "." + "0" * 32 + ".partial",
    5,
    ["victim"],
]


@pytest.mark.parametrize("name", NAMES)
def test_no_folder_that_a_run_names_is_removed(home, name):
    (home / "victim").mkdir()
    (home / "victim" / "thesis.txt").write_text("x")
    before = sorted(home.rglob("*"))
    _claims(home / "stopped", replaces=name, recipe="nope")
    with pytest.raises(ModelFileError, match="names a folder"):
        resume(home / "stopped")
    assert {p for p in home.rglob("*") if p.name != "lock"} >= {p for p in before if p.name != "lock"}


def test_the_run_that_was_put_aside_goes_when_the_new_one_is_complete(home):
    aside = home / ("." + "0" * 32 + ".old")
    (home / "whole").rename(aside)
    _claims(home / "stopped", replaces=aside.name)
    assert resume(home / "stopped").complete
    assert not aside.exists()


@pytest.mark.parametrize("inside", ["resume", "resume/lock", "history.jsonl", "plots"])
def test_links_out_of_a_run_are_not_written_through(home, inside):
    elsewhere = home / "elsewhere"
    place = home / "stopped" / inside
    if place.is_dir():
        shutil.copytree(place, elsewhere)
        shutil.rmtree(place)
    else:
        elsewhere.write_text("thesis")
        place.unlink(missing_ok=True)
    before = {p: p.read_bytes() for p in home.rglob("*") if p.is_file() and "elsewhere" in str(p)}
    place.symlink_to(elsewhere)
    with pytest.raises(ModelFileError, match="is a link"):
        resume(home / "stopped")
    assert {p: p.read_bytes() for p in before} == before


def test_a_checkpoint_removes_only_checkpoints(home):
    mine = home / "stopped" / "resume" / "mine.safetensors"
    mine.write_text("x")
    train_on = resume(home / "stopped", observer=_Stop(8))
    assert not train_on.complete
    assert mine.exists()


# Nothing inside is waited for, or believed to be small


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "metrics.json", "history.jsonl"])
def test_a_pipe_in_a_run_is_not_waited_for(home, name):
    run = home / "whole"
    (run / name).unlink()
    os.mkfifo(run / name)
    if name in ("metrics.json", "history.jsonl"):
        assert not read_metrics(run) or not read_history(run)
        return
    with pytest.raises(RunFolderError, match=r"pipe|config\.json"):
        load_trained(run)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_device_or_a_file_of_holes_in_a_run_is_refused_unread(home, name, monkeypatch):
    monkeypatch.setenv("AUTOENCODE_MEMORY", "8GB")
    with (home / "whole" / name).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match=r"needs .* of memory"):
        load_trained(home / "whole")
    (home / "whole" / name).unlink()
    (home / "whole" / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"device|not a complete run"):
        load_trained(home / "whole")


# Strict reading


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64, torch.complex64])
def test_weights_of_another_type_are_refused(home, dtype):
    def alter(content):
        tensors = safetensors.torch.load(content)
        name = next(iter(tensors))
        return safetensors.torch.save({**tensors, name: tensors[name].to(dtype)})

    _tensors(home / "whole", alter)
    with pytest.raises(ModelFileError, match=str(dtype).removeprefix("torch.")):
        load_trained(home / "whole")


def test_a_tensor_that_stands_twice_is_refused(home):
    def alter(content):
        length = int.from_bytes(content[:8], "little")
        header, rest = content[8 : 8 + length].rstrip(), content[8 + length :]
        first = json.dumps(dict([next(iter(json.loads(header).items()))]))[1:-1].encode()
        header = b"{" + first + b"," + header[1:]
        return len(header).to_bytes(8, "little") + header + rest

    _tensors(home / "whole", alter)
    with pytest.raises(ModelFileError, match="twice"):
        load_trained(home / "whole")


def test_a_name_that_stands_twice_in_the_configuration_is_refused(home):
    path = home / "whole" / "config.json"
    path.write_text(path.read_text().replace("{", '{\n  "recipe": "vae",', 1))
    with pytest.raises(ModelFileError, match="JSON"):
        load_trained(home / "whole")


@pytest.mark.parametrize("hidden", [[8] * 100_000, [2**30, 2**30]])
def test_a_model_beyond_measure_is_refused_before_it_is_made(home, hidden):
    path = home / "whole" / "config.json"
    config = {k: v for k, v in json.loads(path.read_text()).items() if k != "sha256"}
    config["options"]["hidden"] = hidden
    path.write_bytes(seal(config))
    with pytest.raises(ModelFileError) as caught:
        load_trained(home / "whole")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "line",
    [
        '{"epoch": "x", "loss": "y"}',
        '{"epoch": 1, "loss": {"a": [1]}}',
        '{"epoch": 1, "loss": %s}' % ("9" * 400),
        '{"epoch": 1, "loss": true}',
        '{"epoch": 1, "loss": 1.0, "diagnoses": [{"rule": 1}]}',
        '{"epoch": 1, "epoch": 2, "loss": 1.0}',
        "[" * 100_000,
    ],
)
def test_a_line_that_is_no_record_is_left_out_of_the_history(home, line):
    whole = read_history(home / "whole")
    with (home / "whole" / "history.jsonl").open("a") as file:
        file.write(line + "\n")
    assert read_history(home / "whole") == whole


def test_metrics_that_are_no_numbers_are_left_out(home):
    path = home / "whole" / "metrics.json"
    path.write_text(json.dumps({"mse": 0.5, "elbo": "\x1b[2J", "x": 10**400, "y": [1]}))
    assert read_metrics(home / "whole") == {"mse": 0.5}
    assert {run["mse"] for run in list_runs(home)} >= {0.5}


# What cannot be read counts as damaged


@pytest.mark.parametrize("ending", ["json", "safetensors"])
@pytest.mark.parametrize("how", ["folder", "pipe", "loop"])
def test_a_checkpoint_that_cannot_be_read_gives_way_to_the_one_before(home, made, ending, how):
    expected = resume(home / "stopped").trained.model.state_dict()
    shutil.rmtree(home / "stopped")
    shutil.copytree(made / "stopped", home / "stopped")
    newest = sorted((home / "stopped" / "resume").glob("0*.json"))[-1].with_suffix(f".{ending}")
    newest.unlink()
    if how == "folder":
        (newest / "inside").mkdir(parents=True)
    elif how == "pipe":
        os.mkfifo(newest)
    else:
        newest.symlink_to(newest.name)
    again = resume(home / "stopped")
    assert again.complete
    assert "going on from the one before it" in again.notices[0]
    for name, value in again.trained.model.state_dict().items():
        assert torch.equal(value, expected[name])
    assert not (home / "stopped" / "resume").exists()


@pytest.mark.parametrize(
    "change", [{"epoch": "x"}, {"step": -1}, {"sums": {"loss": "y"}}, {"extra": 1}]
)
def test_a_checkpoint_of_other_types_is_damaged(home, change):
    newest = sorted((home / "stopped" / "resume").glob("0*.json"))[-1]
    facts = {k: v for k, v in json.loads(newest.read_text()).items() if k != "sha256"}
    facts["state"]["position"] |= change
    newest.write_bytes(seal(facts))
    assert "cannot be used" in resume(home / "stopped").notices[0]
