"""Filling gaps: against closed forms and simpler rules, with what is known left as it is."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencode import Autoencoder
from autoencode.data import prepare
from autoencode.data.values.apply_spec import apply_spec

SHARE = 0.2


def low_rank(n: int, seed: int = 0, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Draws (n, 10) of a Gaussian of rank 3 with noise, and its covariance; variances are 1."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(3, 10))
    covariance = weights.T @ weights + noise**2 * np.eye(10)
    scale = np.sqrt(np.diag(covariance))
    covariance = covariance / np.outer(scale, scale)
    return rng.multivariate_normal(np.zeros(10), covariance, size=n), covariance


def with_gaps(x: np.ndarray, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    hidden = np.random.default_rng(seed).random(x.shape) < SHARE
    return np.where(hidden, np.nan, x), hidden


def conditional(x: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each missing entry given the known ones of its row, exactly."""
    mean, deviation = x.copy(), np.zeros_like(x)
    for row in range(len(x)):
        gone = np.isnan(x[row])
        across = covariance[np.ix_(gone, ~gone)]
        solved = np.linalg.solve(covariance[np.ix_(~gone, ~gone)], across.T).T
        mean[row, gone] = solved @ x[row, ~gone]
        left = covariance[np.ix_(gone, gone)] - solved @ across.T
        deviation[row, gone] = np.sqrt(np.diag(left))
    return mean, deviation


