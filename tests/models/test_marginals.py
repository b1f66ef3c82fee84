"""The map of draws gives a column the quantiles of training rows and changes no order."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from autoencode import Autoencoder
from autoencode.data.values.moments import column_quantiles
from autoencode.models.marginals import Marginals


def fitted(drawn, real, moved=(True,)):
    marginals = Marginals(len(moved))
    levels = marginals.levels.numpy()
    quantiles = (torch.from_numpy(column_quantiles(x, levels, middle=True)) for x in (drawn, real))
    marginals.fit(*quantiles, torch.tensor(moved))
    return marginals


def test_new_draws_have_the_distribution_of_the_rows_whatever_it_is():
    rng = np.random.default_rng(0)
    zeros = np.where(rng.random((8000, 1)) < 0.6, 0.0, rng.lognormal(size=(8000, 1)))
    marginals = fitted(rng.normal(size=(8000, 1)), zeros)
    brought = marginals(torch.from_numpy(rng.normal(size=(8000, 1)))).numpy()
    assert (brought == 0).mean() == pytest.approx(0.6, abs=0.02)
    assert stats.ks_2samp(brought[brought > 0], zeros[zeros > 0]).statistic < 0.04


def test_the_order_of_draws_stays_and_nothing_leaves_the_range_of_the_rows():
    rng = np.random.default_rng(1)
    real = rng.exponential(size=(500, 1))
    marginals = fitted(rng.normal(size=(500, 1)), real)
    brought = marginals(torch.linspace(-9, 9, 400)[:, None])[:, 0]
    assert (brought.diff() >= 0).all()
    assert brought[0].item() == pytest.approx(real.min(), rel=1e-5)
    assert brought[-1].item() == pytest.approx(real.max(), rel=1e-5)


def test_heavy_tails_keep_their_spread():
    """Where the largest of the rows had the level 1 alone, 7 % were lost in the mean."""
    rng = np.random.default_rng(3)
    ratios = []
    for _ in range(20):
        real = rng.lognormal(sigma=1.2, size=(300, 1))
        marginals = fitted(rng.normal(size=(10_000, 1)), real)
        brought = marginals(torch.from_numpy(rng.normal(size=(20_000, 1)))).numpy()
        ratios.append(brought.std() / real.std())
    assert np.mean(ratios) == pytest.approx(1, abs=0.035)


def test_entries_that_are_no_numbers_stay_as_they_are():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(100, 2))
    draws = torch.from_numpy(rng.normal(size=(100, 2))).float()
    brought = fitted(x, 5 * x, (True, False))(draws)
    assert (brought[:, 1] == draws[:, 1]).all()
    assert (brought[:, 0] != draws[:, 0]).all()


@pytest.mark.parametrize("recipe", ["vae", "mlp"])
def test_columns_of_any_form_are_drawn_in_that_form(recipe, hurried):
    hurried(60)
    rng = np.random.default_rng(0)
    n = 1500
    z = rng.normal(size=n)
    table = pd.DataFrame(
        {
            "skewed": np.exp(z + 0.3 * rng.normal(size=n)),
            "zeros": np.where(rng.random(n) < 0.5, 0.0, np.exp(rng.normal(size=n))).round(2),
            "two": np.where(rng.random(n) < 0.3, 36, 60),
            "bounded": rng.random(n),
            "month": rng.integers(1, 13, n),
            "kind": np.where(z > 0.5, "a", "b"),
        }
    )
    model = Autoencoder(recipe, 3, random_state=0).fit(table)
    drawn = model.sample(n)
    assert set(drawn["two"]) == {36, 60}
    for name in ("skewed", "zeros", "two", "bounded", "month"):
        # Two samples of 1500 from one distribution differ by 0.06 in one of a hundred cases.
        assert stats.ks_2samp(drawn[name], table[name]).statistic < 0.07
    many = model.sample(30 * n)  # a spread of heavy tails is not known from 1500 draws
    for name in ("skewed", "zeros", "two", "bounded", "month"):
        assert 0.92 < many[name].std() / table[name].std() < 1.08
