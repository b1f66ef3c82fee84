"""Dictionaries: where their atoms start, how dead units are revived, and what is found."""

import json

import numpy as np
import pytest
import torch

from autoencode import Autoencoder
from autoencode.data import Examples, Resident
from autoencode.models import AutoencoderModule, DictionaryAutoencoder
from autoencode.recipes import build
from autoencode.training import TrainingState, fit
from autoencode.types import Batch, DataSpec

DICTIONARIES = ("sparse", "topk", "batch_topk", "jumprelu", "matryoshka_sparse")
TABLE = DataSpec((16,), "real")


def rows(
    n: int = 200, columns: int = 16, atoms: int = 20, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(atoms, columns))
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    codes = (rng.random((n, atoms)) < 2 / atoms) * rng.uniform(0.5, 1.5, (n, atoms))
    x = codes @ true + 0.02 * rng.normal(size=(n, columns))
    return torch.from_numpy(x).float(), torch.from_numpy(true).float()


@pytest.mark.parametrize("name", DICTIONARIES)
def test_the_encoder_starts_as_the_transposed_decoder(name):
    model = build(name, TABLE, latent_dim=24).model
    assert isinstance(model, DictionaryAutoencoder)
    atoms = torch.nn.functional.normalize(model.decoder.atoms, dim=0)
    torch.testing.assert_close(model.bottleneck.project.weight, atoms.T)


@pytest.mark.parametrize("name", DICTIONARIES)
def test_images_contexts_gaps_and_layers_leave_a_dictionary_as_it_was(name):
    assert type(build(name, DataSpec((1, 6, 6)), latent_dim=24).model) is AutoencoderModule
    assert (
        type(build(name, DataSpec((16,), "real", gaps=True), latent_dim=24).model) is AutoencoderModule
    )
    assert type(build(name, TABLE, latent_dim=24, revive_after=0).model) is AutoencoderModule
    if name == "topk":
        assert type(build(name, TABLE, latent_dim=24, hidden=(8,)).model) is AutoencoderModule


@pytest.mark.parametrize("name", DICTIONARIES)
def test_a_dead_unit_starts_again_at_the_example_that_is_explained_worst(name):
    x, _ = rows()
    model = build(name, TABLE, latent_dim=24, revive_after=1000).model.train()
    with torch.no_grad():
        left = x - model.reconstruct(x)
        worst = int(left.square().sum(1).argmax())
        model.idle[5] = 1000.0
    model(Batch.from_examples(x))
    expected = torch.nn.functional.normalize(left[worst], dim=0)
    torch.testing.assert_close(model.decoder.atoms[:, 5], expected)
    torch.testing.assert_close(model.bottleneck.project.weight[5], expected)
    assert float(model.bottleneck.project.bias.detach()[5]) == 0
    assert float(model.idle[5]) <= len(x)


def test_units_are_counted_and_revived_while_learning_only():
    x, _ = rows()
    model = build("topk", TABLE, latent_dim=64, k=1, revive_after=1000).model.train()
    with torch.no_grad():
        model(Batch.from_examples(x))
    assert bool((model.idle == 0).all())
    model(Batch.from_examples(x))
    fired = (model.embed(x) != 0).any(0)
    torch.testing.assert_close(model.idle, torch.where(fired, 0.0, 200.0))
    model.idle.fill_(2000.0)
    before = model.decoder.atoms.clone()
    model.eval()(Batch.from_examples(x))
    torch.testing.assert_close(model.decoder.atoms, before)


def test_jumprelu_lowers_the_threshold_of_a_revived_unit():
    x, _ = rows()
    model = build("jumprelu", TABLE, latent_dim=24, threshold=0.5, revive_after=1000).model.train()
    with torch.no_grad():
        model.bottleneck.log_threshold.fill_(9.0)
        model.idle[3] = 1000.0
    model(Batch.from_examples(x))
    assert float(model.bottleneck.log_threshold.detach()[3].exp()) == pytest.approx(0.5)
    assert float(model.bottleneck.log_threshold.detach()[4]) == 9.0


class States:
    """Keeps the state after every step."""

    def __init__(self):
        self.kept = []

    def due(self):
        return True

    def keep(self, state):
        tensors = {name: tensor.clone() for name, tensor in state.tensors.items()}
        facts = json.loads(json.dumps(state.facts()))
        self.kept.append(TrainingState.from_dict(facts, tensors))


@pytest.mark.parametrize("name", DICTIONARIES)
def test_a_run_that_goes_on_revives_the_same_units(name, monkeypatch):
    x, _ = rows(96)
    source, revived, revive = Resident(Examples(x.numpy()), TABLE), [], DictionaryAutoencoder._revive

    def counting(model, batch):
        revived.append(int((model.idle >= model.patience).sum()))
        revive(model, batch)

    def trained(**more):
        figures = {"epochs": 3, "min_steps": 0, "batch_size": 16, "keep": "last", "patience": 0}
        recipe = build(name, TABLE, latent_dim=200, revive_after=40, **figures)
        fit(recipe.model, recipe.updates, source, recipe.plan, **more)
        return recipe.model.state_dict()

    monkeypatch.setattr(DictionaryAutoencoder, "_revive", counting)
    keeper = States()
    whole = trained(keeper=keeper)
    assert sum(revived[9:]) > 0  # after the state from which the last of these goes on
    for state in (keeper.kept[3], keeper.kept[8]):
        again = trained(resume=state)
        for key, tensor in whole.items():
            assert torch.equal(again[key], tensor), (state.position, key)


def test_components_say_what_a_unit_adds_in_the_units_of_the_data():
    x, _ = rows()
    x = x.numpy() * np.linspace(0.1, 10, 16)
    for name in ("topk", "sparse", "linear"):
        ae = Autoencoder(name, 24, epochs=1, random_state=0).fit(x)
        z = np.zeros((2, 24), dtype=np.float32)
        z[1, 4] = 2.0
        none, one = ae.inverse_transform(z)
        assert ae.components_.shape == (24, 16)
        np.testing.assert_allclose(one - none, 2 * ae.components_[4], rtol=1e-3, atol=1e-4)
    with pytest.raises(AttributeError, match="is not linear and has no components"):
        _ = Autoencoder("mlp", 2, epochs=1, random_state=0).fit(x).components_
    assert not hasattr(Autoencoder("vae", 2, epochs=1, random_state=0).fit(x), "components_")


def test_a_dictionary_is_found_and_none_of_its_units_is_dead():
    x, true = rows(3000)
    options = {"k": 2, "min_steps": 1500}
    ae = Autoencoder("batch_topk", 20, random_state=0, options=options, lr=0.01).fit(x.numpy())
    learned = torch.nn.functional.normalize(torch.from_numpy(ae.components_), dim=1)
    assert int(((learned @ true.T).max(0).values > 0.9).sum()) >= 17
    codes = ae.transform(x.numpy())
    assert (codes != 0).any(0).all()
    assert (codes != 0).sum(1).mean() == pytest.approx(2, abs=0.3)
