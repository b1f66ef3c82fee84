"""Many processes train as one: real torchrun jobs on this machine, compared with one process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import parallel_job
from autoencode import parallel
from autoencode.cli import main
from autoencode.errors import OptionError
from autoencode.launch import Place, place
from autoencode.parallel import Share, batch_sum, batch_weight, global_batch
from autoencode.randomness import normal_like, standard_normal, uniform_like
from autoencode.runs import train
from autoencode.trained import load_trained
from torchrun_jobs import (  # noqa: F401
    LAUNCHER,
    MUON_TOLERANCE,
    TOLERANCE,
    _nothing_is_left,
    environment,
    finished,
    process,
    single,
    torchrun,
)


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


# Two processes against one


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    out = tmp_path_factory.mktemp("states")
    code, _, err = finished(torchrun(parallel_job.__file__, out))
    assert code == 0, err
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def one():
    return parallel_job.states()


@pytest.mark.parametrize("case", parallel_job.CASES)
def test_two_processes_give_the_weights_and_losses_of_one(case, one, two):
    assert one[case].keys() == two[0][case].keys()
    for name, value in one[case].items():
        allowed = MUON_TOLERANCE if case == "muon" else TOLERANCE
        torch.testing.assert_close(two[0][case][name], value, rtol=TOLERANCE, atol=allowed)


@pytest.mark.parametrize("case", parallel_job.CASES)
def test_both_processes_have_the_same_bits(case, two):
    for name, value in two[0][case].items():
        assert torch.equal(two[1][case][name], value), name


# The command line under torchrun

TRAIN = ("train", "digits", "--recipe", "vae", "--epochs", "2", "--set", "hidden=16")


def test_the_same_command_under_torchrun_leaves_the_same_run(tmp_path):
    job = torchrun("-m", "autoencode", *TRAIN, "--out", tmp_path / "two", "--quiet")
    code, out, err = finished(job)
    assert code == 0, err
    assert out.splitlines() == [str(tmp_path / "two")]
    assert [path.name for path in tmp_path.iterdir()] == ["two"]
    alone = [sys.executable, "-m", "autoencode", *TRAIN, "--out", tmp_path / "one", "--quiet"]
    subprocess.run(alone, env=environment(), check=True, stdout=subprocess.PIPE)
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-4, atol=1e-4)
    lines = [(tmp_path / name / "history.jsonl").read_text().splitlines() for name in ("one", "two")]
    assert len(lines[0]) == len(lines[1]) == 2


def test_data_that_stay_on_disk_are_shared_out_as_well(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((500, 6), dtype=np.float32))
    options = ("--stream", "--epochs", "3", "--batch-size", "64", "--set", "hidden=8", "--quiet")
    command = ("-m", "autoencode", "train", tmp_path / "x.npy", *options, "--recipe", "vae", "--out")
    for job in (process(*command, tmp_path / "one"), torchrun(*command, tmp_path / "two")):
        code, _, err = finished(job)
        assert code == 0, err
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-5, atol=1e-5)


def test_a_bad_option_is_said_once_and_ends_all_with_code_2(port):
    bad = ("train", "digits", "--recipe", "vea")
    jobs = [single(rank, port, *bad) for rank in range(2)]
    ends = [finished(job) for job in jobs]
    assert [code for code, _, _ in ends] == [2, 2]
    assert "error: unknown recipe 'vea'" in ends[0][2]
    assert ends[1][1:] == ("", "")


def test_bad_data_is_said_once_and_ends_all_with_code_2(port, tmp_path):
    np.save(tmp_path / "bad.npy", np.full((20, 4), np.nan, dtype=np.float32))
    jobs = [single(rank, port, "train", tmp_path / "bad.npy", "--device", "cpu") for rank in range(2)]
    ends = [finished(job) for job in jobs]
    assert [code for code, _, _ in ends] == [2, 2]
    assert ends[0][2].count("error") == 1
    assert "bad.npy" in ends[0][2] or "NaN" in ends[0][2]
    assert ends[1][1:] == ("", "")


def test_a_process_with_another_job_says_so_with_its_number(port, tmp_path):
    jobs = [
        single(rank, port, *TRAIN, "--out", tmp_path / "run", "--seed", rank, "--device", "cpu")
        for rank in range(2)
    ]
    ends = [finished(job) for job in jobs]
    assert ends[1][0] == 2
    assert "error in process 1: process 1 was started for another job than process 0" in ends[1][2]
    assert ends[0][0] == 2
    assert "error: process 1 ended with an error; its message says why" in ends[0][2]
    assert not list(tmp_path.iterdir())


def test_a_command_for_one_process_refuses_torchrun(port):
    code, _, err = finished(single(0, port, "runs"))
    assert code == 2
    assert "runs is for one process; start it without torchrun" in err


def training(tmp_path, *options, **more):
    """A job in the middle of a long training, and its processes by rank."""
    out = ("--out", tmp_path / "run", "--epochs", "100000", "--device", "cpu")
    job = torchrun("-m", "autoencode", *TRAIN, *out, options=options, **more)
    for line in job.stderr:
        if line.startswith("epoch 1/"):
            break
    return job, processes(job.pid)


def processes(parent):
    """The pids of a launcher's processes by rank, as Linux knows them."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                variables = (folder / "environ").read_text().split("\0")
                rank = next((v[5:] for v in variables if v.startswith("RANK=")), None)
                if rank is not None:
                    found[int(rank)] = int(folder.name)
        except (OSError, ValueError, IndexError):
            continue
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux")