def rmse(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    return float(np.sqrt(np.square(a - b)[where].mean()))


# --- ground truth -------------------------------------------------------------------------------


def test_gaps_of_a_gaussian_are_filled_nearly_as_well_as_can_be(hurried):
    hurried(1000)
    x, covariance = low_rank(2000)
    given_x, hidden = with_gaps(x)
    best, deviation = conditional(given_x, covariance)
    bound = float(np.sqrt(np.square(deviation[hidden]).mean()))
    filled = Autoencoder(random_state=0).fit(given_x).impute(given_x)
    of_mean = rmse(np.zeros_like(x), x, hidden)
    assert rmse(best, x, hidden) == pytest.approx(bound, rel=0.05)
    assert rmse(filled, x, hidden) < 1.12 * bound < 0.6 * of_mean
    # Half of a twentieth of the variance away from the conditional expectation itself.
    assert rmse(filled, best, hidden) < 0.25 * of_mean


def test_the_spread_of_draws_is_that_of_the_truth():
    x, covariance = low_rank(1000)
    given_x, hidden = with_gaps(x)
    _, deviation = conditional(given_x, covariance)
    options = {"likelihood": "gaussian_learned", "hidden": (64,)}
    model = Autoencoder("vae", 4, options=options, random_state=0).fit(given_x)
    draws = np.stack(model.impute(given_x, n_draws=19))
    spread = draws.std(axis=0, ddof=1)[hidden]
    assert spread.mean() == pytest.approx(deviation[hidden].mean(), rel=0.2)
    # Draws are wider where more is left open.
    assert np.corrcoef(spread, deviation[hidden])[0, 1] > 0.6
    # Among 19 calibrated draws the truth has each of 20 ranks as often; 18 of these lie inside.
    below = (draws < x).sum(axis=0)[hidden]
    assert ((below > 0) & (below < 19)).mean() == pytest.approx(0.9, abs=0.08)


def test_categories_are_filled_better_than_by_the_most_frequent(hurried):
    hurried(500)
    rng = np.random.default_rng(0)
    z = rng.normal(size=1500)
    kind = np.array(["low", "middle", "high"])[np.digitize(z, [-0.5, 0.8])]
    table = pd.DataFrame(
        {
            "size": z + 0.2 * rng.normal(size=1500),
            "weight": 3 * z + rng.normal(size=1500),
            "class": kind,
            "open": z + 0.3 * rng.normal(size=1500) > 0,
            "visits": rng.poisson(np.exp(1 + z)),
        }
    )
    holed = table.astype({"open": object, "visits": float}).copy()
    hidden = rng.random(table.shape) < SHARE
    for i, name in enumerate(table):
        holed.loc[hidden[:, i], name] = None
    model = Autoencoder(column_kinds={"visits": "count", "open": "boolean"}, random_state=0)
    filled = model.fit(holed).impute(holed)
    assert model.trained_.recipe.name == "mlp_impute"
    for name in ("class", "open"):
        gone = hidden[:, table.columns.get_loc(name)]
        right = (filled[name][gone] == table[name][gone]).mean()
        frequent = (table[name][gone] == holed[name].mode()[0]).mean()
        assert right > frequent + 0.25
    for name in ("size", "weight", "visits"):
        gone = hidden[:, table.columns.get_loc(name)]
        truth = table[name][gone].to_numpy(float)
        error = np.square(filled[name][gone].to_numpy(float) - truth).mean()
        of_mean = np.square(holed[name].astype(float).mean() - truth).mean()
        assert error < 0.5 * of_mean


# --- what is promised ---------------------------------------------------------------------------


def quick(**more):
    return Autoencoder(epochs=1, random_state=0, **more)


@settings(max_examples=10)
@given(
    st.integers(2, 40),
    st.integers(1, 6),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([1e-6, 1.0, 1e6]),
    st.integers(0, 10),
)
def test_what_is_known_stays_to_the_bit_and_no_gap_is_left(n, width, dtype, scale, seed):
    rng = np.random.default_rng(seed)
    x = (scale * rng.normal(size=(n, width)) + rng.normal()).astype(dtype)
    x[rng.random(x.shape) < 0.4] = np.nan
    x[0] = 1.0  # a column without a value is refused
    x[-1, 0] = np.nan
    before = x.copy()
    filled = quick().fit(x).impute(x)
    np.testing.assert_array_equal(x, before)
    assert filled.dtype == x.dtype
    assert not np.isnan(filled).any()
    known = ~np.isnan(x)
    assert filled[known].tobytes() == x[known].tobytes()


def test_a_table_with_gaps_chooses_its_recipe():
    x, _ = low_rank(50)
    assert quick().fit(x).trained_.recipe.name == "mlp"
    holed, _ = with_gaps(x)
    assert quick().fit(holed).trained_.recipe.name == "mlp_impute"
    assert quick(recipe="vae").fit(holed).trained_.recipe.name == "vae"
    images = np.random.default_rng(0).random((20, 8, 8))
    images[0, 0, 0] = np.nan
    assert quick().fit(images).trained_.recipe.name == "mlp"


def test_imputing_is_the_same_each_time():
    holed, _ = with_gaps(low_rank(60)[0])
    first, second = (quick().fit(holed).impute(holed) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    model = quick(recipe="vae").fit(holed)
    one, two = model.impute(holed, n_draws=2, seed=3)
    assert one.tobytes() == model.impute(holed, n_draws=2, seed=3)[0].tobytes()
    assert (one != two).any()


@pytest.mark.parametrize("standing", [[0.0, 1.0], [0.0, 1e-3], [5.0, 1e4]], ids=str)
def test_the_units_of_columns_mean_nothing(standing):
    """Values in [0, 1], and columns that differ much in spread, are imputed as if standardised."""
    x = low_rank(80)[0]
    low, spread = standing
    moved = x.copy()
    moved[:, ::2] = low + spread * (x[:, ::2] - x[:, ::2].min(0)) / np.ptp(x[:, ::2], axis=0)
    moved[:, 1::2] = (x[:, 1::2] - x[:, 1::2].min(0)) / np.ptp(x[:, 1::2], axis=0)
    a, b = with_gaps(x)[0], with_gaps(moved)[0]
    plain, other = quick().fit(a).impute(a), quick().fit(b).impute(b)
    back = (other - moved.mean(0)) / moved.std(0) * x.std(0) + x.mean(0)
    np.testing.assert_allclose(back, plain, rtol=0, atol=1e-2)


def test_every_column_keeps_its_own_scale_whatever_the_range():
    x = np.random.default_rng(0).random((30, 4)) * [1, 1e-3, 0.5, 1]
    _, spec, _ = prepare(x, standardize="all_columns")
    assert spec.kind == "real"
    np.testing.assert_allclose(spec.offset, x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(spec.scale, x.std(0), rtol=1e-5)
    assert apply_spec(3 * x, spec).max() > 1  # nothing is refused for lying outside
    flags, spec, _ = prepare(x > 0.25, standardize="all_columns")
    assert (flags.x.dtype, spec.kind) == (np.uint8, "real")
    assert prepare(x[:, None, :], standardize="all_columns")[1].kind == "unit"  # images


# --- frames -------------------------------------------------------------------------------------


def test_a_pandas_frame_keeps_its_index_and_dtypes():
    frame = pd.DataFrame(
        {
            "a": pd.Series([1.5, None, 2.5, 3.0] * 5, dtype="float32"),
            "b": pd.Series([1, 2, None, 4] * 5, dtype="Int64"),
            "c": pd.Categorical(["x", "y", None, "x"] * 5),
            "d": pd.Series(pd.to_datetime(["2020-01-01", None, "2020-01-03", "2020-02-01"] * 5)),
            "e": pd.Series([True, None, False, True] * 5, dtype="boolean"),
        },
    )
    frame.index = pd.Index([f"row {i}" for i in range(20)])
    filled = quick().fit(frame).impute(frame)
    assert list(filled.index) == list(frame.index)
    assert list(filled.columns) == list(frame.columns)
    assert filled.dtypes.to_dict() == frame.dtypes.to_dict()
    assert not filled.isna().any().any()
    for name in frame:
        known = frame[name].notna()
        assert (filled[name][known] == frame[name][known]).all()


def test_a_polars_frame_keeps_its_dtypes():
    frame = pl.DataFrame(
        {
            "a": pl.Series([1.5, None, 2.5, 3.0] * 5, dtype=pl.Float32),
            "b": pl.Series(["x", "y", None, "x"] * 5),
            "c": pl.Series([True, None, False, True] * 5),
        }
    )
    filled = quick().fit(frame).impute(frame)
    assert filled.schema == frame.schema
    assert sum(filled.null_count().row(0)) == 0
    for name in frame.columns:
        known = frame[name].is_not_null()
        assert (filled[name].filter(known) == frame[name].filter(known)).all()
