"""The layers written out by hand give what torch's own layers give."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from autoencode.nets import scratch
from autoencode.recipes import build
from autoencode.types import Batch, DataSpec, Progress

widths = st.integers(1, 12)
seeds = st.integers(0, 2**31 - 1)
leading = st.lists(st.integers(1, 4), min_size=0, max_size=3)


def gradients(output: Tensor, upstream: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(output, inputs, upstream)


@given(leading, widths, widths, seeds)
@settings(max_examples=40, deadline=None)
def test_linear_equals_torchs_in_values_and_gradients(shape, inputs, outputs, seed):
    torch.manual_seed(seed)
    layer = scratch.Linear(inputs, outputs)
    nn.init.normal_(layer.bias)
    x = torch.randn(*shape, inputs, requires_grad=True)
    ours, theirs = layer(x), F.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    upstream = torch.randn_like(ours)
    for a, b in zip(
        gradients(ours, upstream, x, layer.weight, layer.bias),
        gradients(theirs, upstream, x, layer.weight, layer.bias),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(scratch.ReLU(), nn.ReLU()), (scratch.Sigmoid(), nn.Sigmoid())]
)
@given(leading, st.floats(0.1, 30), seeds)
@settings(max_examples=40, deadline=None)
def test_activations_equal_torchs_in_values_and_gradients(ours, theirs, shape, size, seed):
    torch.manual_seed(seed)
    x = (size * torch.randn(*shape, 5)).requires_grad_()
    a, b = ours(x), theirs(x)
    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    upstream = torch.randn_like(a)
    for mine, its in zip(gradients(a, upstream, x), gradients(b, upstream, x), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("layer", [scratch.ReLU(), scratch.Sigmoid()])
def test_extreme_inputs_have_finite_values_and_gradients(layer):
    x = torch.tensor([-1e30, -100.0, -0.0, 0.0, 100.0, 1e30], requires_grad=True)
    y = layer(x)
    (grad,) = gradients(y, torch.ones_like(y), x)
    assert bool(torch.isfinite(y).all())
    assert bool(torch.isfinite(grad).all())


def test_the_sigmoid_reaches_its_ends_and_its_middle():
    x = torch.tensor([-100.0, 0.0, 100.0])
    assert scratch.sigmoid(x).tolist() == [0.0, 0.5, 1.0]


def test_the_gradient_of_relu_at_zero_is_zero():
    x = torch.zeros(3, requires_grad=True)
    scratch.relu(x).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("inputs", "outputs"), [(300, 200), (20, 700), (784, 256)])
def test_linear_starts_xavier_uniform_with_zero_bias(inputs, outputs):
    torch.manual_seed(0)
    layer = scratch.Linear(inputs, outputs)
    weight, bound = layer.weight.detach(), math.sqrt(6 / (inputs + outputs))
    assert weight.shape == (outputs, inputs)
    assert 0.99 * bound < float(weight.abs().max()) <= bound
    assert float(weight.var()) == pytest.approx(2 / (inputs + outputs), rel=0.05)
    assert float(weight.mean()) == pytest.approx(0, abs=0.02 * bound)
    assert not layer.bias.detach().any()


@given(st.integers(1, 6), widths, widths, seeds)
@settings(max_examples=20, deadline=None)
def test_gradients_agree_with_finite_differences(batch, inputs, outputs, seed):
    torch.manual_seed(seed)
    layer = scratch.Linear(inputs, outputs).double()
    x = torch.randn(batch, inputs, dtype=torch.float64, requires_grad=True)

    def network(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return scratch.sigmoid(x @ weight.T + bias)

    assert torch.equal(network(x, layer.weight, layer.bias), scratch.sigmoid(layer(x)))
    assert torch.autograd.gradcheck(network, (x, layer.weight, layer.bias))


def pair(name: str, **options):
    """A recipe of scratch layers and one of torch's with the same weights."""
    spec = DataSpec((30,))
    ours = build(name, spec, layers="scratch", seed=1, **options)
    theirs = build(name, spec, layers="torch", seed=2, **options)
    theirs.model.load_state_dict(ours.model.state_dict())
    return ours, theirs


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "gelu"])
@pytest.mark.parametrize("name", ["linear", "mlp", "mlp_small", "mlp_latent2"])
def test_a_scratch_autoencoder_holds_no_ready_made_layer_and_equals_torchs(name, activation):
    ours, theirs = pair(name, activation=activation)
    kinds = {type(module) for module in ours.model.modules()}
    assert scratch.Linear in kinds
    assert not kinds & {nn.Linear, nn.ReLU, nn.Sigmoid}
    assert scratch.Linear not in {type(module) for module in theirs.model.modules()}
    batch = Batch.from_examples(torch.rand(16, 30))
    losses, grads = [], []
    for recipe in (ours, theirs):
        loss = recipe.updates[0].objective(recipe.model, batch, Progress()).total
        loss.backward()
        losses.append(loss.detach())
        grads.append({n: p.grad for n, p in recipe.model.named_parameters()})
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=1e-6)
    for key, grad in grads[0].items():
        torch.testing.assert_close(grad, grads[1][key], rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(
            ours.model.embed(batch.x), theirs.model.embed(batch.x), rtol=1e-5, atol=1e-6
        )


def test_training_from_scratch_follows_training_with_torchs_layers():
    ours, theirs = pair("mlp", optimizer="adam", schedule="paper")
    batch = Batch.from_examples(torch.rand(32, 30))
    steppers = ours.stepper(), theirs.stepper()
    for _ in range(30):
        a, b = (float(stepper.step(batch)["loss"]) for stepper in steppers)
        assert a == pytest.approx(b, rel=1e-3)