@needs_proc
def test_a_killed_process_ends_the_job_with_its_number(tmp_path):
    job, ranks = training(tmp_path)
    os.kill(ranks[1], signal.SIGKILL)
    killed = time.monotonic()
    code, _, err = finished(job, 30)
    assert time.monotonic() - killed < 15
    assert code != 0
    assert re.search(r"rank\s*:\s*1 ", err)
    assert "SIGKILL" in err
    assert not list(tmp_path.iterdir())


@needs_proc
def test_a_process_that_hangs_is_named_when_time_is_up(tmp_path):
    job, ranks = training(tmp_path, AUTOENCODE_TIMEOUT="3")
    os.kill(ranks[1], signal.SIGSTOP)
    for line in job.stderr:
        if line.startswith("error"):
            break
    # torchrun would give the process that hangs 30 seconds to end by itself.
    os.kill(ranks[1], signal.SIGKILL)
    assert "process 1 did not answer for 3 s" in line
    assert finished(job, 30)[0] != 0
    assert not list(tmp_path.iterdir())


@needs_proc
def test_sigterm_stops_all_at_the_same_step_and_saves(tmp_path):
    job, _ = training(tmp_path)
    job.send_signal(signal.SIGTERM)
    finished(job, 60)
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


# Going on


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The weights of a training on two processes that nothing interrupted."""
    out = tmp_path_factory.mktemp("unbroken") / "run"
    code, _, err = finished(torchrun("-m", "autoencode", *LONGER, "--out", out))
    assert code == 0, err
    return load_file(out / "model.safetensors")


LONGER = (*TRAIN, "--epochs", "60", "--device", "cpu", "--checkpoint-every", "0")


def middle(job):
    """Waits until a checkpoint must have been kept."""
    for line in job.stderr:
        if line.startswith("epoch 15/"):
            return
    pytest.fail("training ended too early")


@needs_proc
def test_a_job_that_torchrun_starts_again_ends_with_the_same_bits(tmp_path, unbroken):
    out = tmp_path / "run"
    job = torchrun("-m", "autoencode", *LONGER, "--out", out, options=("--max-restarts=1",))
    middle(job)
    os.kill(processes(job.pid)[1], signal.SIGKILL)
    code, _, err = finished(job)
    assert code == 0, err
    assert_same_bits(load_file(out / "model.safetensors"), unbroken)
    steps = [json.loads(line)["step"] for line in (out / "history.jsonl").read_text().splitlines()]
    assert steps == [12 * (i + 1) for i in range(60)]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@needs_proc
def test_a_stopped_job_goes_on_with_resume_to_the_same_bits(tmp_path, unbroken):
    out = tmp_path / "run"
    job = torchrun("-m", "autoencode", *LONGER, "--out", out)
    middle(job)
    job.send_signal(signal.SIGTERM)
    _, _, err = finished(job)
    assert f"autoencode train --resume {out} goes on" in err
    code, _, err = finished(torchrun("-m", "autoencode", "train", "--resume", out, "--device", "cpu"))
    assert code == 0, err
    assert "not exact" not in err
    assert_same_bits(load_file(out / "model.safetensors"), unbroken)


def assert_same_bits(weights, expected):
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(weights[name], value), name


def test_restarts_without_a_folder_are_refused(port):
    code, _, err = finished(single(0, port, *TRAIN, TORCHELASTIC_MAX_RESTARTS="2"))
    assert code == 2
    assert "--max-restarts needs --out" in err


# Codes of many files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of different lengths, and a run that knows such rows."""
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(0)
    names = []
    for i, n in enumerate((2500, 7, 1300)):
        names.append(folder / f"{i}.npy")
        np.save(names[-1], random.random((n, 6), dtype=np.float32))
    train(str(names[0]), "mlp", out=folder / "run", epochs=1, hidden=(8,), latent_dim=2)
    return folder / "run", names


