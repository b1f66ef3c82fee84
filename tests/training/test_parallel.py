"""Many processes train as one: real torchrun jobs on this machine, compared with one process."""

import json
import os
import re
import signal
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
from own_recipe import MINE
from torchrun_jobs import (  # noqa: F401
    LAUNCHER,
    MUON_TOLERANCE,
    TOLERANCE,
    _nothing_is_left,
    assert_well,
    carried_out,
    finished,
    torchrun,
)

# A cross-section of all tests (``make check``) leaves these out, for their jobs take long.
pytestmark = pytest.mark.xdist_group("parallel")

HELPERS = Path(__file__).parents[1] / "helpers"
TRAIN = ("train", "digits", "--recipe", "vae", "--epochs", "2", "--set", "hidden=16")
LONGER = (*TRAIN, "--epochs", "5", "--device", "cpu", "--checkpoint-every", "0")
STREAM = ("--stream", "--epochs", "3", "--batch-size", "64", "--set", "hidden=8", "--quiet")


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


@pytest.fixture(scope="module")
def jobs(tmp_path_factory, files):
    """The folder of many jobs, and how each of them ended."""
    out = tmp_path_factory.mktemp("jobs")
    run, names = files
    np.save(out / "bad.npy", np.full((20, 4), np.nan, dtype=np.float32))
    np.save(out / "x.npy", np.random.default_rng(0).random((500, 6), dtype=np.float32))
    for name in ("other", "hangs", "missing", "own", "both", "restarted"):
        (out / name).mkdir()
    (out / "own/mine.py").write_text(MINE)
    streamed = ("train", out / "x.npy", *STREAM, "--recipe", "vae", "--out")
    seeds = (*TRAIN, "--out", out / "other/run", "--seed", "{rank}", "--device", "cpu")
    endless = (*TRAIN, "--out", out / "hangs/run", "--epochs", "100000", "--device", "cpu")
    wanted = {
        "states": {"program": "parallel_job", "command": [out]},
        "alone": {"command": [*TRAIN, "--out", out / "alone", "--quiet"], "world": 1},
        "disk alone": {"command": [*streamed, out / "disk1"], "world": 1},
        "disk": {"command": [*streamed, out / "disk2"]},
        "bad option": {"command": ["train", "digits", "--recipe", "vea"]},
        "bad data": {"command": ["train", out / "bad.npy", "--device", "cpu"]},
        "other": {"command": seeds},
        "for one": {"command": ["runs"]},
        "two": {"command": [*TRAIN, "--out", out / "both/two", "--quiet"]},
        "own": {
            "command": ["train", "digits", "--recipe", "mine:tiny", "--quiet"],
            "folder": str(out / "own"),
        },
        "hangs": {
            "command": endless,
            "interrupt": [1, signal.SIGSTOP, 5],
            "variables": {"AUTOENCODE_TIMEOUT": "3"},
        },
        "unbroken": {"command": [*LONGER, "--out", out / "unbroken"]},
        "killed": {
            "command": [*LONGER, "--out", out / "restarted/run"],
            "interrupt": [1, signal.SIGKILL, 30],
            "variables": {"TORCHELASTIC_MAX_RESTARTS": "1", "AUTOENCODE_TIMEOUT": "20"},
        },
        "started again": {
            "command": [*LONGER, "--out", out / "restarted/run"],
            "variables": {"TORCHELASTIC_MAX_RESTARTS": "1", "TORCHELASTIC_RESTART_COUNT": "1"},
        },
        "stopped": {
            "command": [*LONGER, "--out", out / "stopped"],
            "interrupt": [1, signal.SIGTERM, 30],
        },
        "resumed": {"command": ["train", "--resume", out / "stopped", "--device", "cpu"]},
        "restarts": {"command": TRAIN, "variables": {"TORCHELASTIC_MAX_RESTARTS": "2"}},
        "embed 1": {"command": ["embed", run, names[0], "-o", out / "z1.npy"]},
        "embed 3": {"command": ["embed", run, *names, "-o", out / "z3.npy"]},
        "missing": {"command": ["embed", run, names[0], out / "no.npy", "-o", out / "missing/z.npy"]},
    }
    return out, carried_out(wanted)


