"""Terms of regularised autoencoders against closed forms, loops by hand and autograd."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from torch import nn

from autoencode.bottlenecks import Plain, UnitSphere
from autoencode.errors import IncompatibleError
from autoencode.likelihoods import Gaussian
from autoencode.models import AutoencoderModule
from autoencode.objectives import (
    Staged,
    WeightedSum,
    contraction,
    decoder_weights,
    half_square,
    l1,
    mean_squared_error,
    penalty,
    prior_mmd,
    reconstruction,
    sliced_wasserstein,
    smoothness,
    sparsity,
    squared_error,
)
from autoencode.objectives.discrepancies import (
    SCALES,
    kernel,
    squared_mmd,
    squared_sliced_wasserstein,
)
from autoencode.objectives.jacobians import squared_jacobian
from autoencode.priors import StandardNormal
from autoencode.recipes import Recipe, build
from autoencode.training import Update
from autoencode.types import Batch, DataSpec, Progress


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def module(encoder, decoder=None, bottleneck=None, prior=None):
    decoder = decoder or nn.Linear(2, 4)
    return AutoencoderModule(encoder, decoder, bottleneck or Plain(), Gaussian(1), prior)


def term_of(term, model, x):
    batch = Batch.from_examples(x)
    return term(model, batch, model(batch), Progress())


# Contractive


def test_the_contraction_of_a_linear_encoder_is_the_squared_norm_of_its_matrix():
    encoder = nn.Linear(4, 2)
    value = term_of(contraction(), module(encoder), torch.randn(5, 4))
    expected = encoder.weight.detach().square().sum().expand(5)
    torch.testing.assert_close(value.detach(), expected)


def test_the_contraction_of_a_sigmoid_layer_is_the_papers_formula():
    layer = nn.Linear(4, 2)
    x = torch.randn(5, 4)
    value = term_of(contraction(), module(nn.Sequential(layer, nn.Sigmoid())), x)
    h = torch.sigmoid(layer(x))
    # sum_j (h_j (1 - h_j))² sum_i W_ji²
    expected = ((h * (1 - h)).square() * layer.weight.square().sum(1)).sum(1)
    torch.testing.assert_close(value, expected)


def test_the_contraction_of_any_encoder_and_its_gradient_are_those_of_autograds_jacobian():
    encoder = nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 2))
    x = torch.randn(5, 4)
    value = term_of(contraction(), module(encoder), x)
    by_hand = []
    for one in x:
        jacobian = torch.autograd.functional.jacobian(encoder, one, create_graph=True)
        by_hand.append(jacobian.square().sum())
    expected = torch.stack(by_hand)
    torch.testing.assert_close(value, expected)
    parameters = list(encoder.parameters())[:3]
    gradients = torch.autograd.grad(value.mean(), parameters)
    for got, want in zip(gradients, torch.autograd.grad(expected.mean(), parameters), strict=True):
        torch.testing.assert_close(got, want)


def test_the_estimate_of_a_jacobians_norm_has_the_right_mean():
    network = nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 6))
    x = torch.randn(3, 4)
    exact = squared_jacobian(network, x)
    draws = torch.stack([squared_jacobian(network, x, exact=False).detach() for _ in range(4000)])
    standard_error = draws.std(0) / math.sqrt(len(draws))
    assert bool(((draws.mean(0) - exact.detach()).abs() < 4 * standard_error).all())


def test_derivatives_are_measured_without_gradients_too():
    model = module(nn.Linear(4, 2))
    x = torch.randn(5, 4)
    with torch.no_grad():
        for term in (contraction(), smoothness()):
            value = term_of(term, model, x)
            assert not value.requires_grad
            assert bool((value > 0).all())


def test_a_wide_code_has_no_exact_contraction():
    recipe = build("contractive", DataSpec((3,)), latent_dim=1025, jacobian="estimate")
    assert recipe.latent_shape == (1025,)
    with pytest.raises(IncompatibleError, match=r"'contraction' would take 1025.*jacobian=estimate"):
        build("contractive", DataSpec((3,)), latent_dim=1025, jacobian="exact")


# Regularised autoencoders


def test_the_smoothness_of_a_linear_decoder_is_half_its_squared_norm():
    decoder = nn.Linear(2, 4)
    value = term_of(smoothness(exact=True), module(nn.Linear(4, 2), decoder), torch.randn(5, 4))
    expected = 0.5 * decoder.weight.detach().square().sum().expand(5)
    torch.testing.assert_close(value.detach(), expected)


def test_the_smoothness_teaches_the_encoder_as_well():
    decoder = nn.Sequential(nn.Linear(2, 4), nn.Tanh())
    model = module(nn.Linear(4, 2), decoder)
    term_of(smoothness(exact=True), model, torch.randn(5, 4)).mean().backward()
    assert float(model.encoder.weight.grad.abs().sum()) > 0


def test_the_other_terms_of_a_regularised_autoencoder_are_plain_sums():
    model, x = module(nn.Linear(4, 2)), torch.randn(5, 4)
    z = model.embed(x).detach()
    torch.testing.assert_close(term_of(half_square, model, x)[0].detach(), 0.5 * z.square().sum(1))
    torch.testing.assert_close(term_of(l1, model, x)[0].detach(), z.abs().sum(1))
    weights = sum(float(p.detach().square().sum()) for p in model.decoder.parameters())
    assert float(term_of(decoder_weights, model, x).detach()) == pytest.approx(weights)


# Sparsity


def test_sparsity_is_the_divergence_of_bernoullis_summed_over_units():
    z = torch.rand(1, 6, 3)
    model = module(nn.Identity(), nn.Linear(3, 3))
    value = term_of(sparsity(0.1), model, z[0])
    wanted, mean = torch.full((3,), 0.1), z[0].mean(0)
    bernoulli = torch.distributions.Bernoulli
    expected = torch.distributions.kl_divergence(bernoulli(wanted), bernoulli(mean)).sum()
    torch.testing.assert_close(value, expected)
    assert float(term_of(sparsity(0.1), model, torch.full((6, 3), 0.1))) == pytest.approx(0, abs=1e-6)


def test_sparsity_asks_for_a_code_between_0_and_1():
    with pytest.raises(IncompatibleError, match=r"'sparsity' needs a code in \[0, 1\].*sigmoid"):
        build_with(sparsity(0.1), nn.Linear(4, 2))
    with pytest.raises(IncompatibleError, match="must lie in"):
        sparsity(1.0)


def build_with(term, encoder):
    model = module(encoder)
    objective = WeightedSum({"mse": mean_squared_error, "sparsity": term})
    return Recipe(model, (Update(objective, (model,)),), DataSpec((4,))).check()


def test_a_penalty_that_the_bottleneck_does_not_have_is_named():
    objective = WeightedSum({"mse": mean_squared_error, "commitment": penalty("commitment")})
    model = module(nn.Linear(4, 2))
    recipe = Recipe(model, (Update(objective, (model,)),), DataSpec((4,)))
    with pytest.raises(IncompatibleError, match=r"'commitment'.*this one has none; use a bottleneck"):
        recipe.check()


def test_regularisers_go_beside_terms_of_any_unit():
    for first in (reconstruction, mean_squared_error, squared_error):
        assert WeightedSum({"first": first, "l1": l1}, l1=0.1).unit == first.unit
    with pytest.raises(IncompatibleError, match="different units"):
        WeightedSum({"a": reconstruction, "b": squared_error, "l1": l1})


# Discrepancies


def test_the_mmd_is_that_of_a_loop_over_all_pairs():
    a, b = torch.randn(7, 3), torch.randn(7, 3) + 1

    def k(x, y):
        gap = float((x - y).square().sum())
        return sum(2 * 3 * s / (2 * 3 * s + gap) for s in SCALES)

    n = len(a)
    total = 0.0
    for i in range(n):
        for j in range(n):
            if i != j:
                total += (k(a[i], a[j]) + k(b[i], b[j])) / (n * (n - 1))
            total -= 2 * k(a[i], b[j]) / n**2
    assert float(squared_mmd(a, b)) == pytest.approx(total, rel=1e-5)


@given(st.integers(2, 8), st.integers(1, 4), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_mmd_of_equal_samples_is_zero_and_never_negative_with_all_pairs(n, width, seed):
    g = torch.Generator().manual_seed(seed)
    a, b = torch.randn(n, width, generator=g), torch.randn(n, width, generator=g)
    assert float(squared_mmd(a, a, unbiased=False)) == 0.0
    assert float(squared_mmd(a, a[torch.randperm(n, generator=g)], unbiased=False)) == pytest.approx(
        0, abs=1e-5
    )
    assert float(squared_mmd(a, b, unbiased=False)) >= -1e-5


def test_the_unbiased_mmd_of_one_distribution_is_zero_on_average():
    draws = [float(squared_mmd(torch.randn(20, 2), torch.randn(20, 2))) for _ in range(400)]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / math.sqrt(len(draws))
    assert float(squared_mmd(torch.randn(50, 2), torch.randn(50, 2) + 2)) > 5 * np.std(draws)


def test_the_kernel_of_a_point_with_itself_is_the_number_of_scales():
    a = torch.randn(4, 3)
    torch.testing.assert_close(kernel(a, a).diagonal(), torch.full((4,), float(len(SCALES))))


def test_the_sliced_distance_in_one_dimension_is_that_of_sorted_numbers():
    a, b = torch.tensor([[3.0], [1.0], [2.0]]), torch.tensor([[0.0], [5.0], [1.0]])
    # 1-0, 2-1, 3-5
    value = squared_sliced_wasserstein(a, b, torch.ones(1, 1))
    assert float(value) == pytest.approx((1 + 1 + 4) / 3)
    assert float(squared_sliced_wasserstein(a, b, -7 * torch.ones(1, 1))) == pytest.approx(2.0)


def test_the_sliced_distance_bounds_scipys_wasserstein_distance_of_each_projection():
    a, b, directions = torch.randn(40, 3), torch.randn(40, 3) + 1, torch.randn(1, 3)
    unit = directions[0] / directions.norm()
    one = wasserstein_distance((a @ unit).numpy(), (b @ unit).numpy())  # of absolute differences
    two = math.sqrt(float(squared_sliced_wasserstein(a, b, directions)))
    assert one <= two + 1e-6
    shifted = squared_sliced_wasserstein(a, a + 2 * unit, directions)
    assert float(shifted) == pytest.approx(4.0, rel=1e-4)


@pytest.mark.parametrize("term", [prior_mmd, sliced_wasserstein(100)], ids=["mmd", "sliced"])
def test_codes_like_the_prior_are_nearer_to_it_than_others(term):
    model = module(nn.Identity(), nn.Linear(2, 2), prior=StandardNormal((2,)))
    x = torch.randn(200, 2)
    like, far = term_of(term, model, x), term_of(term, model, 3 * x + 1)
    assert float(like) < 0.2
    assert float(far) > 3 * abs(float(like))


def test_one_code_has_no_discrepancy():
    model = module(nn.Linear(4, 2), prior=StandardNormal((2,)))
    assert float(term_of(prior_mmd, model, torch.randn(1, 4)).detach()) == 0.0


@pytest.mark.parametrize("name", ["wae_mmd", "swae"])
def test_a_wasserstein_autoencoder_samples_from_its_prior(name):
    model = build(name, DataSpec((30,)), latent_dim=3).model
    z = model.sample_latent(4000)
    assert float(z.mean().abs()) < 0.05
    assert float(z.std()) == pytest.approx(1, abs=0.05)


# Codes on a sphere


@given(st.integers(1, 6), st.integers(2, 9), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_codes_on_the_sphere_are_centred_and_of_length_1(n, width, seed):
    h = 5 * torch.randn(n, width, generator=torch.Generator().manual_seed(seed)) + 3
    z = UnitSphere()(h)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(n), rtol=0, atol=1e-4)
    torch.testing.assert_close(z.mean(1), torch.zeros(n), rtol=0, atol=1e-4)


# Stages


def test_stages_follow_each_other_by_the_share_of_training_that_is_over():
    objectives = [WeightedSum({name: mean_squared_error}) for name in ("a", "b", "c")]
    staged = Staged(objectives, [0.2, 0.5, 1.0])
    model, batch = module(nn.Linear(4, 2)), Batch.from_examples(torch.randn(5, 4))
    seen = [next(iter(staged(model, batch, Progress(i, 10)).terms)) for i in range(11)]
    assert seen == [*"aa", *"bbb", *"cccccc"]
    assert staged.weights(Progress(3, 10)) == {"stage 1": 0.0, "stage 2": 1.0, "stage 3": 0.0}
    for ends in ([0.2, 0.5], [0.5, 0.2, 1.0], [0.2, 0.5, 0.9]):
        with pytest.raises(IncompatibleError, match="rise to 1"):
            Staged(objectives, ends)
    with pytest.raises(IncompatibleError, match="different units"):
        Staged([objectives[0], WeightedSum({"nll": reconstruction})], [0.5, 1.0])


def moved(recipe, step):
    """The parameters that a step moves."""
    before = {name: p.detach().clone() for name, p in recipe.model.named_parameters()}
    stepper = recipe.stepper()
    stepper.step(Batch.from_examples(torch.rand(16, 30)), Progress(step, 100))
    return {name for name, p in recipe.model.named_parameters() if not torch.equal(before[name], p)}


def test_a_stacked_autoencoder_trains_one_layer_after_the_other_and_then_all():
    def fresh():
        return build("stacked", DataSpec((30,)), hidden=(20, 10), latent_dim=5, pretraining=0.6)

    def names(*parts):
        return {f"{part}.{kind}" for part in parts for kind in ("weight", "bias")}

    assert moved(fresh(), 0) == names("encoder.layers.0", "decoder.output")
    assert moved(fresh(), 25) == names("encoder.layers.2", "decoder.layers.2")
    assert moved(fresh(), 50) == names("bottleneck.project", "decoder.layers.0")
    assert moved(fresh(), 60) == {name for name, _ in fresh().model.named_parameters()}


def test_the_first_layers_loss_is_that_of_an_autoencoder_of_one_layer():
    recipe = build("stacked", DataSpec((30,)), hidden=(20, 10), latent_dim=5)
    x, model = torch.rand(16, 30), recipe.model
    loss = recipe.updates[0].objective(model, Batch.from_examples(x), Progress(0, 100)).total
    hidden = torch.sigmoid(model.encoder.layers[0](x))
    made = torch.sigmoid(model.decoder.output(hidden))
    torch.testing.assert_close(loss, (made - x).square().mean())
    second = recipe.updates[0].objective(model, Batch.from_examples(x), Progress(20, 100)).total
    made = torch.sigmoid(model.decoder.layers[2](torch.sigmoid(model.encoder.layers[2](hidden))))
    torch.testing.assert_close(second, (made - hidden).square().mean())


def test_the_noise_of_a_stacked_autoencoder_is_in_each_layers_input_and_not_in_its_target():
    options = {"hidden": (20,), "latent_dim": 5, "noise": "masking", "noise_level": 0.999999}
    recipe = build("stacked", DataSpec((30,)), **options)
    x, model = torch.rand(16, 30), recipe.model
    loss = recipe.updates[0].objective(model, Batch.from_examples(x), Progress(0, 100)).total
    hidden = torch.sigmoid(model.encoder.layers[0](torch.zeros_like(x)))
    made = torch.sigmoid(model.decoder.output(hidden))
    torch.testing.assert_close(loss, (made - x).square().mean())


def test_a_stacked_autoencoder_is_not_for_gaps_nor_pretrained_throughout():
    with pytest.raises(IncompatibleError, match="use mlp for gaps"):
        build("stacked", replace(DataSpec((30,), "real"), gaps=True))
    with pytest.raises(Exception, match="pretraining"):
        build("stacked", DataSpec((30,)), pretraining=1.0)
