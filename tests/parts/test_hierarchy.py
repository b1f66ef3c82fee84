"""Latents one below the other: closed forms, bounds written out, ancestral draws, exact likelihoods."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from autoencode.bottlenecks import LadderLayer, TopDown, precision_weighted
from autoencode.data import Examples
from autoencode.distributions.basic import Normal
from autoencode.errors import IncompatibleError
from autoencode.evaluate.nll import nll
from autoencode.likelihoods import Gaussian
from autoencode.likelihoods.sizes import EvenLogarithm
from autoencode.models import Encoder, HierarchicalAutoencoder
from autoencode.nets.pyramid import (
    Larger,
    MapDecoder,
    PyramidEncoder,
    Smaller,
    UnitScale,
    residual_block,
    resolutions,
)
from autoencode.objectives import (
    ImportanceWeighted,
    WeightedSum,
    free_bits,
    kl,
    reconstruction,
)
from autoencode.priors import PathPrior
from autoencode.recipes import Recipe, build
from autoencode.trained import Trained, fit_prior
from autoencode.training import TrainingPlan, Update
from autoencode.training.doctor.checkup import examine
from autoencode.training.doctor.rules import posterior_collapse, unused_dimensions
from autoencode.types import Batch, Column, DataSpec, Progress

SMALL = {
    "ladder_vae": {"latent_dims": (4, 3, 2), "hidden": (12, 8, 6)},
    "vdvae": {"width": 8, "inner": 4, "latent_channels": 2, "blocks": (1, 2)},
}
SPEC = DataSpec((1, 9, 6))
ELBO = WeightedSum({"reconstruction": reconstruction, "kl": kl})

both = pytest.mark.parametrize("name", SMALL)


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def small(name: str, spec: DataSpec = SPEC, **options) -> Recipe:
    """A recipe whose weights are far from their start, where some are zero."""
    recipe = build(name, spec, **{**SMALL[name], **options})
    with torch.no_grad():
        for parameter in recipe.model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return recipe


# Precision weighting


@given(*(st.floats(-3, 3) for _ in range(4)))
@settings(max_examples=60, deadline=None)
def test_the_product_of_two_gaussians_is_the_closed_form(mean_a, mean_b, log_a, log_b):
    pairs = torch.tensor([[[mean_a], [log_a]], [[mean_b], [log_b]]], dtype=torch.float64)
    a, b = (Normal(*pair) for pair in pairs)
    found = precision_weighted(a, b)
    precision = math.exp(-2 * log_a) + math.exp(-2 * log_b)
    mean = (mean_a * math.exp(-2 * log_a) + mean_b * math.exp(-2 * log_b)) / precision
    assert found.loc.item() == pytest.approx(mean, abs=1e-9)
    assert found.scale.item() == pytest.approx(precision**-0.5, rel=1e-9)
    # In proportion to the product of the densities: their ratio is the same everywhere.
    points = torch.linspace(-2, 2, 5).double()[:, None]
    ratio = a.log_prob(points) + b.log_prob(points) - found.log_prob(points)
    torch.testing.assert_close(ratio, ratio[:1].expand(5))


def test_the_product_with_a_far_surer_gaussian_is_that_one():
    sure, vague = Normal(torch.ones(2), torch.full((2,), -60.0)), Normal(torch.zeros(2), torch.zeros(2))
    found = precision_weighted(sure, vague)
    assert torch.equal(found.loc, sure.loc)
    assert torch.equal(found.log_scale, sure.log_scale)


def test_a_ladder_is_the_formulas_of_its_paper_written_out():
    model = small("ladder_vae").model.eval()
    x = torch.rand(5, *SPEC.shape)
    sites = model(Batch.from_examples(x)).latent.sites
    assert list(sites) == ["z3", "z2", "z1"]
    h = model.encoder(x).split([12, 8, 6], dim=1)
    above = None
    for i, layer in zip((2, 1, 0), model.bottleneck.layers, strict=True):
        site = sites[f"z{i + 1}"]
        loc_hat, log_hat = layer.seen.heads(h[i]).chunk(2, 1)
        if above is None:
            p_loc, p_scale = torch.zeros(5, 2), torch.ones(5, 2)
            q_loc, q_scale = loc_hat, log_hat.exp()
        else:
            p_loc, p_log = layer.above.heads(layer.network(above)).chunk(2, 1)
            p_scale = p_log.exp()
            q_scale = (1 / (log_hat.exp() ** -2 + p_scale**-2)).sqrt()
            q_loc = (loc_hat * log_hat.exp() ** -2 + p_loc * p_scale**-2) * q_scale**2
        close = {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(site.prior.loc[0], p_loc, **close)
        torch.testing.assert_close(site.prior.scale[0], p_scale, **close)
        torch.testing.assert_close(site.posterior.loc[0], q_loc, **close)
        torch.testing.assert_close(site.posterior.scale[0], q_scale, **close)
        above = site.z[0]


# Bounds


@both
def test_the_elbo_is_that_of_the_densities_written_out(name):
    recipe = small(name)
    model, batch = recipe.model.eval(), Batch.from_examples(torch.rand(4, *SPEC.shape).round())
    torch.manual_seed(1)
    losses = ELBO(model, batch, Progress())
    torch.manual_seed(1)
    output = model(batch)
    total = torch.zeros(4)
    for site in output.latent.sites.values():
        q, p = site.posterior, site.prior
        found = torch.distributions.kl_divergence(
            torch.distributions.Normal(q.loc, q.scale), torch.distributions.Normal(p.loc, p.scale)
        )
        total += found[0].flatten(1).sum(1)
        assert site.kl().shape == (1, 4)
    torch.testing.assert_close(losses.terms["kl"], total.mean().detach())
    logits = model.decoder(output.latent.views["state"][0])
    log_p = torch.distributions.Bernoulli(logits=logits).log_prob(batch.x).flatten(1).sum(1)
    torch.testing.assert_close(losses.terms["reconstruction"], -log_p.mean().detach())
    torch.testing.assert_close(losses.total, (total - log_p).mean())


@both
def test_the_bound_of_several_samples_uses_the_draws_of_each(name):
    model, batch = small(name).model.eval(), Batch.from_examples(torch.rand(4, *SPEC.shape).round())
    torch.manual_seed(1)
    loss = ImportanceWeighted(3)(model, batch, Progress()).total
    torch.manual_seed(1)
    output = model(batch, n_samples=3)
    weight = output.x_dist.log_prob(batch.x) + model.prior_distribution(None).log_prob(output.latent.z)
    for site in output.latent.sites.values():
        q = site.posterior
        density = torch.distributions.Normal(q.loc, q.scale).log_prob(site.z)
        weight = weight - density.flatten(2).sum(2)
    expected = -(weight.logsumexp(0) - math.log(3)).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-3)


@both
def test_examples_and_samples_do_not_mix(name):
    model = small(name).model.eval()
    x = torch.rand(3, *SPEC.shape)
    other = x.clone()
    other[1] = torch.rand(SPEC.shape)
    found = []
    for given_x in (x, other):
        torch.manual_seed(1)
        found.append(model(Batch.from_examples(given_x), n_samples=2))
    for part in (lambda o: o.x_dist.mean, lambda o: o.latent.z):
        a, b = map(part, found)
        torch.testing.assert_close(a[:, [0, 2]], b[:, [0, 2]])
        assert not torch.allclose(a[:, 1], b[:, 1])
    assert not torch.allclose(found[0].latent.z[0], found[0].latent.z[1])


@both
def test_free_bits_count_the_entries_of_every_latent(name):
    model, batch = small(name).model.eval(), Batch.from_examples(torch.rand(4, *SPEC.shape))
    output = model(batch)
    entries = [s.posterior.kl_entries(s.prior).mean((0, 1)) for s in output.latent.sites.values()]
    for nats in (0.0, 0.3):
        found = free_bits(nats)(model, batch, output, Progress())
        torch.testing.assert_close(found, sum(e.clamp_min(nats).sum() for e in entries))


def test_the_kl_term_of_a_ladder_warms_up():
    objective = build("ladder_vae", SPEC).updates[0].objective
    weights = [objective.weights(Progress(step, 200))["kl"] for step in (0, 10, 20, 199)]
    assert weights == [0.0, 0.5, 1.0, 1.0]


# A ladder of linear maps: everything about it is a Gaussian


class Doubled(nn.Module):
    """What is seen, once for each latent."""

    def forward(self, x):
        return torch.cat([x, x], dim=1)


def linear_ladder() -> tuple[Recipe, torch.Tensor, torch.Tensor]:
    """A model whose x is a Gaussian, with its mean and covariance."""
    torch.manual_seed(3)
    top = LadderLayer(3, 2)
    bottom = LadderLayer(3, 2, nn.Linear(2, 2), 2)
    path = TopDown([top, bottom], [(3,), (3,)], [0, 1])
    decoder = nn.Linear(2, 3)
    model = HierarchicalAutoencoder(Doubled(), decoder, path, Gaussian(1), PathPrior(path))
    with torch.no_grad():
        for layer in path.layers:  # wide posteriors, whose importance weights are bounded
            layer.seen.heads.weight.mul_(0.2)
            layer.seen.heads.bias[2:] = 0.5
        bottom.above.heads.weight[2:] = 0.0  # a scale that does not depend on the latent above
        mean_map = bottom.above.heads.weight[:2] @ bottom.network.weight
        shift = bottom.above.heads.weight[:2] @ bottom.network.bias + bottom.above.heads.bias[:2]
        below = mean_map @ mean_map.T + (2 * bottom.above.heads.bias[2:]).exp().diag()
        covariance = decoder.weight @ below @ decoder.weight.T + torch.eye(3)
        mean = decoder.weight @ shift + decoder.bias
    update = Update(ELBO, (model,))
    recipe = Recipe(model, (update,), DataSpec((3,), "real"), name="linear_ladder").check()
    return recipe, mean, covariance


def test_importance_sampling_finds_the_exact_likelihood():
    recipe, mean, covariance = linear_ladder()
    x = torch.distributions.MultivariateNormal(mean, covariance).sample((20,))
    exact = torch.distributions.MultivariateNormal(mean, covariance).log_prob(x)
    found = nll(Trained(recipe), Examples(x.numpy()), n_samples=4000, batch_size=20)
    assert found.nats == pytest.approx(-float(exact.mean()), abs=0.02)
    elbo = ELBO(recipe.model, Batch.from_examples(x), Progress()).total
    assert float(elbo.detach()) > found.nats + 0.02


def test_draws_go_down_the_ladder():
    recipe, mean, covariance = linear_ladder()
    z = recipe.model.sample_latent(20_000)
    assert z.shape == (20_000, 4)
    torch.testing.assert_close(z[:, :2].T.cov(), torch.eye(2), rtol=0, atol=0.05)
    x = recipe.model.decode(z).mean
    torch.testing.assert_close(x.mean(0), mean, rtol=0, atol=0.05)
    torch.testing.assert_close(x.T.cov() + torch.eye(3), covariance, rtol=0.05, atol=0.05)


def test_the_density_of_all_latents_is_their_joint_gaussian():
    model = linear_ladder()[0].model
    bottom = model.bottleneck.layers[1]
    with torch.no_grad():
        mean_map = bottom.above.heads.weight[:2] @ bottom.network.weight
        shift = bottom.above.heads.weight[:2] @ bottom.network.bias + bottom.above.heads.bias[:2]
        noise = (2 * bottom.above.heads.bias[2:]).exp().diag()
        covariance = torch.cat(
            [
                torch.cat([torch.eye(2), mean_map.T], 1),
                torch.cat([mean_map, mean_map @ mean_map.T + noise], 1),
            ]
        )
        joint = torch.distributions.MultivariateNormal(torch.cat([torch.zeros(2), shift]), covariance)
        z = joint.sample((3, 5))
        p = model.prior_distribution(None)
        torch.testing.assert_close(p.log_prob(z), joint.log_prob(z), rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(p.mean, joint.mean)
    assert p.rsample().shape == (4,)
    assert p.rsample(torch.Size((2, 3))).shape == (2, 3, 4)


# The ordinary API


@both
def test_the_code_is_the_means_of_all_latents_and_can_be_decoded(name):
    recipe = small(name)
    model, x = recipe.model.eval(), torch.rand(3, *SPEC.shape)
    with torch.no_grad():
        z = model.embed(x)
        assert torch.equal(z, model.embed(x))
        torch.testing.assert_close(model.decode(z).mean, model.reconstruct(x))
        top = model(Batch.from_examples(x)).latent.sites
        first = next(iter(top.values())).posterior.loc[0].flatten(1)
    torch.testing.assert_close(z[:, : first.shape[1]], first)
    assert z.shape == (3, sum(model.bottleneck.widths)) == (3, *recipe.latent_shape)
    # What is decoded is what was drawn.
    output = model(Batch.from_examples(x), n_samples=2)
    for s in range(2):
        decoded = model.decode(output.latent.z[s]).mean
        torch.testing.assert_close(decoded, output.x_dist.mean[s], rtol=1e-4, atol=1e-5)


@both
def test_a_body_for_other_networks_gives_the_code(name):
    recipe = small(name)
    x = torch.rand(3, *SPEC.shape)
    body = Encoder.from_model(recipe.model, SPEC)
    torch.testing.assert_close(body(x), recipe.model.embed(x))


@both
def test_another_prior_can_be_fitted_to_the_codes(name):
    trained = Trained(small(name))
    x = torch.rand(30, *SPEC.shape).numpy()
    before = trained.sample(4, seed=1)
    assert np.array_equal(before, fit_prior(trained, Examples(x)).sample(4, seed=1))
    elbo = trained.score_samples(x, seed=0)
    fitted = fit_prior(trained, Examples(x), kind="gaussian")
    assert not np.array_equal(before, fitted.sample(4, seed=1))
    assert np.array_equal(elbo, fitted.score_samples(x, seed=0))  # the bound is of the model's own


@both
def test_scores_do_not_depend_on_the_rows_beside(name):
    trained = Trained(small(name))
    x = torch.rand(6, *SPEC.shape).numpy()
    np.testing.assert_allclose(
        trained.score_samples(x, 4)[2:4], trained.score_samples(x[2:4], 4), rtol=1e-5
    )


@both
def test_gaps_are_read_and_filled(name):
    spec = replace(SPEC, gaps=True)
    trained = Trained(small(name, spec))
    x = torch.rand(5, *SPEC.shape)
    holed = torch.where(torch.rand(x.shape) < 0.3, torch.nan, x).numpy()
    filled = trained.impute(holed)
    assert np.isfinite(filled).all()
    assert np.array_equal(filled[~np.isnan(holed)], holed[~np.isnan(holed)])


@pytest.mark.parametrize("likelihood", ["gaussian_learned", "logistic_mixture", "laplace"])
@both
def test_any_likelihood_stands_at_the_end_of_the_path(name, likelihood):
    recipe = small(name, DataSpec((3, 6, 5)), likelihood=likelihood)
    x = torch.randint(0, 256, (4, 3, 6, 5)) / 255
    losses = recipe.stepper().step(Batch.from_examples(x), Progress(1, 1))
    assert set(losses) == {"loss", "reconstruction", "kl"}
    assert all(bool(torch.isfinite(value)) for value in losses.values())


def test_a_ladder_takes_counts_and_mixed_columns():
    counts = small("ladder_vae", DataSpec((7,), "real"), likelihood="poisson")
    x = torch.poisson(torch.full((8, 7), 400.0))
    assert isinstance(counts.model.encoder.reader, EvenLogarithm)
    assert bool(torch.isfinite(counts.stepper().step(Batch.from_examples(x))["loss"]))
    columns = (Column("size"), Column("kind", "category", ("a", "b", "c")))
    mixed = small("ladder_vae", DataSpec((2,), "real", columns=columns, gaps=True))
    x = torch.tensor([[0.3, 2.0], [torch.nan, 1.0], [-1.0, torch.nan]])
    losses = mixed.stepper().step(mixed.spec.batch(x))
    assert bool(torch.isfinite(losses["loss"]))


def test_a_ladder_on_mnist_has_the_parameters_counted_by_hand():
    def linear(a, b):
        return a * b + b

    def mlp(a, b):  # two layers, each with a LayerNorm
        return linear(a, b) + linear(b, b) + 4 * b

    z, h = (64, 32, 16, 8, 4), (512, 256, 128, 64, 32)
    up = sum(mlp(a, b) for a, b in zip((784, *h), h, strict=False))
    seen = sum(linear(a, 2 * b) for a, b in zip(h, z, strict=True))
    down = sum(mlp(z[i + 1], h[i + 1]) + linear(h[i + 1], 2 * z[i]) for i in range(4))
    out = mlp(64, 512) + linear(512, 784)
    model = build("ladder_vae", DataSpec((1, 28, 28))).model
    assert sum(p.numel() for p in model.parameters()) == up + seen + down + out


# Resolutions


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((1, 28, 28), [(28, 28), (14, 14), (7, 7), (4, 4), (1, 1)]),
        ((3, 32, 32), [(32, 32), (16, 16), (8, 8), (4, 4), (1, 1)]),
        ((1, 17, 3), [(17, 3), (9, 2), (5, 1), (3, 1), (1, 1)]),
        ((1, 1, 20), [(1, 20), (1, 10), (1, 5), (1, 3), (1, 1)]),
        ((1, 2, 2), [(2, 2), (1, 1)]),
        ((1, 1, 1), [(1, 1)]),
    ],
)
def test_resolutions_are_halves_down_to_four_and_then_one(shape, sizes):
    assert resolutions(shape) == sizes
    maps = PyramidEncoder(shape, 3, 2, [1] * len(sizes)).maps
    assert maps == [(*size, 3) for size in sizes]


@pytest.mark.parametrize("shape", [(1, 17, 3), (2, 1, 20), (1, 9, 6)])
def test_maps_become_smaller_by_means_and_larger_by_their_nearest_pixels(shape):
    x = torch.rand(2, *shape)
    for size in resolutions(shape)[1:]:
        smaller = Smaller(size)(x)
        assert smaller.shape[2:] == size
        if size == (1, 1):
            torch.testing.assert_close(smaller[..., 0, 0], x.mean((2, 3)))
        else:
            torch.testing.assert_close(smaller[..., 0, 0], x[:, :, :2, :2].mean((2, 3)))
            odd = [n % 2 for n in x.shape[2:]]
            if all(odd):
                assert torch.equal(smaller[..., -1, -1], x[..., -1, -1])
        larger = Larger(shape[0], tuple(x.shape[2:]))(smaller)
        assert larger.shape == x.shape
        assert torch.equal(larger[..., 0, 0], smaller[..., 0, 0])
        x = smaller


@pytest.mark.parametrize(("shape", "patch"), [((1, 8, 6), 2), ((2, 9, 7), 2), ((1, 10, 3), 3)])
def test_patches_are_read_as_channels(shape, patch):
    channels, height, width = shape
    count = len(resolutions(shape, patch))
    encoder = PyramidEncoder(shape, 4, 3, [1] * count, patch)
    x = torch.rand(2, *shape)
    rows, columns = resolutions(shape, patch)[0]
    squares = torch.zeros(2, channels, patch, patch, rows, columns)
    for i in range(height):
        for j in range(width):
            squares[:, :, i % patch, j % patch, i // patch, j // patch] = x[:, :, i, j]
    stacked = squares.flatten(1, 3)
    plain = PyramidEncoder((*stacked.shape[1:],), 4, 3, [1] * count)
    plain.load_state_dict(encoder.state_dict())
    assert plain.maps == encoder.maps
    torch.testing.assert_close(encoder(x), plain(stacked))


def test_each_position_of_a_map_writes_the_pixels_of_its_patch():
    decoder = MapDecoder(5, (2, 5, 3), patch=2)
    state = torch.randn(4, 5, 3, 2)
    made = decoder(state)
    assert made.shape == (4, 2, 5, 3)
    of_position = decoder.output(state)[:, :, 2, 1]  # the corner, of which one pixel is in the image
    torch.testing.assert_close(made[:, :, 4, 2], of_position[:, [0, 4]])
    means = torch.tensor([0.3, -1.0])
    decoder.set_output_bias(means[:, None, None].expand(2, 5, 3))
    torch.testing.assert_close(
        decoder(torch.zeros_like(state)), means[:, None, None].expand(4, 2, 5, 3)
    )


def test_an_image_is_made_of_patches():
    recipe = small("vdvae", patch=2)
    x = torch.rand(3, *SPEC.shape)
    assert recipe.model.bottleneck.shapes[-1] == (2, 5, 3)
    losses = recipe.stepper().step(recipe.spec.batch(x))
    assert bool(torch.isfinite(losses["loss"]))
    assert recipe.model.reconstruct(x).shape == x.shape


def test_what_comes_into_a_block_is_scaled_at_each_position():
    x = torch.randn(2, 6, 3, 4) * torch.rand(2, 1, 3, 4).mul(8).exp()
    scaled = UnitScale()(x)
    torch.testing.assert_close(scaled.square().mean(1), torch.ones(2, 3, 4), rtol=1e-2, atol=0)
    alike = torch.nn.functional.cosine_similarity(x, scaled, dim=1)
    torch.testing.assert_close(alike, torch.ones(2, 3, 4))
    block = residual_block(6, 4, 5, (3, 4))
    torch.testing.assert_close(block(1e6 * x), block(1e3 * x), rtol=1e-3, atol=1e-4)


def test_the_gaussians_of_a_residual_stream_stay_near():
    recipe = small("vdvae")
    path = recipe.model.bottleneck
    with torch.no_grad():
        for parameter in path.parameters():
            parameter.mul_(100)
        latent = path(recipe.model.encoder(torch.rand(3, *SPEC.shape)), None)
    for site in latent.sites.values():
        for gaussian in (site.posterior, site.prior):
            for part in (gaussian.loc, gaussian.log_scale):
                assert bool((part.abs() <= 5).all())
    assert max(float(site.posterior.loc.abs().max()) for site in latent.sites.values()) > 4.9


def test_the_priors_of_a_vdvae_begin_as_standard_normals_that_add_nothing():
    path = build("vdvae", SPEC, **SMALL["vdvae"]).model.bottleneck
    seen = []

    def choose(i, state, p):
        assert not bool(p.loc.any() or p.log_scale.any())
        seen.append(p.loc.shape[1:])
        entered = path.layers[i].prior(state)[1]
        assert torch.equal(entered, state)
        return p.rsample()

    path.walk(3, choose)
    assert seen == [(2, 1, 1)] * 2 + [(2, 3, 2)] * 2 + [(2, 5, 3)] * 2 + [(2, 9, 6)]


def test_the_doctor_names_the_latent_that_is_hardly_used():
    recipe = small("ladder_vae", latent_dims=(4, 6, 2))
    model, batch = recipe.model.eval(), Batch.from_examples(10 * torch.rand(64, *SPEC.shape))
    with torch.no_grad():  # nothing that is seen reaches the middle latent, and hardly anything above
        middle = model.bottleneck.layers[1]
        middle.seen.heads.weight.zero_()
        middle.above.heads.weight.zero_()
        middle.above.heads.bias.zero_()
        model.bottleneck.layers[0].seen.heads.weight.zero_()
    where = examine(model, ELBO, batch, (), TrainingPlan(), Progress(800, 1000))
    found = unused_dimensions(where)
    assert found.message.startswith("8 of 12 latent dimensions are unused")
    assert found.suggestion == "a narrower z2, of which 0 of 6 dimensions vary"


def test_the_doctor_counts_the_channels_of_latents_that_are_maps():
    model, batch = small("vdvae").model.eval(), Batch.from_examples(torch.rand(64, *SPEC.shape))
    with torch.no_grad():  # posteriors are priors
        for parameter in model.bottleneck.parameters():
            parameter.zero_()
    where = examine(model, ELBO, batch, (), TrainingPlan(), Progress(800, 1000))
    shapes = [layer.shape for layer in model.bottleneck.layers]
    channels = sum(shape[0] for shape in shapes)
    assert f" 0 of {channels} latent channels vary" in posterior_collapse(where).message


# What is refused


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ladder_vae", {"latent_dims": (4, 2)}, "the same length"),
        ("ladder_vae", {"latent_dims": (), "hidden": ()}, "at least one layer"),
        ("vdvae", {"blocks": ()}, "at least one number"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(name, options, message):
    with pytest.raises(IncompatibleError, match=message):
        build(name, SPEC, **options)


@both
def test_a_context_is_refused_with_a_remedy(name):
    with pytest.raises(IncompatibleError, match="takes no context; use cvae"):
        build(name, replace(SPEC, context_dim=2))