# Two processes against one


@pytest.fixture(scope="module")
def two(jobs):
    out, ends = jobs
    assert_well(ends["states"])
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def one():
    return parallel_job.states()


@pytest.mark.parametrize("case", parallel_job.CASES)
def test_two_processes_give_the_weights_and_losses_of_one(case, one, two):
    assert one[case].keys() == two[0][case].keys()
    for name, value in one[case].items():
        allowed = MUON_TOLERANCE if case == "muon" else TOLERANCE
        # Losses divide errors by narrow scales: they differ by more than the weights that gave them.
        near = TOLERANCE if value.ndim else 100 * TOLERANCE
        torch.testing.assert_close(two[0][case][name], value, rtol=near, atol=allowed)


@pytest.mark.parametrize("case", parallel_job.CASES)
def test_both_processes_have_the_same_bits(case, two):
    for name, value in two[0][case].items():
        assert torch.equal(two[1][case][name], value), name


# The command line under torchrun


def assert_close(one, other, tolerance):
    weights = [load_file(folder / "model.safetensors") for folder in (one, other)]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=tolerance, atol=tolerance)


def test_the_same_command_as_two_processes_leaves_the_same_run(jobs):
    out, ends = jobs
    alone, two = out / "alone", out / "both/two"
    for name in ("alone", "two"):
        assert_well(ends[name])
    assert [said.splitlines() for _, said, _ in ends["two"]] == [[str(two)], []]
    assert [path.name for path in (out / "both").iterdir()] == ["two"]
    assert_close(alone, two, 1e-4)
    lines = [(f / "history.jsonl").read_text().splitlines() for f in (alone, two)]
    assert len(lines[0]) == len(lines[1]) == 2


def test_data_that_stay_on_disk_are_shared_out_as_well(jobs):
    out, ends = jobs
    for name in ("disk alone", "disk"):
        assert_well(ends[name])
    assert_close(out / "disk1", out / "disk2", 1e-5)


def test_a_bad_option_is_said_once_and_ends_all_with_code_2(jobs):
    ends = jobs[1]["bad option"]
    assert [code for code, _, _ in ends] == [2, 2]
    assert "error: unknown recipe 'vea'" in ends[0][2]
    assert ends[1][1:] == ("", "")


def test_bad_data_is_said_once_and_ends_all_with_code_2(jobs):
    ends = jobs[1]["bad data"]
    assert [code for code, _, _ in ends] == [2, 2]
    assert ends[0][2].count("error") == 1
    assert "bad.npy" in ends[0][2] or "NaN" in ends[0][2]
    assert ends[1][1:] == ("", "")


def test_a_process_with_another_job_says_so_with_its_number(jobs):
    out, ends = jobs[0], jobs[1]["other"]
    assert ends[1][0] == 2
    assert "error in process 1: process 1 was started for another job than process 0" in ends[1][2]
    assert ends[0][0] == 2
    assert "error: process 1 ended with an error; its message says why" in ends[0][2]
    assert not list((out / "other").iterdir())


def test_a_command_for_one_process_refuses_torchrun(jobs):
    code, _, err = jobs[1]["for one"][0]
    assert code == 2
    assert "runs is for one process; start it without torchrun" in err


def test_every_process_imports_a_recipe_of_ones_own_by_its_name(jobs):
    out, ends = jobs[0], jobs[1]["own"]
    assert_well(ends)
    assert [said.strip() for _, said, _ in ends] == ["runs/digits-tiny", ""]
    assert (out / "own/runs/digits-tiny/model.safetensors").exists()


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


def test_torchrun_itself_ends_well_and_leaves_the_run(tmp_path):
    """The other jobs are forked with torchrun's variables, which says nothing of how it ends."""
    code, _, err = finished(torchrun("-m", "autoencode", *TRAIN, "--out", tmp_path / "run", "--quiet"))
    assert code == 0, err
    assert load_trained(tmp_path / "run").info["environment"]["processes"] == 2


@needs_proc
def test_a_killed_process_ends_the_job_with_its_number(tmp_path):
    job, ranks = training(tmp_path)
    os.kill(ranks[1], signal.SIGKILL)
    code, _, err = finished(job)
    assert code != 0
    assert re.search(r"rank\s*:\s*1 ", err)
    assert "SIGKILL" in err
    assert not list(tmp_path.iterdir())


