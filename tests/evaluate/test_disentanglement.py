"""Disentanglement: known answers of every measure, and their closed forms where there are some."""

import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoencode.data import Data, Examples, Factors, load_data
from autoencode.errors import DataError, OptionError
from autoencode.evaluate.card import card
from autoencode.evaluate.case import Case
from autoencode.evaluate.codes import Codes, codes_of
from autoencode.evaluate.disentanglement import (
    FIGURES,
    _balanced_accuracy,
    beta_vae_score,
    dci,
    factor_vae_score,
    measure,
    sap,
)
from autoencode.evaluate.factors import (
    entropies,
    gaps,
    mig,
    modularity,
    mutual_information,
    posterior_information,
    posterior_mig,
)
from autoencode.recipes import build
from autoencode.runs import train
from autoencode.trained import Trained
from autoencode.types import DataSpec

COUNTS = (3, 6, 5, 8)
GRID = np.indices(COUNTS).reshape(len(COUNTS), -1).T  # every combination once
N, F = GRID.shape
FEW = {"n_train": 600, "n_test": 300}


def dci_part(name, codes, factors):
    return getattr(dci(codes, factors), name)


def narrow(codes):
    """Standard deviations of 2 % of each dimension's range."""
    span = np.ptp(codes, axis=0)
    return np.broadcast_to(0.02 * np.where(span > 0, span, 1.0), codes.shape)


MEASURES = {
    "mig": mig,
    "posterior_mig": lambda codes, factors: posterior_mig(codes, narrow(codes), factors),
    "modularity": modularity,
    "sap": sap,
    "disentanglement": functools.partial(dci_part, "disentanglement"),
    "completeness": functools.partial(dci_part, "completeness"),
    "informativeness": functools.partial(dci_part, "informativeness"),
    "factor_vae": functools.partial(factor_vae_score, **FEW),
    "beta_vae": functools.partial(beta_vae_score, **FEW),
}
each_measure = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


def rotated(seed=0):
    """Every dimension a mixture of all factors, each of variance 1, in equal parts."""
    z = (GRID - GRID.mean(axis=0)) / GRID.std(axis=0)
    hadamard = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    return z @ hadamard


# Known answers


@each_measure
def test_one_dimension_for_each_factor_is_perfect(measure):
    codes = GRID[:, [2, 0, 3, 1]] * [1.0, -2.0, 5.0, 0.1]
    assert measure(codes, GRID) == pytest.approx(1.0, abs=1e-3)


@each_measure
def test_dimensions_that_never_vary_do_not_matter(measure):
    codes = np.insert(GRID.astype(float), 2, 7.0, axis=1)
    assert measure(codes, GRID) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    "name",
    ["mig", "posterior_mig", "sap", "disentanglement", "completeness", "informativeness", "factor_vae"],
)
def test_noise_beside_a_perfect_code_does_not_matter(name):
    noise = np.random.default_rng(0).normal(size=(N, 3))
    codes = np.concatenate([noise, GRID], axis=1)
    assert MEASURES[name](codes, GRID) > 0.95


def test_mixed_factors_score_low():
    codes = rotated()
    assert mig(codes, GRID) < 0.05
    assert posterior_mig(codes, 0.1 * np.ones_like(codes), GRID) < 0.05
    assert sap(codes, GRID) < 0.01
    found = dci(codes, GRID)
    assert found.disentanglement < 0.1
    assert found.completeness < 0.1
    assert modularity(codes, GRID) < 0.4
    assert factor_vae_score(codes, GRID, **FEW) < 0.5


def test_codes_that_say_nothing_are_no_better_than_guessing():
    factors = np.tile(GRID, (8, 1))
    codes = np.random.default_rng(1).normal(size=(len(factors), 5))
    assert mig(codes, factors) < 0.02
    assert sap(codes, factors) < 0.005
    assert posterior_mig(codes, np.ones_like(codes), factors) < 0.02
    found = dci(codes, factors)
    assert found.disentanglement < 0.1
    assert found.completeness < 0.1
    guessing = np.mean([1 / count for count in COUNTS])
    assert found.informativeness == pytest.approx(guessing, abs=0.03)
    for score in (factor_vae_score, beta_vae_score):
        assert score(codes, factors, n_train=2000, n_test=2000) == pytest.approx(1 / F, abs=0.06)


