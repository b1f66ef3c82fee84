"""What cannot be, of recipes, priors and labels: one line that names it, from Python and the shell."""

import numpy as np
import pandas as pd
import pytest
from torch import nn

from autoencode import build, fit_prior, load_data
from autoencode.bottlenecks import OnSphere, Plain
from autoencode.distributions import PowerSpherical
from autoencode.errors import AutoencodeError, DataError, IncompatibleError, OptionError
from autoencode.likelihoods import Gaussian
from autoencode.models import AutoencoderModule
from autoencode.objectives import (
    DoublyReparameterized,
    ImportanceWeighted,
    SemiSupervised,
    StickingTheLanding,
    WeightedSum,
    capacity,
    dip,
    free_bits,
    kl,
    reconstruction,
    total_correlation,
)
from autoencode.priors import UniformOnSphere
from autoencode.recipes import Recipe
from autoencode.runs import training as runs
from autoencode.trained.priors import empty_prior
from autoencode.training import Update
from autoencode.types import DataSpec

pytest_plugins = ["cli_runs"]

QUICK = ("--epochs", "1", "--set", "hidden=8", "--set", "latent_dim=2", "--quiet")


def refused(result, *mentions):
    """One line on stderr, nothing on stdout, exit code 2."""
    assert result.code == 2, result
    assert result.out == ""
    assert result.err.count("\n") == 1, result.err
    assert result.err.startswith("error: ")
    for word in mentions:
        assert word in result.err, result.err


# An objective on a bottleneck that cannot serve it


def recipe_with(objective, bottleneck=None, prior=None):
    model = AutoencoderModule(
        nn.Linear(6, 8), nn.Linear(3, 6), bottleneck or Plain(nn.Linear(8, 3)), Gaussian(1), prior
    )
    return Recipe(model, (Update(objective, (model,)),), DataSpec((6,), "real"))


def bound(**terms):
    return WeightedSum({"reconstruction": reconstruction, **terms})


