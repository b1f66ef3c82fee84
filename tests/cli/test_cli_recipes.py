"""Likelihoods and latents from the command line, from the data to what is made of the run."""

import typing

import numpy as np
import pytest

from autoencode.recipes.shared.likelihood import COUNTS, LikelihoodName
from autoencode.trained import load_trained

pytest_plugins = ["cli_runs"]

LIKELIHOODS = sorted({*typing.get_args(LikelihoodName)} - {"auto"})
SMALL = ("--epochs", "1", "--set", "hidden=8", "--set", "latent_dim=2", "--quiet")


@pytest.fixture
def counts(tmp_path):
    """A file of rows as wide as an image of 8 x 8, which are counts."""
    x = np.random.default_rng(0).negative_binomial(3, 0.1, (60, 64))
    header = ",".join(f"gene{i}" for i in range(64))
    np.savetxt(tmp_path / "cells.csv", x, "%d", ",", header=header, comments="")
    np.save(tmp_path / "cells.npy", x)
    return x


@pytest.mark.parametrize("recipe", ["vae", "iwae"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_likelihood_is_reached_by_an_option(cli, table, counts, likelihood, recipe):
    data = "cells.csv" if likelihood in COUNTS else table
    result = cli("train", data, "--recipe", recipe, "--set", f"likelihood={likelihood}", *SMALL)
    assert result.code == 0, result.err
    run = result.out.strip()
    measured = cli("evaluate", run, "--json").json
    assert np.isfinite(measured["elbo"])
    assert load_trained(run).recipe.options["likelihood"] == likelihood


@pytest.mark.parametrize(
    ("data", "stream"), [("cells.csv", ()), ("cells.npy", ()), ("cells.npy", ("--stream",))]
)
def test_counts_come_back_as_counts(cli, counts, data, stream):
    options = ("--recipe", "vae", "--set", "likelihood=negative_binomial", "--set", "latent_dim=2")
    result = cli("train", data, *options, "--epochs", "30", "--quiet", *stream)
    assert result.code == 0, result.err
    run = result.out.strip()
    spec = load_trained(run).spec
    assert (spec.kind, spec.offset, spec.scale) == ("real", (0.0,), (1.0,))
    cli("reconstruct", run, data, "-o", "means.npy")
    means = np.load("means.npy")
    assert means.shape == counts.shape
    assert means.mean() == pytest.approx(counts.mean(), rel=0.1)
    cli("sample", run, "-n", "50", "-o", "made.npy")
    assert np.load("made.npy").min() >= 0


def test_what_is_no_count_is_refused_in_one_line(cli, counts, tmp_path):
    np.save(tmp_path / "halves.npy", counts / 2)
    options = ("--recipe", "vae", "--set", "likelihood=poisson", *SMALL)
    result = cli("train", "halves.npy", *options)
    assert result.code == 2
    assert "needs whole numbers from 0 and these data have" in result.err
    assert result.err.count("\n") == 1
    result = cli("train", "digits", *options)  # pixels, whatever they are read as
    assert result.code == 2
    assert "needs counts 0, 1, 2, ... as they are and these data are scaled" in result.err


def test_a_fixed_scale_is_for_those_that_have_one(cli, table):
    options = ("--recipe", "vae", "--set", "scale=0.1", *SMALL)
    result = cli("train", table, *options, "--set", "likelihood=gaussian_columns")
    assert result.code == 2
    assert "a fixed scale is for likelihood=gaussian, laplace, log_cosh" in result.err
    result = cli("train", table, *options, "--set", "likelihood=laplace")
    assert result.code == 0, result.err
