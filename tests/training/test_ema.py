"""Averaged weights: what they are, what they are used for, and that a run goes on with them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from autoencode import Trained, build, load_data
from autoencode.data import Resident
from autoencode.errors import IncompatibleError, ModelFileError, OptionError
from autoencode.recipes import RECIPES
from autoencode.runs import training as runs
from autoencode.trained import load_trained
from autoencode.training import Observer, TrainingPlan, fit
from autoencode.training.loop import evaluate_losses
from autoencode.training.sharding import refuse_unfit
from autoencode.training.weight_average import WeightAverage
from autoencode.types import DataSpec, Progress

SMALL = {"hidden": (8,), "latent_dim": 3, "epochs": 3, "batch_size": 200}


def exact(weights: list[torch.Tensor], decay: float) -> torch.Tensor:
    shares = torch.tensor([decay ** (len(weights) - 1 - i) for i in range(len(weights))])
    stacked = torch.stack(weights).double()
    return (shares.double() / shares.sum()) @ stacked.flatten(1)


@given(st.floats(0.01, 0.9999), st.integers(1, 30), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_it_is_the_mean_with_shares_that_fall_geometrically(decay, n, seed):
    model = nn.Linear(3, 2)
    average = WeightAverage(model, decay)
    generator = torch.Generator().manual_seed(seed)
    seen = []
    for step in range(1, n + 1):
        with torch.no_grad():
            model.weight.copy_(torch.randn(2, 3, generator=generator))
        seen.append(model.weight.detach().clone())
        average.update(step)
    expected = exact(seen, decay).view(2, 3).float()
    torch.testing.assert_close(average.state_dict()["weight"], expected, atol=1e-5, rtol=1e-4)
    with average.in_place():
        torch.testing.assert_close(model.weight.detach(), expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(model.weight.detach(), seen[-1])


class Weights(Observer):
    """Keeps the weights after every step."""

    def __init__(self, model):
        self.model, self.seen = model, []

    def step(self, step):
        self.seen.append(torch.cat([p.detach().flatten() for p in self.model.parameters()]).clone())


def trained(seed=0, **figures):
    data = load_data("digits")
    recipe = build("mlp_small", data.spec, seed=seed, latent_dim=3)
    plan = TrainingPlan(**{"epochs": 2, "batch_size": 200, "lr": 1e-2, "doctor": False, **figures})
    source, held_out = Resident(data.train, data.spec), Resident(data.test, data.spec)
    watch = Weights(recipe.model)
    records = fit(
        recipe.model, recipe.updates, source, plan, validation=held_out, seed=seed, observer=watch
    )
    return recipe, records, watch.seen, held_out


def test_training_goes_on_as_without_and_ends_with_the_mean_of_its_weights():
    plain, _, steps, _ = trained()
    averaged, records, same_steps, held_out = trained(ema=0.9)
    assert all(torch.equal(a, b) for a, b in zip(steps, same_steps, strict=True))
    final = torch.cat([p.detach().flatten() for p in averaged.model.parameters()])
    torch.testing.assert_close(final.double(), exact(steps, 0.9), atol=1e-6, rtol=1e-5)
    assert not torch.equal(final, torch.cat([p.detach().flatten() for p in plain.model.parameters()]))
    losses = evaluate_losses(averaged.model, averaged.updates[0].objective, held_out, Progress())
    assert records[-1].validation["loss"] == losses["loss"]  # it was measured with them


def test_the_best_of_them_is_kept_with_patience():
    recipe, records, _, held_out = trained(ema=0.9, epochs=30, patience=2, lr=0.05)
    losses = evaluate_losses(recipe.model, recipe.updates[0].objective, held_out, Progress())
    assert losses["loss"] == min(record.validation["loss"] for record in records)


@pytest.mark.parametrize("name", ["mlp", "vqvae"])
def test_a_run_goes_on_after_a_break_to_the_bit(tmp_path, name):
    class StopAt(Observer):
        def __init__(self, at):
            self.at, self.now = at, 0

        def step(self, step):
            self.now = step

        def stop(self):
            return self.now >= self.at

    options = {"epochs": 3, "batch_size": 200, "ema": 0.95}
    small = {"channels": (4, 8), "n_codes": 8, "code_dim": 4} if name == "vqvae" else {"hidden": (8,)}
    options |= small
    whole = runs.train("digits", name, **options)
    stopped = runs.train("digits", name, out=tmp_path / "run", observer=StopAt(11), **options)
    assert not stopped.complete
    halfway = load_trained(tmp_path / "run").model.state_dict()
    run = runs.resume(tmp_path / "run")
    assert run.complete
    for key, value in whole.trained.model.state_dict().items():
        assert torch.equal(value, run.trained.model.state_dict()[key]), key
    assert any(not torch.equal(v, halfway[k]) for k, v in run.trained.model.state_dict().items())
    x = whole.data.test.x
    saved = load_trained(tmp_path / "run")
    assert np.array_equal(saved.embed(x), Trained(whole.trained.recipe).embed(x))


def test_states_of_other_models_are_refused():
    average = WeightAverage(nn.Linear(3, 2), 0.9)
    with pytest.raises(ModelFileError, match="holds no averaged weights of this model"):
        average.load_state_dict({})
    with pytest.raises(ModelFileError, match="holds no averaged weights of this model"):
        average.load_state_dict(WeightAverage(nn.Linear(2, 2), 0.9).state_dict())


def test_what_cannot_be_is_refused():
    for decay in (1.0, -0.1, 2.0):
        with pytest.raises(OptionError, match=r"option ema: must lie in \[0, 1\)"):
            build("mlp", DataSpec((4,)), ema=decay)
    recipe = build("mlp", DataSpec((4,)))
    with pytest.raises(IncompatibleError, match="ema averages whole weights"):
        refuse_unfit(TrainingPlan(ema=0.9, shard=True), recipe.updates, recipe.model)


def test_it_is_on_where_the_paper_has_it():
    assert {name for name, info in RECIPES.items() if info.paper.ema} == {"vdvae"}
    assert RECIPES["vdvae"].paper.ema == 0.999
