"""The scikit-learn face: few lines to use, strict about its input, nothing of the user's changed."""

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from torch import nn
from torch.utils.data import TensorDataset

from autoencode import Autoencoder, load
from autoencode.errors import DataError, IncompatibleError, InputError, OptionError
from autoencode.training import Observer

X = np.random.default_rng(0).random((40, 6))


def small(recipe="mlp", n_components=2, **more):
    figures = {"epochs": 1, "options": {"hidden": (8,)}, "device": "cpu", "random_state": 0}
    return Autoencoder(recipe, n_components, **{**figures, **more})


def test_three_lines_are_enough():
    model = Autoencoder(n_components=3, epochs=1).fit(X)
    z = model.transform(X)
    back = model.inverse_transform(z)
    assert (z.shape, back.shape) == ((40, 3), (40, 6))


@pytest.mark.parametrize("recipe", ["mlp", "vae"])
def test_all_methods_agree(recipe):
    model = small(recipe)
    z = model.fit_transform(X)
    np.testing.assert_array_equal(z, model.transform(X))
    back = model.inverse_transform(z)
    np.testing.assert_allclose(back, model.reconstruct(X), rtol=1e-5, atol=1e-6)
    assert back.dtype == z.dtype == np.float32
    sample = model.sample(7, seed=1)
    assert sample.shape == (7, 6)
    np.testing.assert_array_equal(sample, model.sample(7, seed=1))
    assert model.n_features_in_ == 6
    assert model.n_iter_ == len(model.history_) == 1
    assert list(model.get_feature_names_out()) == ["autoencoder0", "autoencoder1"]
    assert isinstance(model.model_, nn.Module)


def test_nothing_works_before_fit():
    for method in ("transform", "inverse_transform", "reconstruct", "sample", "save"):
        with pytest.raises(NotFittedError):
            getattr(small(), method)(X if method != "sample" else 1)


def test_it_learns():
    line = np.linspace(0, 1, 200)[:, None] * np.ones(6)
    model = small(epochs=60, batch_size=16).fit(line)
    error = np.square(model.reconstruct(line) - line).mean()
    assert error < 0.2 * line.var(axis=0).mean()


# --- scikit-learn's contract --------------------------------------------------------------------


def test_the_constructor_stores_and_clone_copies():
    model = small(lr=0.01)
    assert {name: getattr(model, name) for name in model.get_params(deep=False)} == model.get_params(
        deep=False
    )
    copied = clone(model.fit(X))
    assert copied.get_params() == model.get_params()
    assert not hasattr(copied, "trained_")
    copied.set_params(n_components=4, recipe="vae")
    assert copied.fit(X).transform(X).shape == (40, 4)
    assert model.transform(X).shape == (40, 2)


def test_it_stands_in_a_pipeline():
    pipeline = make_pipeline(MinMaxScaler(), small())
    assert pipeline.fit_transform(X * 100 - 3).shape == (40, 2)
    assert "epochs=1" in repr(small())


def test_the_random_state_decides_and_none_is_allowed():
    options = {"hidden": (8,), "shortcut": "none"}  # no PCA, which is the same for all
    a, b, c = (small(random_state=s, options=options).fit(X).transform(X) for s in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()
    generator = np.random.RandomState(0)
    assert small(random_state=generator).fit(X).transform(X).shape == (40, 2)
    state = torch.get_rng_state()
    assert small(random_state=None).fit(X).transform(X).shape == (40, 2)
    assert torch.equal(state, torch.get_rng_state())


def test_fitting_again_starts_anew():
    model = small()
    first = model.fit(X).transform(X)
    model.fit(X[:, :4])
    assert model.n_features_in_ == 4
    np.testing.assert_array_equal(model.fit(X).transform(X), first)


# --- data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "convert",
    [
        np.ndarray.tolist,
        torch.from_numpy,
        np.asfortranarray,
        lambda x: TensorDataset(torch.from_numpy(x)),
        lambda x: TensorDataset(torch.from_numpy(x), torch.zeros(len(x))),
    ],
    ids=["list", "tensor", "fortran", "dataset", "labelled dataset"],
)
def test_many_kinds_of_data_give_the_same_codes(convert):
    expected = small().fit(X).transform(X)
    model = small().fit(convert(X))
    np.testing.assert_array_equal(model.transform(convert(X)), expected)


@pytest.mark.parametrize("recipe", ["mlp", "conv", "vae"])
def test_images_need_no_axis_of_channels(recipe):
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    model = small(recipe, options=None).fit(images)
    assert model.transform(images).shape == (12, 2)
    assert model.trained_.spec.shape == (1, 28, 28)
    back = model.inverse_transform(model.transform(images))
    assert back.shape == (12, 28, 28)
    assert 1 < back.max() <= 255
    np.testing.assert_array_equal(model.transform(images[:, None]), model.transform(images))
    flat = images.reshape(12, -1)
    np.testing.assert_array_equal(model.transform(flat), model.transform(images))