def test_a_factor_in_two_dimensions_has_no_gap_and_costs_completeness_only():
    codes = np.concatenate([GRID, GRID[:, 3:]], axis=1)
    three_of_four = 0.75
    assert mig(codes, GRID) == pytest.approx(three_of_four)
    assert sap(codes, GRID) == pytest.approx(three_of_four)
    assert modularity(codes, GRID) == pytest.approx(1.0)
    found = dci(codes, GRID)
    assert found.disentanglement == pytest.approx(1.0, abs=1e-6)
    # The forest splits its importance between the two: an entropy of log 2 of at most log 5.
    assert found.completeness == pytest.approx(1 - math.log(2) / math.log(5) / 4, abs=0.01)


def test_a_dimension_about_two_factors_costs_modularity_and_disentanglement():
    """The halves of 0..7 in one dimension with all of another factor: its information is known."""
    codes = GRID.astype(float)
    codes[:, 0] = 3 * (GRID[:, 3] >= 4) + GRID[:, 0]
    information = mutual_information(codes, GRID)
    assert information[0, 0] == pytest.approx(math.log(3))
    assert information[0, 3] == pytest.approx(math.log(2))
    lost = (math.log(2) / math.log(3)) ** 2 / (F - 1)
    assert modularity(codes, GRID) == pytest.approx((4 - lost) / 4)
    assert mig(codes, GRID) == pytest.approx((3 + 1 - math.log(2) / math.log(8)) / 4)
    found = dci(codes, GRID)
    assert found.disentanglement < 1


@each_measure
def test_order_direction_and_scale_of_dimensions_change_nothing(measure):
    rng = np.random.default_rng(2)
    codes = np.concatenate(
        [GRID + rng.normal(scale=0.3, size=GRID.shape), rng.normal(size=(N, 1))], axis=1
    )
    other = codes[:, [4, 2, 0, 3, 1]] * [2.0**-9, 2.0, -(2.0**20), 1.0, -1.0]
    # A forest draws which dimensions it looks at, by their numbers.
    near = (
        0.05
        if measure in [MEASURES[n] for n in ("disentanglement", "completeness", "informativeness")]
        else 0.01
    )
    assert measure(other, GRID) == pytest.approx(measure(codes, GRID), abs=near)


@each_measure
def test_the_same_codes_give_the_same_figure(measure):
    codes = GRID + np.random.default_rng(3).normal(size=GRID.shape)
    assert measure(codes, GRID) == measure(codes, GRID)


# Information


def test_entropies_are_those_of_the_counts():
    np.testing.assert_allclose(entropies(GRID), np.log(COUNTS))
    np.testing.assert_allclose(entropies([[0], [0], [0], [1]]), [2 * math.log(2) - 0.75 * math.log(3)])


@given(st.integers(0, 1000), st.integers(2, 6))
def test_histograms_agree_with_scikit_learn(seed, bins):
    from sklearn.metrics import mutual_info_score

    rng = np.random.default_rng(seed)
    factors = rng.integers(0, 3, (60, 2))
    codes = rng.normal(size=(60, 3)) + factors[:, :1]
    if (factors.max(axis=0) == factors.min(axis=0)).any():
        return
    found = mutual_information(codes, factors, bins)
    for j in range(3):
        edges = np.linspace(codes[:, j].min(), codes[:, j].max(), bins + 1)[1:-1]
        cells = np.searchsorted(edges, codes[:, j], side="right")
        for k in range(2):
            assert found[j, k] == pytest.approx(mutual_info_score(cells, factors[:, k]), abs=1e-9)


def test_posterior_information_agrees_with_monte_carlo():
    """I = E log q(z|v) - E log q(z), of draws from q."""
    rng = np.random.default_rng(4)
    factors = np.tile(np.arange(4), 25)[:, None]
    loc = factors[:, 0] + 0.5 * rng.normal(size=100)
    scale = np.exp(rng.normal(scale=0.5, size=100)) / 2
    found = posterior_information(loc[:, None], scale[:, None], factors)[0, 0]

    rows = rng.integers(100, size=20_000)
    z = loc[rows] + scale[rows] * rng.normal(size=len(rows))
    densities = np.exp(-0.5 * ((z[:, None] - loc) / scale) ** 2) / scale
    same = factors[rows] == factors[:, 0]
    ratio = np.log((densities * same).sum(1) / same.sum(1)) - np.log(densities.mean(1))
    assert found == pytest.approx(ratio.mean(), abs=4 * ratio.std() / math.sqrt(len(ratio)))


