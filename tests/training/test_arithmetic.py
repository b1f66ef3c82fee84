"""bfloat16 and compiled steps: what they change, and what they leave as it was."""

import shutil
from functools import partial

import pytest
import torch
from torch import nn

from autoencode import DataSpec, build
from autoencode.data import Examples, Resident
from autoencode.errors import IncompatibleError
from autoencode.objectives import Linear, WeightedSum, mean_squared_error
from autoencode.training import TrainingPlan, Update, fit
from autoencode.training.precision import Bfloat16, Compiled
from autoencode.types import Batch, Progress

SPEC = DataSpec((1, 8, 8))
SMALL = {"mlp": {"hidden": (16,), "latent_dim": 3}, "vae": {"hidden": (16,), "latent_dim": 3}}
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


def source(n: int = 70) -> Resident:
    torch.manual_seed(0)
    return Resident(Examples(torch.rand(n, 1, 8, 8).numpy()), SPEC)


def trained(name: str, n: int = 70, **figures):
    figures = {"epochs": 2, "batch_size": 32, "lr": 1e-3, **figures}
    recipe = build(name, SPEC, schedule="paper", **SMALL.get(name, {}), **figures)
    return recipe, fit(recipe.model, recipe.updates, source(n), recipe.plan, validation=source(20))


# bfloat16


@pytest.mark.parametrize("name", ["mlp", "vae", "conv_small"])
def test_bfloat16_learns_what_float32_learns_to_its_8_bits(name):
    _, full = trained(name)
    recipe, half = trained(name, precision="bf16")
    losses = [[r.losses["loss"] for r in records] for records in (full, half)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert {p.dtype for p in recipe.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["mlp", "vae"])
def test_bfloat16_ends_at_the_networks(name):
    seen = {}

    class Watching(WeightedSum):
        def losses(self, model, batch, output, progress):
            seen["mean"] = output.x_dist.mean.dtype
            for site in output.latent.sites.values():
                seen["loc"] = site.posterior.loc.dtype
            losses = super().losses(model, batch, output, progress)
            seen["loss"] = losses.total.dtype
            return losses

    recipe = build(name, SPEC, **SMALL[name])
    objective = Bfloat16(Watching(recipe.updates[0].objective.terms))
    layers = []
    recipe.model.decoder.register_forward_hook(lambda module, x, y: layers.append(y.dtype))
    objective(recipe.model, Batch.from_examples(torch.rand(4, 1, 8, 8)), Progress()).total.backward()
    assert layers == [torch.bfloat16]
    assert set(seen.values()) == {torch.float32}
    assert {p.grad.dtype for p in recipe.model.parameters()} == {torch.float32}


def test_validation_and_embedding_stay_float32():
    recipe = build("mlp", SPEC, **SMALL["mlp"])
    objective, batch = recipe.updates[0].objective, Batch.from_examples(torch.rand(4, 1, 8, 8))
    with torch.no_grad():
        plain = objective(recipe.model, batch, Progress())
        half = Bfloat16(objective)(recipe.model, batch, Progress())
    assert plain.total == half.total
    _, records = trained("mlp", precision="bf16", lr=1e-30)
    _, full = trained("mlp", lr=1e-30)
    assert records[-1].validation == full[-1].validation


# Compiled


@pytest.mark.slow
@needs_compiler
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler imports what it deprecates
def test_a_compiled_run_learns_the_same():
    _, plain = trained("mlp")
    _, compiled = trained("mlp", compile=True)  # 70 rows: the last batch has another size
    for a, b in zip(plain, compiled, strict=True):
        assert b.losses == pytest.approx(a.losses, rel=1e-4)
        assert b.validation == pytest.approx(a.validation, rel=1e-4)


def test_a_run_of_compiled_graphs_learns_the_same(monkeypatch):
    """The graphs of forward and backward as the compiler gets them, run without C++."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True))
    torch._dynamo.reset()
    _, plain = trained("mlp")
    _, compiled = trained("mlp", compile=True)
    for a, b in zip(plain, compiled, strict=True):
        assert b.losses == pytest.approx(a.losses, rel=1e-4)
        assert b.validation == pytest.approx(a.validation, rel=1e-4)


def traced(monkeypatch) -> list[int]:
    """Leaves the C++ compiler out; the sizes of the graphs that are traced."""
    sizes = []

    def count(graph, example_inputs):
        sizes.append(len(graph.graph.nodes))
        return graph

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=count, fullgraph=True))
    torch._dynamo.reset()
    return sizes


@pytest.mark.parametrize("name", ["mlp", "vae", "conv_small"])
def test_a_whole_objective_is_one_graph_and_validation_is_none(monkeypatch, name):
    sizes = traced(monkeypatch)
    _, compiled = trained(name, compile=True)
    assert len(sizes) == 1
    _, plain = trained(name)
    for one, other in zip(compiled, plain, strict=True):
        assert one.losses == pytest.approx(other.losses, rel=1e-5)


def test_a_weight_that_moves_is_not_compiled_at_every_step(monkeypatch):
    sizes = traced(monkeypatch)
    recipe = build("vae", SPEC, **SMALL["vae"])
    objective = Compiled(WeightedSum(recipe.updates[0].objective.terms, kl=Linear(0.0, 1.0)))
    batch = Batch.from_examples(torch.rand(4, 1, 8, 8))
    totals = [objective(recipe.model, batch, Progress(step, 20)) for step in range(20)]
    assert len(sizes) <= 2
    assert len({float(losses.total.detach()) for losses in totals}) == 20


def test_without_a_compiler_the_error_says_what_to_do(monkeypatch):
    def broken(*args, **kwargs):
        def call(*args):
            raise torch._dynamo.exc.BackendCompilerFailed(lambda: None, RuntimeError("no g++"), None)

        return call

    monkeypatch.setattr(torch, "compile", broken)
    model = nn.Linear(2, 2)
    objective = Compiled(WeightedSum({"mse": mean_squared_error}))
    with pytest.raises(IncompatibleError, match=r"compile=true needs a working C\+\+ compiler"):
        objective(model, Batch.from_examples(torch.rand(2, 2)), Progress())


def test_a_plan_arranges_both_and_nothing_by_default():
    objective = WeightedSum({"mse": mean_squared_error})
    updates = (Update(objective, (nn.Linear(2, 2),)),)
    assert TrainingPlan().arrange(updates) == updates
    (both,) = TrainingPlan(precision="bf16", compile=True).arrange(updates)
    assert isinstance(both.objective, Compiled)
    assert isinstance(both.objective.objective, Bfloat16)
    assert both.objective.unit == objective.unit