def test_codes_may_be_tensors_on_a_graph():
    model = small().fit(X)
    z = torch.tensor(model.transform(X), requires_grad=True)
    assert model.inverse_transform(z).shape == (40, 6)


def test_the_data_are_not_changed():
    x = X.astype(np.float32) * 100 - 50
    before = x.copy()
    x.flags.writeable = False
    small().fit(x).transform(x)
    np.testing.assert_array_equal(x, before)


BAD = {
    "empty column": (np.where(np.arange(6) == 2, np.nan, X), "column 2 has no values"),
    "infinite": (np.where(X > 2, X, np.inf), "240 infinite"),
    "empty": (np.zeros((0, 3)), "0 examples"),
    "one": (X[:1], "at least 2"),
    "flat": (X[0], "reshape"),
    "text": ([["a", "b"], ["c", "d"]], "text"),
    "ragged": ([[1.0], [1.0, 2.0]], "cannot be made an array"),
    "nothing": (None, "object of type NoneType"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_are_refused_in_one_line(case):
    x, message = BAD[case]
    with pytest.raises(DataError, match=message) as refused:
        small().fit(x)
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, ValueError)  # what scikit-learn raises


def test_new_data_must_fit():
    model = small().fit(X)
    for x, message in (
        (X[:, :4], "X has 4 features, but Autoencoder is expecting 6"),
        (X * np.nan, "NaN"),
        (X[:0], "0 examples"),
    ):
        with pytest.raises(DataError, match=message):
            model.transform(x)
    for z in (np.zeros((3, 5)), np.zeros(2), np.zeros((0, 2)), [[np.nan, 1]], [["a", "b"]], None):
        with pytest.raises(DataError, match="codes"):
            model.inverse_transform(z)
    with pytest.raises(OptionError, match="at least 1"):
        model.sample(0)


@pytest.mark.parametrize(
    "options",
    [
        {"recipe": "vea"},
        {"n_components": 0},
        {"epochs": 0},
        {"batch_size": -1},
        {"lr": float("nan")},
        {"schedule": "slow"},
        {"device": "tpu"},
        {"options": {"hiden": (8,)}},
        {"options": {"hidden": (0,)}},
        {"encoder": nn.Linear(6, 2)},
    ],
    ids=str,
)
def test_bad_options_are_refused(options):
    with pytest.raises(InputError):
        small(**{"n_components": 2, **options}).fit(X)


# --- networks of one's own ----------------------------------------------------------------------


def test_own_networks_are_never_changed():
    encoder = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    decoder = nn.Sequential(nn.Linear(2, 6), nn.Dropout(0.1)).double().float()
    before = copy.deepcopy((encoder.state_dict(), decoder.state_dict()))
    encoder.eval()
    model = small(encoder=encoder, decoder=decoder, options=None, n_components=None, epochs=2)
    assert clone(model).encoder is not encoder
    model.fit(X)
    for network, state in zip((encoder, decoder), before, strict=True):
        for name, value in network.state_dict().items():
            assert torch.equal(value, state[name]), name
        assert all(p.grad is None for p in network.parameters())
    assert not encoder.training
    assert decoder.training
    assert model.encoder is encoder
    assert model.transform(X).shape == (40, 2)
    assert model.transform(X[:1]).shape == (1, 2)


def test_own_networks_that_do_not_fit_are_explained():
    fits = nn.Linear(6, 2)
    for encoder, decoder in ((nn.Linear(5, 2), nn.Linear(2, 6)), (fits, nn.Linear(2, 5))):
        model = small(encoder=encoder, decoder=decoder, options=None, n_components=None)
        with pytest.raises(IncompatibleError, match="6"):
            model.fit(X)


# --- saving, watching ---------------------------------------------------------------------------


def test_save_and_load(tmp_path):
    model = small("vae").fit(X)
    model.save(tmp_path / "new" / "folder")
    again = load(tmp_path / "new" / "folder", device="cpu")
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    np.testing.assert_array_equal(again.sample(4), model.sample(4))
    assert again.recipe == "vae"
    assert again.n_iter_ == 1
    assert again.n_features_in_ == 6


def test_a_loaded_estimator_can_be_fitted_again_in_the_same_way(tmp_path):
    model = small("vae", n_components=3, epochs=2, lr=0.004).fit(X)
    model.save(tmp_path)
    again = load(tmp_path, device="cpu").set_params(random_state=0)
    assert (again.n_components, again.epochs, again.lr) == (3, 2, 0.004)
    np.testing.assert_array_equal(clone(again).fit(X).transform(X), model.transform(X))


def test_an_observer_watches_and_may_stop():
    class Few(Observer):
        records = ()

        def epoch(self, record):
            self.records = (*self.records, record.epoch)

        def stop(self):
            return len(self.records) == 2

    few = Few()
    model = small(observer=few, epochs=9).fit(X)
    assert few.records == (1, 2, 3)
    assert model.n_iter_ == 3