def test_posteriors_far_apart_say_all_and_equal_ones_nothing():
    factors = np.repeat(np.arange(5), 20)[:, None]
    apart = posterior_information(10.0 * factors, np.ones((100, 1)), factors)
    assert apart[0, 0] == pytest.approx(math.log(5), abs=1e-5)
    same = posterior_information(np.zeros((100, 1)), np.ones((100, 1)), factors)
    assert same[0, 0] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(gaps(apart, factors), [1.0], atol=1e-5)


def test_a_posterior_knows_less_than_its_mean():
    codes = GRID.astype(float)
    assert posterior_mig(codes, np.ones_like(codes), GRID) < 0.8 < mig(codes, GRID)


# SAP


@given(st.integers(0, 10_000))
def test_thresholds_are_the_best_there_are(seed):
    """Against every pair of thresholds and every guess in the three intervals."""
    rng = np.random.default_rng(seed)
    known = np.concatenate([[0, 1, 2], rng.integers(0, 3, 6)])
    z = rng.integers(0, 5, 9).astype(float)  # with equal codes, which no threshold can tell apart
    cuts = np.arange(-0.5, 5)
    best = 0.0
    for low in cuts:
        for high in cuts[cuts >= low]:
            interval = (z > low).astype(int) + (z > high)
            for guess in np.ndindex(3, 3, 3):
                right = np.array(guess)[interval] == known
                best = max(best, np.mean([right[known == c].mean() for c in range(3)]))
    assert _balanced_accuracy(z, known) == pytest.approx(best)


def test_a_category_is_told_by_thresholds_in_any_order():
    codes = GRID.astype(float)
    codes[:, 0] = np.array([2.0, 0.0, 1.0])[GRID[:, 0]]
    one_third = (3 + 1 - 1 / 3) / 4
    assert sap(codes, GRID, unordered=[0]) == pytest.approx(one_third)
    assert sap(codes, GRID) < one_third


# DCI and the scores of sets


def test_dci_weighs_dimensions_by_what_they_matter():
    """The importances of a perfect code are the identity."""
    found = dci(GRID, GRID)
    np.testing.assert_allclose(found.importance, np.eye(F), atol=1e-9)


def test_boosted_trees_find_the_same():
    codes = np.concatenate([GRID, rotated()], axis=1)[:, :5]
    found = dci(codes, GRID, trees="boosted", n_train=300, n_test=100)
    assert found.informativeness > 0.95
    assert found.completeness > 0.9


def test_dimensions_that_collapsed_can_be_left_out_of_the_votes():
    """A dimension that hardly varies says nothing, but what it says is steady."""
    rng = np.random.default_rng(5)
    codes = np.concatenate([GRID + rng.normal(scale=2.0, size=GRID.shape), 1e-6 * GRID[:, :1]], axis=1)
    with_it = factor_vae_score(codes, GRID, **FEW)
    without = factor_vae_score(codes, GRID, active=[True] * 4 + [False], **FEW)
    assert without < with_it
    assert factor_vae_score(codes, GRID, active=[False] * 5, **FEW) == 0.0


def test_a_code_of_nothing_scores_nothing():
    codes = np.ones((N, 2))
    assert mig(codes, GRID) == modularity(codes, GRID) == sap(codes, GRID) == 0
    assert factor_vae_score(codes, GRID, **FEW) == 0
    found = dci(codes, GRID)
    assert found.disentanglement == found.completeness == 0


# Refusals


@pytest.mark.parametrize("function", [mig, modularity, sap, dci, factor_vae_score, beta_vae_score])
@pytest.mark.parametrize(
    ("codes", "factors", "says"),
    [
        (np.ones((3, 2)), np.ones((4, 2)), "a row for each example"),
        (np.ones(3), np.ones((3, 2)), "a row for each example"),
        (np.full((4, 2), np.nan), [[0, 0], [0, 1], [1, 0], [1, 1]], "not finite"),
        (np.ones((4, 2)), Factors(np.array([[0, 0], [0, 1]] * 2), ("size", "x")), "factor size"),
        (np.ones((4, 2)), [[0, 0], [0, 1]] * 2, "number 0"),
    ],
)
def test_what_does_not_fit_is_refused(function, codes, factors, says):
    with pytest.raises(DataError, match=says):
        function(codes, factors)


