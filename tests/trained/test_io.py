"""Models go to files and come back the same, for every recipe."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from autoencode import RECIPES, Autoencoder, load
from autoencode.errors import InputError, ModelFileError, RunFolderError, StorageError
from autoencode.files.sealed import seal
from autoencode.trained import load_trained
from autoencode.trained.model_files import load_config, read_history
from autoencode.trained.priors import real_codes

IMAGES_ONLY = [name for name, info in RECIPES.items() if info.facts.images_only]
SMALL = {"epochs": 1, "batch_size": 8, "random_state": 0, "device": "cpu"}


def data(name, n=12):
    shape = (n, 8, 8) if name in IMAGES_ONLY else (n, 10)
    return np.random.default_rng(0).random(shape)


@pytest.fixture
def fitted(tmp_path, monkeypatch):
    plan = replace(real_codes._FLOW_PLAN, epochs=1, min_steps=5)  # of a prior that is only to be kept
    monkeypatch.setattr(real_codes, "_FLOW_PLAN", plan)

    def make(name="mlp_small", **options):
        x = data(name)
        model = Autoencoder(name, options=options, **SMALL).fit(x)
        model.save(tmp_path / "run")
        return model, x, tmp_path / "run"

    return make


@pytest.mark.parametrize("name", [name for name in RECIPES if not RECIPES[name].conditional])
def test_a_model_comes_back_the_same(fitted, name):
    model, x, folder = fitted(name)
    again = load(folder, device="cpu")
    assert set(again.model_.state_dict()) == set(model.model_.state_dict())
    for key, value in model.model_.state_dict().items():
        assert torch.equal(value, again.model_.state_dict()[key]), key
    if name in IMAGES_ONLY:  # another memory layout sums in another order
        np.testing.assert_allclose(model.transform(x), again.transform(x), rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_array_equal(model.transform(x), again.transform(x))
        np.testing.assert_array_equal(model.sample(5), again.sample(5))
        np.testing.assert_array_equal(model.reconstruct(x), again.reconstruct(x))
    assert again.trained_.recipe.plan == model.trained_.recipe.plan
    assert again.trained_.recipe.options == model.trained_.recipe.options
    assert again.trained_.spec == model.trained_.spec
    assert again.history_ == model.history_


@pytest.mark.parametrize(
    "options",
    [
        {"layers": "scratch"},
        {"hidden": ()},
        {"hidden": (7, 5), "latent_dim": 3, "normalization": "layer", "dropout": 0.2},
        {"noise": "gaussian", "code_activation": "tanh", "loss": "sse"},
    ],
)
def test_options_come_back_too(fitted, options):
    model, x, folder = fitted("mlp", **options)
    np.testing.assert_array_equal(model.transform(x), load(folder, device="cpu").transform(x))


def test_data_that_were_standardised_come_back_in_their_units(tmp_path):
    x = np.random.default_rng(0).normal(100, [1, 20, 300], size=(30, 3))
    model = Autoencoder("linear", 2, **SMALL).fit(x)
    model.save(tmp_path)
    again = load(tmp_path, device="cpu")
    assert again.trained_.spec.offset == model.trained_.spec.offset
    np.testing.assert_array_equal(model.reconstruct(x), again.reconstruct(x))


def test_files_hold_no_pickle_no_code_and_no_device(fitted):
    _, _, folder = fitted()
    names = {path.name for path in folder.iterdir()}
    model = {"config.json", "model.safetensors", "history.jsonl"}
    assert names == model | {"estimator.json", "estimator.safetensors"}
    text = (folder / "config.json").read_text()
    assert "cuda" not in text
    assert "device" not in text
    config = json.loads(text, parse_constant=pytest.fail)
    weights = (folder / "model.safetensors").read_bytes()
    assert config["weights_sha256"] == hashlib.sha256(weights).hexdigest()


def test_the_same_fit_writes_the_same_weights(tmp_path):
    for name in "ab":
        Autoencoder("vae", **SMALL).fit(data("vae")).save(tmp_path / name)
    a, b = ((tmp_path / name / "model.safetensors").read_bytes() for name in "ab")
    assert a == b


def test_own_networks_are_asked_for_and_fit(tmp_path):
    def networks():
        encoder = nn.Sequential(nn.Linear(10, 4), nn.Tanh(), nn.Linear(4, 2))
        return {"encoder": encoder, "decoder": nn.Linear(2, 10)}

    x = data("mlp")
    model = Autoencoder("mlp", **networks(), **SMALL).fit(x)
    model.save(tmp_path)
    with pytest.raises(ModelFileError, match="encoder= and decoder="):
        load(tmp_path, device="cpu")
    with pytest.raises(ModelFileError, match="both"):
        load_trained(tmp_path, encoder=networks()["encoder"])
    with pytest.raises(ModelFileError, match="does not fit"):
        load_trained(tmp_path, encoder=nn.Linear(10, 2), decoder=nn.Linear(2, 10))
    again = load(tmp_path, device="cpu", **networks())
    np.testing.assert_array_equal(model.transform(x), again.transform(x))


def test_networks_for_a_run_without_own_ones_do_not_fit(fitted):
    _, _, folder = fitted()
    with pytest.raises(ModelFileError, match="does not fit"):
        load(folder, device="cpu", encoder=nn.Linear(10, 2), decoder=nn.Linear(2, 10))


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(RunFolderError, match="no run folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match=r"config\.json"):
        load(tmp_path)
    (tmp_path / "resume").mkdir()
    with pytest.raises(RunFolderError, match=r"did not finish.*--resume"):
        load_config(tmp_path)
    assert read_history(tmp_path / "nowhere") == []


def test_a_model_that_was_never_fitted_or_has_no_place(tmp_path, fitted):
    model, _, _ = fitted()
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match="cannot write"):
            model.save(folder)


def test_a_lie_about_the_size_costs_no_memory(fitted):
    """The model that is asked for would take 24 GB for its first layer and is never made."""
    _, _, folder = fitted("mlp")
    config = json.loads((folder / "config.json").read_text())
    config["options"]["hidden"] = [10**9, 10**9]
    del config["sha256"]
    (folder / "config.json").write_bytes(seal(config))
    with pytest.raises(InputError, match="does not fit its configuration"):
        load_trained(folder)


def test_loading_draws_no_random_numbers(fitted):
    _, _, folder = fitted()
    before = torch.get_rng_state()
    load_trained(folder)
    assert torch.equal(before, torch.get_rng_state())
