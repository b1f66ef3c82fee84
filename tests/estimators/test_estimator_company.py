"""Autoencoder among scikit-learn's other tools."""

import io
import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from autoencode import Autoencoder
from autoencode.console.progress import Watcher
from autoencode.errors import DataError, OptionError
from autoencode.training import Observer

RNG = np.random.default_rng(0)
X = RNG.random((60, 6)) @ RNG.random((6, 6))
Y = (X[:, 0] > np.median(X[:, 0])).astype(int)


def small(recipe="mlp", n_components=2, **more):
    figures = {"epochs": 2, "device": "cpu", "random_state": 0, "options": {"hidden": (8,)}}
    return Autoencoder(recipe, n_components, **{**figures, **more})


def test_a_pipeline_before_a_classifier_can_be_searched():
    pipeline = make_pipeline(StandardScaler(), small(), LogisticRegression())
    grid = {"autoencoder__recipe": ["mlp", "vae"], "autoencoder__n_components": [1, 3]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, Y)
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(X).shape == (60,)


def test_its_own_score_chooses_among_widths():
    """A code of all six numbers explains more than a code of one."""
    line = GridSearchCV(
        Autoencoder("linear", device="cpu", random_state=0, epochs=200), {"n_components": [1, 6]}, cv=2
    )
    assert line.fit(X).best_params_ == {"n_components": 6}
    scores = cross_val_score(small("vae"), X, cv=3)
    assert np.isfinite(scores).all()


def test_a_column_transformer_gives_it_some_columns():
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(word=["x", "y"] * 30)
    both = make_column_transformer((small(), list("abc")), (small("vae"), ["d", "e", "word"]))
    assert both.fit_transform(frame).shape == (60, 4)
    assert isinstance(both, ColumnTransformer)
    names = both.get_feature_names_out()
    assert len(set(names)) == 4


@pytest.mark.parametrize(("container", "library"), [("pandas", pd), ("polars", pl)])
def test_output_comes_as_the_table_that_was_asked_for(container, library):
    frame = library.DataFrame({name: X[:, i] for i, name in enumerate("abcdef")})
    model = small().set_output(transform=container)
    z = model.fit_transform(frame)
    assert isinstance(z, library.DataFrame)
    assert list(z.columns) == ["autoencoder0", "autoencoder1"]
    np.testing.assert_array_equal(np.asarray(z), small().fit(X).transform(X))


@pytest.mark.parametrize("recipe", ["mlp", "vae", "linear"])
def test_pickle_and_joblib_keep_all_of_it(recipe, tmp_path):
    options = None if recipe == "linear" else {"hidden": (8,)}
    model = small(recipe, options=options).fit(X)
    joblib.dump(model, tmp_path / "m.joblib")
    for again in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "m.joblib")):
        np.testing.assert_array_equal(again.transform(X), model.transform(X))
        np.testing.assert_array_equal(again.sample(3), model.sample(3))
        np.testing.assert_array_equal(again.fit(X).transform(X), model.transform(X))


def test_learning_in_parts_can_be_taken_up_after_a_pickle():
    whole, before = small().partial_fit(X[:30]), small().partial_fit(X[:30])
    again = pickle.loads(pickle.dumps(before)).partial_fit(X[30:])
    np.testing.assert_array_equal(again.transform(X), whole.partial_fit(X[30:]).transform(X))


@pytest.mark.parametrize("kind", [scipy.sparse.csr_matrix, scipy.sparse.csr_array])
def test_sparse_data_give_the_codes_of_the_array(kind):
    np.testing.assert_array_equal(small().fit(kind(X)).transform(kind(X)), small().fit(X).transform(X))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.uint8, bool])
def test_codes_are_float32_whatever_comes_in(dtype):
    x = (X * 3).astype(dtype)
    assert small().fit(x).transform(x).dtype == np.float32


def test_one_feature_and_one_component_are_enough():
    model = small(n_components=1).fit(X[:, :1])
    assert model.transform(X[:, :1]).shape == (60, 1)
    assert model.inverse_transform(model.transform(X[:, :1])).shape == (60, 1)


# --- scores -------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["mlp", "vae"])
def test_a_row_has_the_same_score_in_any_company(recipe):
    model = small(recipe).fit(X)
    scores = model.score_samples(X)
    order = np.random.default_rng(1).permutation(60)
    np.testing.assert_allclose(model.score_samples(X[order]), scores[order], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.score_samples(X[7:8]), scores[7:8], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model.score_samples(X), scores)


