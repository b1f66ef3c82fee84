"""Codes in the Poincaré ball: its geometry, the wrapped normal, and flat space as its limit."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from autoencode import Autoencoder, build, fit_prior
from autoencode.bottlenecks import InPoincareBall
from autoencode.data import Examples
from autoencode.distributions import PoincareBall, WrappedNormal
from autoencode.distributions.basic import Normal
from autoencode.errors import IncompatibleError, OptionError
from autoencode.nets import Gyroplanes, LogMap
from autoencode.types import Batch, DataSpec, Progress

CURVATURES = [0.3, 1.0, 1.7]


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def points(n, dim=2, curvature=1.0, reach=0.9, seed=0):
    g = torch.Generator().manual_seed(seed)
    direction = torch.nn.functional.normalize(torch.randn(n, dim, generator=g).double(), dim=-1)
    return direction * reach * torch.rand(n, 1, generator=g).double() / math.sqrt(curvature)


# Geometry


@pytest.mark.parametrize("curvature", CURVATURES)
def test_distances_are_those_of_the_ball(curvature):
    ball = PoincareBall(curvature)
    x, y = points(20, 3, curvature), points(20, 3, curvature, seed=1)
    rest = (1 - curvature * x.square().sum(-1)) * (1 - curvature * y.square().sum(-1))
    inner = 1 + 2 * curvature * (x - y).square().sum(-1) / rest
    torch.testing.assert_close(ball.distance(x, y), inner.acosh() / math.sqrt(curvature))
    torch.testing.assert_close(ball.distance(x, y), ball.distance(y, x))


@given(seed=st.integers(0, 1000), curvature=st.floats(0.01, 3.0))
@settings(max_examples=40, deadline=None)
def test_where_a_vector_leads_is_as_far_as_it_is_long_and_known_again(seed, curvature):
    ball = PoincareBall(curvature)
    x = points(5, 3, curvature, seed=seed)
    v = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed)).double()
    there = ball.exp(x, v)
    assert bool((there.norm(dim=-1) < 1 / math.sqrt(curvature)).all())
    torch.testing.assert_close(ball.distance(x, there), v.norm(dim=-1), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(ball.log(x, there), v, rtol=1e-6, atol=1e-8)


def test_the_straight_way_is_the_shortest():
    ball, x, v = PoincareBall(1.0), points(4), torch.randn(4, 2).double()
    half = ball.exp(x, v / 2)
    whole = ball.exp(x, v)
    torch.testing.assert_close(ball.distance(x, half) + ball.distance(half, whole), v.norm(dim=-1))


# The wrapped normal


@pytest.mark.parametrize("curvature", CURVATURES)
@pytest.mark.parametrize("place", [(0.0, 0.0), (0.4, -0.3), (0.0, 0.7)])
def test_its_density_integrates_to_one_over_the_ball(curvature, place):
    ball = PoincareBall(curvature)
    loc = torch.tensor(place, dtype=torch.float64) / math.sqrt(curvature)
    density = WrappedNormal(loc, torch.tensor([-0.7, -1.2]).double(), ball)
    # Polar, and finer towards the border.
    s = torch.linspace(0, 14, 1401, dtype=torch.float64)
    radius = (s / 2).tanh() / math.sqrt(curvature)
    angle = torch.linspace(0, 2 * math.pi, 181, dtype=torch.float64)[:-1]
    circle = torch.stack([angle.cos(), angle.sin()], -1)
    z = radius[:, None, None] * circle
    volume = (density.log_prob(z) + 2 * ball.log_conformal(z)).exp()
    around = volume.mean(1) * 2 * math.pi * radius
    inside = radius * math.sqrt(curvature) < 1 - 1e-5
    total = torch.trapezoid(around[inside], radius[inside])
    assert float(total) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("dim", [2, 5])
def test_the_distances_of_draws_follow_the_density(dim):
    ball, scale = PoincareBall(1.0), 0.6
    loc = points(1, dim, reach=0.8).float()
    q = WrappedNormal(loc, torch.full((1, dim), math.log(scale)), ball)
    z = q.rsample(torch.Size((20_000,)))
    distance = ball.distance(loc.double(), z[:, 0].double()).numpy()
    # A vector of a Gaussian is as long as its point is far: chi-distributed.
    assert stats.kstest(distance, stats.chi(dim, scale=scale).cdf).pvalue > 1e-3


def test_the_density_is_that_of_draws_counted_in_cells():
    ball = PoincareBall(1.0)
    q = WrappedNormal(torch.tensor([0.5, 0.1]), torch.tensor([-0.3, -1.0]), ball)
    z = q.rsample(torch.Size((200_000,))).numpy()
    edges = np.linspace(-1, 1, 13)
    found, _, _ = np.histogram2d(z[:, 0], z[:, 1], (edges, edges))
    fine = np.linspace(-1, 1, 1201)
    centres = (fine[1:] + fine[:-1]) / 2
    cells = torch.from_numpy(np.stack(np.meshgrid(centres, centres, indexing="ij"), -1))
    there = cells.norm(dim=-1) < 1 - 1e-4
    safe = torch.where(there[..., None], cells, 0.0)
    density = (q.log_prob(safe) + 2 * ball.log_conformal(safe)).exp() * there / 600**2
    expected = density.reshape(12, 100, 12, 100).sum((1, 3)).numpy()
    assert abs(found / 200_000 - expected).max() < 0.004


@pytest.mark.parametrize("dim", [1, 3])
def test_flat_space_is_the_limit(dim):
    ball = PoincareBall(1e-6)
    loc, log_scale = torch.randn(4, dim).double(), 0.3 * torch.randn(4, dim).double()
    v = torch.randn(4, dim).double()
    zero = torch.zeros_like(v)
    wrapped = WrappedNormal(ball.exp(zero, loc), log_scale, ball)
    # Tangent vectors are twice the coordinates there.
    torch.testing.assert_close(2 * wrapped.loc, loc, rtol=1e-4, atol=1e-4)
    flat = Normal(loc, log_scale).log_prob(v)
    torch.testing.assert_close(wrapped.log_prob(ball.exp(zero, v)), flat, rtol=1e-4, atol=1e-4)
    prior = WrappedNormal(torch.zeros(dim).double(), torch.zeros(dim).double(), ball)
    z = wrapped.rsample(torch.Size((100_000,)))
    kl = (wrapped.log_prob(z) - prior.log_prob(z)).mean(0)
    expected = Normal(loc, log_scale).kl(Normal(torch.zeros(dim), torch.zeros(dim)))
    torch.testing.assert_close(kl, expected, rtol=0.02, atol=0.02)


def test_the_recipe_without_curvature_is_the_vae():
    spec = DataSpec((6,))
    options = {"latent_dim": 3, "hidden": (8,)}
    flat = build("vae", spec, **options)
    curved = build("poincare_vae", spec, curvature=1e-6, first_layer="log_map", **options)
    curved.model.encoder.load_state_dict(flat.model.encoder.state_dict())
    curved.model.bottleneck.heads.load_state_dict(flat.model.bottleneck.heads.state_dict())
    curved.model.decoder.decoder.load_state_dict(flat.model.decoder.state_dict())
    x = torch.rand(50, 6)
    torch.testing.assert_close(
        curved.model.reconstruct(x), flat.model.reconstruct(x), rtol=1e-3, atol=1e-4
    )
    batch = Batch.from_examples(x)
    losses = []
    for recipe in (flat, curved):
        torch.manual_seed(0)
        output = recipe.model(batch, n_samples=400)
        log_p = output.x_dist.log_prob(x)
        losses.append((log_p - output.latent.sites["z"].log_ratio()).mean())
    torch.testing.assert_close(*losses, rtol=0, atol=5e-3)


# Towards the border


@pytest.mark.parametrize("reach", [0.0, 0.9, 0.999, 0.99999, 1.0])
def test_gradients_are_finite_near_the_border_and_at_the_centre(reach):
    ball = PoincareBall(1.0)
    bottleneck = InPoincareBall(2, 2, ball)
    with torch.no_grad():
        bottleneck.heads.weight.copy_(torch.eye(4, 2) * 1.0)
        bottleneck.heads.bias.zero_()
    h = torch.tensor([[2 * math.atanh(min(reach, 1 - 1e-7)), 0.0]], requires_grad=True)
    prior = WrappedNormal(torch.zeros(2), torch.zeros(2), ball)
    latent = bottleneck(h, prior, 50)
    plane, tangent = Gyroplanes(ball, 2, 3), LogMap(ball)
    read = plane(latent.z.flatten(0, 1)).square().sum() + tangent(latent.z.flatten(0, 1)).sum()
    (latent.sites["z"].log_ratio().sum() + read).backward()
    for gradient in (h.grad, bottleneck.heads.weight.grad, plane.normals.grad, plane.offsets.grad):
        assert bool(gradient.isfinite().all())
    assert bool((latent.z.norm(dim=-1) < 1).all())


@given(size=st.floats(0, 100), curvature=st.floats(0.05, 5.0))
@settings(max_examples=30, deadline=None)
def test_draws_stay_inside_whatever_the_encoder_says(size, curvature):
    ball = PoincareBall(curvature)
    loc = points(3, 2, curvature, 0.999).float()
    q = WrappedNormal(loc, torch.full((3, 2), math.log(1 + size)), ball)
    z = q.rsample(torch.Size((50,)))
    assert bool((z.norm(dim=-1) * math.sqrt(curvature) < 1).all())
    assert bool(q.log_prob(z).isfinite().all())


# What the decoder sees


def test_gyroplanes_are_signed_distances_to_their_hyperplanes():
    ball = PoincareBall(1.0)
    layer = Gyroplanes(ball, 2, 1).double()
    with torch.no_grad():
        layer.offsets.copy_(torch.tensor([[0.5, 0.2]]))
        layer.normals.copy_(torch.tensor([[1.0, 2.0]]) / math.sqrt(5))
    point = ball.exp(torch.zeros(1, 2).double(), layer.offsets)
    along = torch.tensor([-2.0, 1.0]).double() / math.sqrt(5)
    plane = ball.exp(point, torch.linspace(-12, 12, 40_001).double()[:, None] * along)
    z = points(6, seed=3)
    nearest = torch.stack([ball.distance(plane, one).min() for one in z])
    found = layer(z)[:, 0].detach()
    torch.testing.assert_close(found.abs(), nearest, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        beside = [layer(ball.exp(point, side * layer.normals)) for side in (1, -1)]
    torch.testing.assert_close(torch.cat(beside)[:, 0], torch.tensor([1.0, -1.0]).double())


def test_gyroplanes_of_flat_space_are_a_linear_layer():
    layer = Gyroplanes(PoincareBall(1e-8), 3, 4).double()
    z = torch.randn(5, 3).double()
    linear = (2 * z) @ layer.normals.T - (layer.normals * layer.offsets).sum(1)
    torch.testing.assert_close(layer(z), linear, rtol=1e-5, atol=1e-5)


def test_the_decoder_of_your_own_is_given_the_tangent_vector():
    spec = DataSpec((6,))
    own = {"encoder": torch.nn.Linear(6, 4), "decoder": torch.nn.Linear(3, 6)}
    model = build("poincare_vae", spec, latent_dim=3, **own).model
    z = model.embed(torch.rand(4, 6))
    tangent = LogMap(model.bottleneck.ball)(z)
    torch.testing.assert_close(model.decoder(z), model.decoder.decoder(tangent))


# As a recipe


def test_codes_lie_in_the_ball_and_points_outside_are_read_at_its_border():
    x = np.random.default_rng(0).random((40, 10))
    options = {"curvature": 4.0, "hidden": (16,)}
    model = Autoencoder("poincare_vae", 2, epochs=2, random_state=0, options=options).fit(x)
    z = model.transform(x)
    assert np.linalg.norm(z, axis=1).max() < 0.5
    assert np.isfinite(model.inverse_transform([[3.0, -4.0], [0.0, 0.0]])).all()
    np.testing.assert_allclose(
        model.inverse_transform([[3.0, -4.0]]), model.inverse_transform([[0.3, -0.4]]), atol=1e-4
    )
    trained = model.trained_
    for kind in ("gaussian", "maf", "manifold"):
        with pytest.raises(IncompatibleError, match=r"points of a Poincaré ball.*keep the model's own"):
            fit_prior(trained, Examples(x.astype(np.float32)), kind=kind)


def test_the_objective_is_the_sampled_elbo():
    recipe = build("poincare_vae", DataSpec((6,)), latent_dim=2, hidden=(8,))
    batch = Batch.from_examples(torch.rand(5, 6))
    torch.manual_seed(1)
    losses = recipe.updates[0].objective(recipe.model, batch, Progress())
    torch.manual_seed(1)
    output = recipe.model(batch)
    bound = output.x_dist.log_prob(batch.x) - output.latent.sites["z"].log_ratio()
    torch.testing.assert_close(losses.total, -bound.mean())


def test_a_space_without_curvature_is_refused():
    with pytest.raises(OptionError, match="option curvature: must be above 0, got 0"):
        build("poincare_vae", DataSpec((6,)), curvature=0)