@pytest.mark.parametrize("n_files", [1, 3])
def test_sharded_embedding_loses_nothing_and_keeps_the_order(n_files, files, tmp_path):
    run, names = files
    whole = load_trained(run)
    expected = np.concatenate([whole.embed(np.load(name)) for name in names[:n_files]])
    job = torchrun("-m", "autoencode", "embed", run, *names[:n_files], "-o", tmp_path / "z.npy")
    code, out, err = finished(job)
    assert code == 0, err
    assert out.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["z.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "z.npy"), expected)


def test_several_files_are_embedded_in_order_by_one_process_too(files, tmp_path, capsys):
    run, names = files
    with pytest.raises(SystemExit) as left:
        main(["embed", str(run), *map(str, names), "-o", str(tmp_path / "z.npy")])
    assert left.value.code == 0
    whole = load_trained(run)
    expected = np.concatenate([whole.embed(np.load(name)) for name in names])
    np.testing.assert_array_equal(np.load(tmp_path / "z.npy"), expected)


def test_a_missing_file_leaves_no_codes(files, tmp_path):
    run, names = files
    missing = tmp_path / "missing.npy"
    job = torchrun("-m", "autoencode", "embed", run, names[0], missing, "-o", tmp_path / "z.npy")
    code, _, err = finished(job)
    assert code != 0
    assert "missing.npy" in err
    assert not list(tmp_path.iterdir())


# In one process nothing changes


def test_alone_everything_is_the_identity():
    x = torch.rand(5, 3)
    assert global_batch(x) is x
    assert batch_sum(x) is x
    assert batch_weight() == 1.0
    with parallel.joined() as group, parallel.sharing(5) as share:
        assert (group.rank, group.world, share) == (0, 1, None)
        assert group.any(True)
        assert not group.any(False)


def test_alone_noise_is_what_torch_draws():
    x = torch.rand(5, 3)
    for ours, theirs in (
        (lambda: standard_normal((5, 3), x, 0), lambda: torch.randn(5, 3)),
        (lambda: normal_like(x), lambda: torch.randn_like(x)),
        (lambda: uniform_like(x), lambda: torch.rand_like(x)),
    ):
        torch.manual_seed(0)
        expected = theirs()
        torch.manual_seed(0)
        assert torch.equal(ours(), expected)


@pytest.mark.parametrize("total", [1, 5, 6])
def test_shares_are_disjoint_and_complete(total):
    whole = torch.arange(total * 2).reshape(total, 2)
    shares = [Share(rank, 3, total) for rank in range(3)]
    rows = [share.of(whole) for share in shares]
    assert [len(part) for part in rows] == [share.rows for share in shares]
    assert sum(share.weight for share in shares) == pytest.approx(1.0)
    assert torch.equal(torch.cat(rows).sort(0).values, whole)
    assert torch.equal(shares[1].of(whole.T, 1), shares[1].of(whole).T)


def test_the_place_is_read_from_the_launchers_variables(monkeypatch):
    for name in LAUNCHER:
        monkeypatch.delenv(name, raising=False)
    assert place() == Place()
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(OptionError, match="RANK is ''; start with torchrun"):
        place()
    monkeypatch.setenv("RANK", "4")
    with pytest.raises(OptionError, match="WORLD_SIZE is 4 and RANK is '4'"):
        place()
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert place() == Place(3, 4, 1)
    monkeypatch.setenv("RANK", "three")
    with pytest.raises(OptionError, match="RANK is 'three'"):
        place()


@pytest.mark.parametrize("device", ["mps", "cuda:1"])
def test_one_device_is_not_shared_by_many(device, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(OptionError, match="cannot be shared by 2 processes"), parallel.joined(device):
        pass
