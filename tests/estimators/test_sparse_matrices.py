"""Estimators on sparse matrices: the same results as on the same numbers in an array."""

import os

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

import autoencode
from autoencode import (
    RECIPES,
    AnomalyDetector,
    Autoencoder,
    Denoiser,
    load,
    reconstruction_scorer,
    train,
)
from autoencode.data import prepare
from autoencode.errors import DataError

RNG = np.random.default_rng(0)
TOPICS = RNG.gamma(0.3, size=(5, 100))
X = RNG.poisson(np.minimum(3, RNG.dirichlet(np.full(5, 0.2), 120) @ TOPICS * 0.15)).astype(float)
S = sp.csr_array(X)
GAPS = np.where(RNG.random(X.shape) < 0.01, np.nan, X)
DENSER = np.where(RNG.random((120, 10)) < 0.5, 0.0, RNG.normal(size=(120, 10)))


def same(sparse, dense):
    np.testing.assert_allclose(np.asarray(sparse), np.asarray(dense), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("recipe", ["mlp", "vae", "linear", "topk"])
def test_an_autoencoder_of_a_sparse_matrix_is_that_of_the_array(recipe):
    options = {"k": 2} if recipe == "topk" else None
    one, other = (
        Autoencoder(recipe, 3, epochs=2, random_state=0, options=options).fit(x) for x in (S, X)
    )
    assert one.trained_.spec == other.trained_.spec
    for method in ("transform", "reconstruct", "score_samples"):
        same(getattr(one, method)(S), getattr(other, method)(X))
    same(one.sample(5), other.sample(5))
    assert one.transform(S).dtype == np.float32


@pytest.mark.parametrize("x", [GAPS, DENSER, X.astype(int), X.astype(np.float32), X > 0])
def test_other_numbers_too(x):
    one, other = (
        Autoencoder(n_components=2, epochs=1, random_state=0).fit(a) for a in (sp.csc_matrix(x), x)
    )
    same(one.transform(sp.csr_matrix(x)), other.transform(x))
    same(one.transform(x), other.transform(x))


def test_held_out_rows_are_the_same():
    one, other = (
        Autoencoder("mlp", 2, epochs=3, early_stopping=True, random_state=0).fit(x) for x in (S, X)
    )
    assert [h["validation_loss"] for h in one.history_] == [
        h["validation_loss"] for h in other.history_
    ]


def test_learning_in_parts_and_going_on_are_the_same():
    one, other = (Autoencoder("mlp", 2, epochs=2, random_state=0, warm_start=True) for _ in range(2))
    for start in range(0, 120, 40):
        one.partial_fit(S[start : start + 40])
        other.partial_fit(X[start : start + 40])
    same(one.transform(S), other.transform(X))
    same(one.fit(S).transform(S), other.fit(X).transform(X))


def test_a_denoiser_learns_from_sparse_examples_and_from_pairs():
    for pairs in ((), (1,)):
        fitted = [Denoiser(epochs=1, random_state=0).fit(x, *[x for _ in pairs]) for x in (S, X)]
        one, other = fitted
        same(one.transform(S), other.transform(X))
        assert one.score(S, S) == pytest.approx(other.score(X, X), abs=1e-6)
        same(one.corrupt(S), other.corrupt(X))


def test_a_detector_judges_sparse_rows_as_those_of_an_array():
    one, other = (AnomalyDetector(epochs=1, random_state=0).fit(x) for x in (S, X))
    same(one.score_samples(S), other.score_samples(X))
    same(one.predict(S), other.predict(X))
    one, other = (AnomalyDetector(epochs=1, random_state=0).partial_fit(x) for x in (S, X))
    same(one.decision_function(S), other.decision_function(X))


def test_gaps_of_a_sparse_matrix_are_filled():
    model = Autoencoder(n_components=2, epochs=1, random_state=0).fit(sp.csr_array(GAPS))
    same(model.impute(sp.csr_array(GAPS)), model.impute(GAPS))


def test_a_saved_model_takes_sparse_rows(tmp_path):
    model = Autoencoder("mlp", 2, epochs=1, random_state=0).fit(S)
    model.save(tmp_path)
    np.testing.assert_array_equal(load(tmp_path).transform(S), model.transform(S))


def test_scikit_learn_splits_scales_and_scores_sparse_matrices():
    line = make_pipeline(MaxAbsScaler(), Autoencoder("mlp", 2, epochs=1, random_state=0))
    found = [cross_val_score(clone(line), x, cv=2, scoring=reconstruction_scorer) for x in (S, X)]
    same(*found)


def test_a_run_of_a_sparse_file_is_that_of_the_array(tmp_path):
    sp.save_npz(tmp_path / "words.npz", S)
    one, other = (train(x, "mlp", latent_dim=2, epochs=1) for x in (tmp_path / "words.npz", X))
    assert one.metrics.keys() == other.metrics.keys()
    for name, value in one.metrics.items():
        if value is not None:
            assert value == pytest.approx(other.metrics[name], rel=1e-6), name


def test_another_width_is_refused_in_scikit_learns_words():
    model = Autoencoder("mlp", 2, epochs=1, random_state=0).fit(S)
    with pytest.raises(DataError, match="X has 99 features"):
        model.transform(S[:, :99])


def test_what_would_fill_the_memory_is_refused_with_the_numbers(monkeypatch):
    model = Autoencoder("mlp", 2, epochs=1, random_state=0).fit(S)
    monkeypatch.setenv("AUTOENCODE_MEMORY", "1GB")
    many = sp.csr_array((10**7, 100))
    with pytest.raises(DataError, match=r"reconstruction of 10000000 x 100 values: needs 4\.0 GB"):
        model.reconstruct(many)
    pieces = model.trained_.reconstruct_pieces(S)
    np.testing.assert_array_equal(np.concatenate(list(pieces)), model.reconstruct(S))


def test_no_more_rows_than_a_batch_become_an_array(monkeypatch):
    largest = []
    dense = autoencode.files.sparse_rows.SparseRows.dense

    def counted(rows):
        largest.append(len(rows))
        return dense(rows)

    monkeypatch.setattr("autoencode.files.sparse_rows.SparseRows.dense", counted)
    x = sp.vstack([S] * 30, format="csr")
    model = Autoencoder(
        "mlp", 2, epochs=1, random_state=0, options={"doctor": False, "data_start": False}
    )
    model.fit(x).transform(x)
    assert max(largest) == 1000
    assert os.environ.get("AUTOENCODE_MEMORY") is None


def test_training_starts_at_truncated_svd():
    svd = TruncatedSVD(3, algorithm="arpack", random_state=0).fit(X)
    as_it_starts = {"epochs": 1, "lr": 1e-12, "options": {"validation": 0.0}}
    model = Autoencoder("linear", 3, random_state=0, **as_it_starts).fit(S)
    ours, theirs = model.transform(S).astype(float), svd.transform(X)
    turned = ours @ np.linalg.lstsq(ours, theirs, rcond=None)[0]
    np.testing.assert_allclose(turned, theirs, atol=1e-3 * np.abs(theirs).max())


def test_tables_of_zeros_are_trained_for_fewer_steps():
    steps = [RECIPES["mlp"].plan("fast", prepare(x)[1]).min_steps for x in (X, DENSER)]
    assert steps == [200, 2000]
