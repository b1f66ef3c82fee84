"""What holds for every estimator among scikit-learn's tools; for ``Autoencoder`` see its company."""

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from autoencode import AnomalyDetector, Denoiser

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2)) @ RNG.normal(size=(2, 5)) + 0.1 * RNG.normal(size=(60, 5))
ODD = (np.arange(60) % 12 == 0).astype(int)
X[ODD == 1] += RNG.normal(0, 3, (5, 5))
FIGURES = {
    "epochs": 1,
    "options": {"min_steps": 10, "hidden": (8,)},
    "device": "cpu",
    "random_state": 0,
}
KINDS = {"detector": AnomalyDetector, "denoiser": Denoiser}
each = pytest.mark.parametrize("kind", KINDS)


def made(kind, **options):
    return KINDS[kind](**{**FIGURES, **options})


def results(estimator, x):
    """All numbers that an estimator makes of rows."""
    if isinstance(estimator, AnomalyDetector):
        return np.stack([estimator.score_samples(x), estimator.pvalues(x), estimator.predict(x)])
    return np.asarray(estimator.transform(x))


@each
@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_frames_of_numbers_are_arrays_with_names(kind, library):
    frame = library.DataFrame({name: X[:, i] for i, name in enumerate("abcde")})
    expected = results(made(kind).fit(X), X)
    fitted = made(kind).fit(frame)
    np.testing.assert_array_equal(results(fitted, frame), expected)
    assert fitted.feature_names_in_.tolist() == list("abcde")


def test_a_denoiser_gives_the_frame_that_is_asked_for():
    for container, library in (("pandas", pd), ("polars", pl)):
        frame = library.DataFrame({name: X[:, i] for i, name in enumerate("abcde")})
        found = made("denoiser").fit(frame).set_output(transform=container).transform(frame)
        assert isinstance(found, library.DataFrame)
        assert list(found.columns) == list("abcde")


@each
@pytest.mark.parametrize("mixed", [False, True])
def test_mixed_polars_frames_are_pandas_ones(kind, mixed):
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    frame.loc[::9, "a"] = np.nan
    if mixed:
        frame["word"] = np.where(X[:, 0] > 0, "up", "down")
    noise = {"corruption": "missing", "level": 0.2} if kind == "denoiser" else {}
    one, two = (made(kind, **noise).fit(f) for f in (frame, pl.from_pandas(frame)))
    found = two.transform(pl.from_pandas(frame)) if kind == "denoiser" else None
    if mixed and kind == "denoiser":
        assert isinstance(found, pl.DataFrame)
        expected = one.transform(frame)
        assert found["word"].to_list() == expected["word"].astype(str).tolist()
        np.testing.assert_array_equal(found["a"].to_numpy(), expected["a"].to_numpy())
    else:
        again = results(two, pl.from_pandas(frame))
        np.testing.assert_array_equal(again, results(one, frame))


@each
def test_one_feature_and_one_component_are_enough(kind):
    narrow = made(kind, n_components=1).fit(X[:, :1])
    assert np.isfinite(results(narrow, X[:, :1])).all()
    assert np.prod(narrow.trained_.latent_shape) == 1
    flat = made(kind, n_components=1).fit(X)
    assert np.isfinite(results(flat, X)).all()


@each
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64, np.uint8, bool])
def test_any_dtype_of_numbers_will_do(kind, dtype):
    x = (np.abs(X) * 3).astype(dtype)
    found = results(made(kind).fit(x), x)
    assert np.isfinite(found).all()
    if kind == "denoiser":
        assert found.dtype == dtype


@each
def test_recipe_and_width_can_be_searched(kind):
    grid = {"recipe": ["mlp", "vae"], "n_components": [1, 3]}

    def auroc(detector, x, y):
        return roc_auc_score(y, -detector.score_samples(x))

    scoring = auroc if kind == "detector" else None
    search = GridSearchCV(made(kind), grid, cv=2, scoring=scoring).fit(X, ODD)
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.trained_.recipe.name == search.best_params_["recipe"]
    width = np.prod(search.best_estimator_.trained_.latent_shape)
    assert width == search.best_params_["n_components"]


@each
def test_joblib_keeps_all_of_it(kind, tmp_path):
    fitted = made(kind).fit(X)
    joblib.dump(fitted, tmp_path / "m.joblib")
    again = joblib.load(tmp_path / "m.joblib")
    np.testing.assert_array_equal(results(again, X), results(fitted, X))
    np.testing.assert_array_equal(results(again.fit(X), X), results(fitted, X))


@each
def test_a_pipeline_scales_before_it(kind):
    pipeline = make_pipeline(StandardScaler(), made(kind)).fit(X)
    scaled = StandardScaler().fit_transform(X)
    np.testing.assert_array_equal(
        results(pipeline[-1], scaled), results(made(kind).fit(scaled), scaled)
    )