def test_measures_that_compare_factors_need_two():
    one = [[0], [1], [1], [0]]
    for function in (modularity, beta_vae_score, dci):
        with pytest.raises(DataError, match=r"one|two"):
            function(np.ones((4, 2)), one)
    with pytest.raises(DataError, match="positive"):
        posterior_mig(np.ones((4, 1)), np.zeros((4, 1)), one)
    with pytest.raises(OptionError, match="forest or boosted"):
        dci(GRID, GRID, trees="oak")


def test_the_card_has_a_section_for_examples_of_known_factors():
    data = load_data("sprites")
    few = data.test.take(np.arange(300))
    recipe = build("beta_tcvae", data.spec, latent_dim=4)
    found = card(Case(Trained(recipe), few), only=["disentanglement"])
    assert [entry.measure.name for entry in found.entries] == ["factors"]
    assert all(0 <= value <= 1 for value in found.values.values() if value is not None)
    unknown = card(Case(Trained(recipe), Examples(few.x)), only=["disentanglement"])
    assert set(unknown.values.values()) == {None}
    assert unknown.as_dict()["absent"] == {"factors": "what the examples were made from is not known"}


# Models


@pytest.fixture(scope="module")
def made():
    """Images of two known factors: how bright the left and the right half are."""
    levels = np.indices((8, 8)).reshape(2, -1).T
    x = np.repeat(levels[:, None, None, :], 4, axis=2).repeat(2, axis=3).astype(np.float32) / 7
    data = Data("made", Examples(x), None, DataSpec((1, 4, 4)))
    return data, Factors(np.insert(levels, 1, 0, axis=1), ("left", "nothing", "right"))


@pytest.mark.parametrize(
    ("recipe", "options", "with_posterior"),
    [
        ("vae", {"latent_dim": 3}, True),
        ("beta_tcvae", {"latent_dim": 3}, True),
        ("mlp", {"latent_dim": 3}, False),
        ("iwae_two_layers", {}, False),
        ("iaf_vae", {"latent_dim": 3}, False),
        ("vmf_vae", {"latent_dim": 3}, False),
        ("fsq", {}, False),
    ],
)
def test_every_model_with_a_code_can_be_measured(made, recipe, options, with_posterior):
    data, factors = made
    run = train(data, recipe, epochs=1, device="cpu", validation=0.0, **options)
    state = torch.random.get_rng_state()
    codes = codes_of(run.trained, data.train)
    assert torch.equal(torch.random.get_rng_state(), state)
    embedded = run.trained.embed(data.train)
    np.testing.assert_allclose(codes.z, embedded.reshape(len(embedded), -1), rtol=1e-6)
    assert (codes.scale is not None) == with_posterior
    found = measure(codes, factors)
    assert list(found) == [figure.name for figure in FIGURES]
    absent = set() if with_posterior else {"posterior_mig"}
    if codes.active.sum() == 1:
        absent |= {"disentanglement", "completeness", "informativeness"}
    assert {name for name, value in found.items() if value is None} == absent
    assert all(0 <= value <= 1 for value in found.values() if value is not None)


def test_a_model_with_one_dimension_for_each_factor_is_perfect(made):
    factors = made[1].take(np.tile(np.arange(64), 10))
    found = measure(Codes(factors.values[:, [0, 2]] - 3.5, np.full((640, 2), 0.05)), factors)
    assert {name: value for name, value in found.items() if value < 0.98} == {}


def test_dimensions_that_collapsed_are_not_looked_at(made):
    """One that says all of a factor, too quietly for any decoder to hear."""
    _, factors = made
    z = np.stack([factors.values[:, 0], factors.values[:, 2], 1e-3 * factors.values[:, 2]], axis=1)
    loud = Codes(z, np.full(z.shape, 0.05), np.array([2.0, 2.0, 2.0]))
    quiet = Codes(z, np.full(z.shape, 0.05), np.array([2.0, 2.0, 1e-5]))
    assert measure(loud, factors)["mig"] == pytest.approx(0.5)
    assert measure(quiet, factors)["mig"] == pytest.approx(1.0)
    silent = Codes(z, np.ones(z.shape), np.zeros(3))
    assert set(measure(silent, factors).values()) == {0.0}


def test_one_factor_leaves_out_what_compares_factors(made):
    _, factors = made
    found = measure(Codes(factors.values[:, :1].astype(float)), factors.of(["left"]))
    assert found["mig"] == pytest.approx(1.0)
    assert {name for name, value in found.items() if value is not None} == {"mig", "sap"}