@pytest.mark.parametrize(
    ("objective", "mention"),
    [
        (bound(kl=kl), "'kl' needs a stochastic bottleneck.*use DiagonalGaussian, or leave"),
        (bound(kl=free_bits(0.1)), "'kl' needs a stochastic bottleneck"),
        (bound(capacity=capacity(lambda progress: 1.0)), "'capacity' needs a stochastic bottleneck"),
        (bound(tc=total_correlation()), "'tc' needs a stochastic bottleneck"),
        (bound(dip=dip(1.0, 1.0, total=True)), "'dip' needs a stochastic bottleneck"),
        (ImportanceWeighted(5), "ImportanceWeighted needs a stochastic bottleneck"),
        (DoublyReparameterized(5), "DoublyReparameterized needs a stochastic bottleneck"),
        (StickingTheLanding(), "StickingTheLanding needs a stochastic bottleneck"),
        (SemiSupervised(0.1, 1.0), "needs a model that guesses classes; use .* recipe m2_vae"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_a_deterministic_bottleneck_is_named_beside_what_it_cannot_serve(objective, mention):
    with pytest.raises(IncompatibleError, match=f"^Plain cannot serve this objective: .*{mention}"):
        recipe_with(objective).check()


@pytest.mark.parametrize("term", [total_correlation(), dip(1.0, 1.0, total=False)])
def test_terms_of_gaussians_refuse_other_posteriors_before_training(term):
    sphere = OnSphere(8, 3, PowerSpherical)
    objective = bound(kl=kl, term=term)
    with pytest.raises(
        IncompatibleError,
        match=r"^OnSphere cannot serve .* 'term' needs a diagonal Gaussian posterior and this one is "
        r"PowerSpherical; use DiagonalGaussian",
    ):
        recipe_with(objective, sphere, UniformOnSphere(3)).check()


@pytest.mark.parametrize(
    ("recipe", "options", "mentions"),
    [
        ("iwae", ["gradient=stl"], ("biased for several samples", "use gradient=dreg")),
        ("ms_ssim_vae", [], ("needs images", "use vae")),
        ("topk", ["k=9", "latent_dim=4"], ("k", "latent_dim")),
    ],
)
def test_options_that_do_not_go_together(cli, table, recipe, options, mentions):
    sets = [part for option in options for part in ("--set", option)]
    refused(cli("train", table, "--recipe", recipe, *sets, "--epochs", "1"), *mentions)
    with pytest.raises(AutoencodeError):
        build(recipe, DataSpec((6,)), **dict(option.split("=") for option in options))


# K = 0


@pytest.mark.parametrize(
    ("recipe", "option"),
    [
        *((name, "n_samples") for name in ("iwae", "miwae", "piwae", "ciwae", "iwae_two_layers")),
        ("miwae", "n_groups"),
        ("topk", "k"),
        ("batch_topk", "k"),
        ("vqvae", "n_codes"),
        ("vamp_vae", "n_components"),
        ("mog_vae", "n_components"),
        ("flow_vae", "n_flows"),
        ("gumbel_vae", "n_variables"),
        ("vae", "latent_dim"),
    ],
)
def test_k_of_zero(cli, table, recipe, option):
    refused(
        cli("train", table, "--recipe", recipe, "--set", f"{option}=0"),
        f"option {option}: must be at least 1, got 0",
    )
    with pytest.raises(OptionError, match=f"option {option}: must be at least 1, got 0"):
        build(recipe, DataSpec((6,)), **{option: 0})


def test_k_of_zero_in_an_objective():
    for make in (ImportanceWeighted, DoublyReparameterized):
        with pytest.raises(IncompatibleError, match="at least one sample, got K = 0"):
            make(0)
        with pytest.raises(IncompatibleError, match="at least one group, got M = 0"):
            make(1, 0)


# Widths


def test_a_code_wider_than_the_data_is_told(cli, table):
    result = cli("train", table, "--recipe", "mlp", *QUICK[:4], "--set", "latent_dim=7", "--quiet")
    assert result.code == 0
    assert "note: a code of 7 numbers for examples of 6 can copy them; use a smaller" in result.err
    run = runs.train(np.load(table), "mlp", hidden=(8,), latent_dim=7, epochs=1)
    assert any("a code of 7 numbers" in notice for notice in run.notices)


def test_a_codebook_larger_than_the_data_is_told(cli, table):
    options = ("--set", "n_codes=64", "--set", "code_dim=4", "--set", "positions=1")
    result = cli("train", table, "--recipe", "vqvae", *options, "--epochs", "1", "--quiet")
    assert result.code == 0, result.err
    assert "note: a codebook of 64 vectors for the 54 codes of the training data; use n_codes=6" in (
        result.err
    )


# Priors


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Runs whose codes are real numbers, integers and points of hyperbolic space."""
    folder = tmp_path_factory.mktemp("runs")
    x = np.random.default_rng(0).random((60, 6)).astype(np.float32)
    np.save(folder / "x.npy", x)
    small = {"epochs": 1, "batch_size": 20}
    options = {
        "vae": {"hidden": (8,), "latent_dim": 2},
        "poincare_vae": {"hidden": (8,), "latent_dim": 2},
        "vqvae": {"hidden": (8,), "n_codes": 4, "code_dim": 2, "positions": 2},
    }
    return {
        name: runs.train(str(folder / "x.npy"), name, out=folder / name, **more, **small)
        for name, more in options.items()
    }


@pytest.mark.parametrize(
    ("recipe", "kind", "mention"),
    [
        ("vae", "autoregressive", "is for integer codes and this model's are real numbers; use gauss"),
        ("vae", "manifold", "draws from the metric of an rhvae and this model has none; use gaussian"),
        ("poincare_vae", "gaussian", "a gaussian prior is one of flat space; keep the model's own"),
        ("poincare_vae", "maf", "a maf prior is one of flat space"),
        ("vqvae", "manifold", "draws from the metric of an rhvae"),
        ("vqvae", "vamp", "diagonal Gaussian posteriors and this one has none; use mixture"),
        ("poincare_vae", "vamp", "a vamp prior is one of flat space"),
        ("vae", "gausian", "unknown prior 'gausian'; did you mean gaussian"),
    ],
)
def test_a_prior_that_is_not_for_this_latent_space(cli, fitted, recipe, kind, mention):
    run = fitted[recipe]
    refused(cli("sample", run.folder, "--prior", kind), mention)
    with pytest.raises((IncompatibleError, OptionError), match=mention.split(";")[0]):
        fit_prior(run.trained, run.data.train, kind=kind)


@pytest.mark.parametrize("kind", ["mixture", "two_stage"])
def test_a_prior_for_codes_that_are_too_wide(kind):
    with pytest.raises(IncompatibleError, match=r"codes of up to \d+ entries, got 5000; use gaussian"):
        empty_prior(kind, (50, 10, 10))


def test_components_are_for_a_mixture(cli, fitted):
    run = fitted["vae"]
    refused(cli("sample", run.folder, "--components", 3), "say --prior mixture")
    refused(
        cli("sample", run.folder, "--prior", "maf", "--components", 3),
        "n_components is for a mixture and prior 'maf' has none",
    )
    refused(cli("sample", run.folder, "--prior", "mixtur", "--components", 3), "did you mean mixture")
    for kind in (None, "gaussian", "vamp"):
        with pytest.raises(IncompatibleError, match="n_components is for a mixture"):
            fit_prior(run.trained, run.data.train, kind=kind, n_components=3)
    with pytest.raises(IncompatibleError, match="at least 1 Gaussian, got 0"):
        fit_prior(run.trained, run.data.train, kind="mixture", n_components=0)


def test_a_prior_for_too_few_codes(fitted):
    run = fitted["vae"]
    few = run.data.train.take(np.arange(12))
    with pytest.raises(DataError, match="a mixture of 10 Gaussians needs at least 20 codes, got 12"):
        fit_prior(run.trained, few, kind="mixture")


# Labels


@pytest.fixture
def labelled(tmp_path):
    """A table of numbers with a column of labels, of which some are missing in another column."""
    rng = np.random.default_rng(0)
    kind = np.where(rng.random(80) < 0.5, "a", "b")
    table = pd.DataFrame(
        {
            "u": np.where(kind == "a", 1.0, 0.0) + 0.1 * rng.normal(size=80),
            "v": rng.normal(size=80),
            "kind": kind,
            "some": np.where(np.arange(80) % 4 == 0, kind, None),
        }
    )
    table.to_csv(tmp_path / "table.csv", index=False)
    return table


SMALL = ("--set", "hidden=16", "--set", "latent_dim=2", "--quiet")
LONGER = ("--epochs", "80", "--batch-size", "6", "--lr", "3e-3")


@pytest.mark.parametrize("recipe", ["cvae", "m2_vae"])
def test_labels_that_are_missing(cli, table, recipe):
    refused(
        cli("train", table, "--recipe", recipe, "--epochs", "1"),
        "labels missing for a conditional recipe: table has none; give",
        "--label COLUMN",
        "use vae",
    )
    with pytest.raises(DataError, match="labels missing for a conditional recipe"):
        runs.train(np.load(table), recipe)
    with pytest.raises(IncompatibleError, match="labels missing for a conditional recipe"):
        build(recipe, DataSpec((6,)))


def test_labels_of_a_table_make_a_recipe_conditional(cli, labelled):
    options = ("--label", "kind", "--drop", "some", "--epochs", "30", *SMALL)
    result = cli("train", "table.csv", "--recipe", "cvae", *options)
    assert result.code == 0, result.err
    run = result.out.strip()
    for label, low, high in (("a", 0.5, 2.0), ("b", -1.0, 0.5)):
        done = cli("sample", run, "-n", "40", "--label", label, "-o", "made.csv")
        assert done.code == 0, done.err
        assert low < pd.read_csv("made.csv")["u"].mean() < high
    cli("embed", run, "-o", "codes.npy")
    done = cli("decode", run, "codes.npy", "--label", "a", "-o", "decoded.csv")
    assert done.code == 0, done.err
    assert pd.read_csv("decoded.csv")["u"].mean() > 0.5
    refused(cli("decode", run, "codes.npy"), "say by --label which class", "(a, b)")
    refused(cli("sample", run, "--label", "c"), "label 'c' is none of the model's classes (a, b)")
    refused(cli("train", "table.csv", "--recipe", "cvae", "--label", "kin"), "no column 'kin'", "kind")
    refused(
        cli("train", "table.csv", "--recipe", "cvae", "--label", "v"),
        "the labels of table have 72 values among 72 examples, which are no classes",
    )


def test_labels_with_gaps_are_for_a_recipe_that_guesses_them(cli, labelled):
    options = ("--label", "some", "--drop", "kind")
    refused(
        cli("train", "table.csv", "--recipe", "cvae", *options),
        "of 72 examples of table have none",
        "use m2_vae, which guesses them",
    )
    result = cli("train", "table.csv", "--recipe", "m2_vae", *options, *LONGER, *SMALL)
    assert result.code == 0, result.err
    run = result.out.strip()
    done = cli("classify", run, "table.csv", "-o", "guesses.csv")
    assert done.code == 0, done.err
    guesses = pd.read_csv("guesses.csv")
    assert list(guesses.columns) == ["label", "p(a)", "p(b)"]
    assert (guesses["label"] == labelled["kind"]).mean() > 0.9
    measured = cli("evaluate", run, "--json").json
    assert measured["label_accuracy"] > 0.5


def test_images_in_a_folder_for_each_class_make_a_recipe_conditional(cli, tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, value in (("dark", 40), ("light", 210)):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for i in range(20):
            pixels = value + rng.integers(-20, 20, (8, 8))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    result = cli("train", "pictures", "--recipe", "cvae", "--epochs", "60", "--batch-size", "6", *SMALL)
    assert result.code == 0, result.err
    run = result.out.strip()
    means = {}
    for label in ("dark", "light"):
        done = cli("sample", run, "-n", "20", "--label", label, "-o", "made.npy")
        assert done.code == 0, done.err
        means[label] = np.load("made.npy").mean()
    assert means["dark"] < 100 < means["light"]
    result = cli("train", "pictures", "--recipe", "m2_vae", "--labels", "4", "--epochs", "1", *SMALL)
    assert result.code == 0, result.err


def test_labels_for_recipes_that_have_none(cli, images, labelled):
    refused(cli("sample", images, "--label", "7"), "--label is for a recipe that is conditional", "vae")
    refused(cli("classify", images), "recipe 'vae' guesses no labels; use m2_vae")
    for recipe in ("vae", "cvae"):
        refused(
            cli("train", "digits", "--recipe", recipe, "--labels", "100"),
            "m2_vae",
        )
    refused(
        cli("train", "digits", "--recipe", "m2_vae", "--labels", "3"), "must lie in 10 (one of each"
    )
    refused(
        cli("train", "digits", "--recipe", "m2_vae", "--labels", "0"), "must lie in 10 (one of each"
    )
    refused(cli("classify", images, "-o", "labels.png"), "its ending must be .csv")
    data = load_data("digits")
    assert data.spec.labelled is None