def test_the_score_of_a_plain_recipe_is_its_error():
    model = small().fit(X * 10)
    spec = model.trained_.spec
    seen = (X * 10 - spec.offset) / spec.scale
    back = (model.reconstruct(X * 10) - spec.offset) / spec.scale
    np.testing.assert_allclose(model.score_samples(X * 10), -np.square(seen - back).mean(1), rtol=1e-3)


def test_the_score_of_a_vae_is_the_elbo():
    """Averaged over many draws of its own, up to their error."""
    model = small("vae", epochs=20).fit(X)
    x = model.trained_.spec.to_model(torch.from_numpy(X.astype(np.float32)))
    torch.manual_seed(0)
    with torch.no_grad():
        output = model.model_(model.trained_.spec.batch(x), 4000)
        bound = output.x_dist.log_prob(x) - output.latent.sites["z"].kl()
    spread = bound.std(0) / 4
    exact = bound.mean(0)
    units = np.log(model.trained_.spec.scale).sum()  # scores are densities in the units of X
    assert (np.abs(model.score_samples(X) + units - exact.numpy()) <= 5 * spread.numpy() + 1e-4).all()


# --- learning in other ways ---------------------------------------------------------------------


def test_learning_in_parts_learns():
    model = small(batch_size=8, lr=0.01)
    model.partial_fit(X)
    first = model.score(X)
    for _ in range(60):
        model.partial_fit(X)
    assert model.score(X) > first
    assert model.n_iter_ == 61 == len(model.history_)
    assert small().partial_fit(X).transform(X[:1]).shape == (1, 2)
    with pytest.raises(DataError, match="is expecting 6"):
        model.partial_fit(X[:, :3])


def test_fit_after_parts_starts_anew():
    model = small().partial_fit(X).fit(X)
    np.testing.assert_array_equal(model.transform(X), small().fit(X).transform(X))


def test_a_warm_start_goes_on_from_the_last_weights():
    model = small(epochs=30, warm_start=True).fit(X)
    first = model.score(X)
    model.set_params(epochs=1, lr=1e-6).fit(X)
    assert model.score(X) == pytest.approx(first, rel=0.05)
    cold = small(epochs=1, lr=1e-6, options={"hidden": (8,), "shortcut": "none"}).fit(X)
    assert cold.score(X) < first - 1e-3
    with pytest.raises(OptionError, match="warm_start"):
        model.set_params(n_components=3).fit(X)


def test_early_stopping_keeps_the_best_weights():
    noisy = RNG.normal(size=(40, 6))
    model = small(
        options={"hidden": (8,), "shortcut": "none"},
        epochs=400,
        lr=0.05,
        early_stopping=True,
        n_iter_no_change=5,
        validation_fraction=0.25,
    ).fit(noisy)
    assert model.n_iter_ < 400
    losses = [entry["validation_loss"] for entry in model.history_]
    assert np.argmin(losses) == len(losses) - 6


def test_the_encoder_is_a_body_for_other_networks():
    model = small().fit(X)
    before = model.transform(X)
    encoder = model.encoder_
    x = torch.from_numpy(X.astype(np.float32))
    np.testing.assert_allclose(encoder(x).detach().numpy(), before, rtol=1e-5, atol=1e-6)
    head = nn.Sequential(encoder, nn.Linear(2, 1))
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.mse_loss(head(x)[:, 0], torch.from_numpy(Y.astype(np.float32))).backward()
        optimizer.step()
    assert not np.allclose(encoder(x).detach().numpy(), before)
    np.testing.assert_array_equal(model.transform(X), before)
    with pytest.raises(NotFittedError):
        _ = small().encoder_


def test_progress_is_shown_and_others_may_watch(capsys):
    class Count(Observer):
        seen = 0

        def epoch(self, record):
            self.seen += 1

    count = Count()
    small(verbose=True, observer=count).fit(X)
    assert "epoch 2/2" in capsys.readouterr().err
    assert count.seen == 2
    small().fit(X)
    assert capsys.readouterr().err == ""
    assert isinstance(Watcher(quiet=True), Observer)


def test_clones_share_nothing_learned():
    model = small(column_kinds={}).fit(X)
    copied = clone(model)
    assert not hasattr(copied, "trained_")
    assert copied.get_params() == model.get_params()
    assert "epochs=2" in repr(copied)
    assert pickle.load(io.BytesIO(pickle.dumps(copied))).get_params() == model.get_params()
