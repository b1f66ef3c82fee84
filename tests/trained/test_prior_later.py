"""A prior that is fitted when it is first needed: no pass before, the same bits after."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from torch import nn

from autoencode import Autoencoder, fit_prior, load
from autoencode.data import Examples
from autoencode.errors import DataError
from autoencode.priors import StandardNormal
from autoencode.trained import Trained, fit_prior_later
from autoencode.trained import priors as fitting

X = np.random.default_rng(0).random((300, 12)).astype(np.float32)
# As pixels are, which are no draws: those of tables look at the rows once more.
AS_THEY_ARE = {"standardize": "unit", "options": {"hidden": (8,)}}
FIGURES = {"n_components": 3, "epochs": 1, "random_state": 0, **AS_THEY_ARE}


class Counting(nn.Sequential):
    """An encoder that counts the rows it sees beside training, but for probes of two zeros."""

    rows = 0

    def forward(self, x):
        if not self.training and len(x) > 2:
            Counting.rows += len(x)
        return super().forward(x)


@pytest.fixture
def counted():
    Counting.rows = 0
    networks = {"encoder": Counting(nn.Linear(12, 3)), "decoder": nn.Linear(3, 12)}
    # The doctor and the validation look at rows too, as a part of training.
    return {**networks, "options": {"doctor": False, "validation": 0.0}}


def fitted(recipe="mlp_small", x=X, **more):
    return Autoencoder(recipe, **{**FIGURES, **more}).fit(x)


def eager(recipe="mlp_small", seed=None):
    """What was fitted before ``fit`` returned, as ``fit_prior`` does it."""
    model = fitted(recipe).trained_
    now = Trained(model.recipe, model.info)
    return fit_prior(now, Examples(X), now.info["seed"] if seed is None else seed)


def numbers(trained):
    return {name: value.clone() for name, value in trained.model.prior.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_fit_embeds_no_row_and_the_first_sample_each_once(counted):
    ae = fitted(**counted)
    assert Counting.rows == 0
    ae.sample(5)
    assert Counting.rows == len(X)
    ae.sample(5)
    ae.model_.sample_latent(2)
    assert Counting.rows == len(X)


@pytest.mark.parametrize("call", ["transform", "reconstruct", "score_samples"])
def test_what_needs_no_prior_fits_none(call):
    ae = fitted()
    getattr(ae, call)(X[:5])
    assert ae.trained_.recipe.model.prior is None


@pytest.mark.parametrize("how", ["sample", "model", "trained", "save", "pickle", "copy", "card"])
def test_it_is_fitted_to_the_bit_as_before_whatever_needs_it_first(how, tmp_path):
    wanted, ae = numbers(eager()), fitted()
    if how == "sample":
        ae.sample(3, seed=9)
    elif how == "model":
        assert ae.model_.prior is not None
    elif how == "save":
        ae.save(tmp_path / "a")
        assert same(numbers(load(tmp_path / "a", device="cpu").trained_), wanted)
    elif how == "pickle":
        assert same(numbers(pickle.loads(pickle.dumps(ae)).trained_), wanted)
    elif how == "copy":
        assert same(numbers(copy.deepcopy(ae).trained_), wanted)
    elif how == "card":
        from autoencode.evaluate.metrics import evaluate

        evaluate(ae.trained_, Examples(X))
        assert not any(p.is_inference() for p in ae.model_.prior.state_dict().values())
    assert same(numbers(ae.trained_), wanted)


def test_draws_are_those_of_a_prior_that_was_there_before():
    assert np.array_equal(fitted().trained_.sample(4, 3), eager().sample(4, 3))
    state = torch.random.get_rng_state()
    fitted().sample(2)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_rows_that_change_after_fit_change_nothing():
    x = X.copy()
    ae = fitted(x=x)
    x[:] = 0
    assert same(numbers(ae.trained_), numbers(eager()))


def test_of_many_rows_as_many_are_kept_as_a_prior_is_fitted_to(monkeypatch):
    monkeypatch.setattr(fitting.fit, "_PRIOR_ROWS", 50)
    wanted, model = numbers(eager(seed=4)), fitted().trained_
    later = Trained(model.recipe, model.info)
    later.recipe.model.prior = None
    fit_prior_later(later, Examples(X), 4)
    assert same(numbers(later), wanted)


def test_rows_that_would_take_too_much_memory_are_embedded_at_once(monkeypatch, counted):
    monkeypatch.setattr(fitting.fit, "_KEPT_BYTES", X.nbytes - 1)
    ae = fitted(**counted)
    assert Counting.rows == len(X)
    assert ae.trained_.put_off is None
    assert same(numbers(fitted().trained_), numbers(eager()))


def test_a_model_with_a_prior_of_its_own_keeps_it():
    ae = fitted("vae")
    assert ae.trained_.put_off is None
    assert ae.sample(2).shape == (2, 12)


def test_another_prior_takes_its_place_unfitted(counted):
    ae = fitted(**counted)
    fit_prior(ae.trained_, Examples(X), kind="mixture", n_components=2)
    assert Counting.rows == len(X)
    assert ae.model_.prior.kind == "mixture"


def test_partial_fit_after_fit_first_fits_it_to_the_weights_of_fit():
    ae, wanted = fitted(), numbers(eager())
    ae.partial_fit(X[:50])
    assert same(numbers(ae.trained_), wanted)


def test_threads_that_need_it_at_once_fit_it_once(counted):
    ae = fitted(**counted)
    start, found = threading.Barrier(8), []

    def ask():
        start.wait()
        found.append(numbers(ae.trained_))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counting.rows == len(X)
    assert len(found) == 8
    assert all(same(one, found[0]) for one in found)


def test_a_fit_that_fails_leaves_the_prior_that_was_put_off():
    x = np.random.default_rng(0).normal(size=(60, 6))
    options = {"n_components": 2, "epochs": 1, "random_state": 0}
    known = Autoencoder("mlp_small", **options).fit(x).sample(3)
    later = Autoencoder("mlp_small", **options).fit(x)
    with pytest.raises(DataError, match="codes"):
        fit_prior(later.trained_, Examples(x.astype(np.float32)), kind="mixture", n_components=1000)
    np.testing.assert_array_equal(later.sample(3), known)


def test_a_prior_that_is_asked_for_is_not_replaced_by_the_one_put_off():
    x = np.random.default_rng(0).normal(size=(60, 6))
    later = Autoencoder("mlp_small", n_components=2, epochs=1, random_state=0).fit(x)
    fit_prior(later.trained_, Examples(x.astype(np.float32)), kind="normal")
    later.sample(2)
    assert isinstance(later.trained_.model.prior, StandardNormal)