def test_a_process_that_hangs_is_named_when_time_is_up(jobs):
    out, ends = jobs[0], jobs[1]["hangs"]
    assert ends[0][0] != 0
    assert "error: process 1 did not answer for 3 s" in ends[0][2]
    assert not list((out / "hangs").iterdir())


@pytest.mark.slow
@needs_proc
def test_sigterm_stops_all_at_the_same_step_and_saves(tmp_path):
    job, _ = training(tmp_path)
    job.send_signal(signal.SIGTERM)
    finished(job)
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


# Going on


@pytest.fixture(scope="module")
def unbroken(jobs):
    """The weights of a training on two processes that nothing interrupted."""
    out, ends = jobs
    assert_well(ends["unbroken"])
    return load_file(out / "unbroken" / "model.safetensors")


def test_a_job_that_is_started_again_as_torchrun_does_ends_with_the_same_bits(jobs, unbroken):
    out, ends = jobs
    assert ends["killed"][1][0] == -signal.SIGKILL
    assert_well(ends["started again"])
    assert_continued(out / "restarted", unbroken)


def assert_continued(folder, unbroken):
    """The run in this folder was trained to its end once, and is all there is."""
    assert_same_bits(load_file(folder / "run/model.safetensors"), unbroken)
    lines = (folder / "run/history.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [12 * (i + 1) for i in range(5)]
    assert [path.name for path in folder.iterdir()] == ["run"]


@pytest.mark.slow
def test_a_job_that_torchrun_starts_again_ends_with_the_same_bits(tmp_path, unbroken):
    out = tmp_path / "run"
    killed = (HELPERS / "interrupted.py", int(signal.SIGKILL), 30)
    job = torchrun(*killed, *LONGER, "--out", out, options=("--max-restarts=1",))
    code, _, err = finished(job)
    assert code == 0, err
    assert "SIGKILL" in err or "exitcode: -9" in err
    assert_continued(tmp_path, unbroken)


def test_a_stopped_job_goes_on_with_resume_to_the_same_bits(jobs, unbroken):
    out, ends = jobs
    assert f"autoencode train --resume {out / 'stopped'} goes on" in ends["stopped"][0][2]
    assert_well(ends["resumed"])
    assert "not exact" not in ends["resumed"][0][2]
    assert_same_bits(load_file(out / "stopped/model.safetensors"), unbroken)


def assert_same_bits(weights, expected):
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(weights[name], value), name


def test_restarts_without_a_folder_are_refused(jobs):
    code, _, err = jobs[1]["restarts"][0]
    assert code == 2
    assert "--max-restarts needs --out" in err


# Codes of many files


@pytest.mark.parametrize("n_files", [1, 3])
def test_sharded_embedding_loses_nothing_and_keeps_the_order(n_files, files, jobs):
    run, names = files
    whole = load_trained(run)
    expected = np.concatenate([whole.embed(np.load(name)) for name in names[:n_files]])
    out, ends = jobs[0], jobs[1][f"embed {n_files}"]
    assert_well(ends)
    assert "".join(said for _, said, _ in ends).count("\n") == 1
    np.testing.assert_array_equal(np.load(out / f"z{n_files}.npy"), expected)
    assert {path.name for path in out.glob("*z*")} == {"z1.npy", "z3.npy"}


def test_several_files_are_embedded_in_order_by_one_process_too(files, tmp_path, capsys):
    run, names = files
    with pytest.raises(SystemExit) as left:
        main(["embed", str(run), *map(str, names), "-o", str(tmp_path / "z.npy")])
    assert left.value.code == 0
    whole = load_trained(run)
    expected = np.concatenate([whole.embed(np.load(name)) for name in names])
    np.testing.assert_array_equal(np.load(tmp_path / "z.npy"), expected)


def test_a_missing_file_leaves_no_codes(jobs):
    out, ends = jobs[0], jobs[1]["missing"]
    assert all(code != 0 for code, _, _ in ends)
    assert "no.npy" in "".join(err for _, _, err in ends)
    assert not list((out / "missing").iterdir())


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
