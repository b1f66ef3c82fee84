"""Training that spreads weights over processes (FSDP2): the result of one process that has them all."""

import pytest
import torch

import sharding_job
from autoencode import DataSpec, build
from autoencode.errors import IncompatibleError
from autoencode.trained import load_trained
from autoencode.training.sharding import refuse_unfit
from torchrun_jobs import TOLERANCE, assert_well, carried_out

# A cross-section of all tests (``make check``) leaves these out, for their jobs take long.
pytestmark = pytest.mark.xdist_group("sharding")


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """The folder of three jobs, and how each of them ended."""
    out = tmp_path_factory.mktemp("jobs")
    sets = ("--set", "hidden=16", "--set", "optimizer=adam", "--set", "shard=true")
    muon = ("--set", "optimizer=muon", "--set", "shard=true")
    command = ("train", "digits", "--recipe", "vae", "--epochs", "2", *sets, "--quiet")
    wanted = {
        "states": {"program": "sharding_job", "command": [out]},
        "run": {"command": [*command, "--out", out / "two", "--checkpoint-every", "0"]},
        "muon": {"command": ["train", "digits", *muon, "--out", out / "muon", "--quiet"]},
    }
    return out, carried_out(wanted)


@pytest.fixture(scope="module")
def two(jobs):
    out, ends = jobs
    assert_well(ends["states"])
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("case", sharding_job.CASES)
def test_two_processes_with_halves_give_the_weights_and_losses_of_one(case, two):
    expected = sharding_job.train(case)
    assert expected.keys() == two[0][case].keys()
    for name, value in expected.items():
        torch.testing.assert_close(two[0][case][name], value, rtol=1e-5, atol=TOLERANCE * 5)


@pytest.mark.parametrize("case", [*sharding_job.CASES, "kept", "resumed"])
def test_both_processes_end_with_the_same_bits(case, two):
    assert two[0][case].keys() == two[1][case].keys()
    for name, value in two[0][case].items():
        assert torch.equal(two[1][case][name], value), name


def test_each_process_holds_half_of_the_layers(two):
    for rank in range(2):
        for parts, all_of_them in (pair.tolist() for pair in two[rank]["sizes"].values()):
            assert 0.4 < parts / all_of_them < 0.65


def test_a_state_that_was_kept_goes_on_to_the_same_bits(two):
    assert two[0]["kept"].keys() == two[0]["vae"].keys()
    for name, value in two[0]["vae"].items():
        assert torch.equal(two[0]["kept"][name], value), name
        assert torch.equal(two[0]["resumed"][name], value), name


def test_a_run_of_two_processes_leaves_a_folder_like_any_other(jobs):
    out, ends = jobs
    assert_well(ends["run"])
    trained = load_trained(out / "two")
    assert trained.recipe.plan.shard
    assert trained.sample(2).shape == (2, 1, 8, 8)


def refused(mention, recipe="vae", **options):
    built = build(recipe, DataSpec((1, 8, 8)), **{"optimizer": "adam", "shard": True, **options})
    with pytest.raises(IncompatibleError, match=mention) as caught:
        refuse_unfit(built.plan, built.updates, built.model)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_sharded_is_refused_in_one_line():
    refused("Muon works on whole matrices; use --set optimizer=adam", optimizer="muon")
    refused("non_finite=skip looks at whole gradients", non_finite="skip")
    refused("compile=true does not see through it", compile=True)


def test_muon_is_refused_by_two_processes_once(jobs):
    out, ends = jobs[0], jobs[1]["muon"]
    assert all(code != 0 for code, _, _ in ends)
    said = "".join(err for _, _, err in ends)
    assert said.count("error: shard=true cannot be used here: Muon") == 1
    assert not (out / "muon").exists()
