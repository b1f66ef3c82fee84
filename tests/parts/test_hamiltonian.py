"""Hamiltonian posteriors: steps that keep the volume, exact bounds, the metric and draws from it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd.functional import jacobian

from autoencode import Autoencoder, build, fit_prior, load_data, train
from autoencode.bottlenecks import (
    DiagonalGaussian,
    Hamiltonian,
    LearnedMetric,
    RiemannianHamiltonian,
)
from autoencode.bottlenecks.hamiltonian import generalised_leapfrog, leapfrog, quadratic_tempering
from autoencode.data import Examples
from autoencode.distributions import InverseMetric, hamiltonian_monte_carlo
from autoencode.errors import IncompatibleError, OptionError
from autoencode.evaluate.nll import nll
from autoencode.likelihoods import Gaussian
from autoencode.models import AutoencoderModule
from autoencode.objectives import log_weights
from autoencode.priors import Manifold, StandardNormal
from autoencode.trained import Trained, load_trained, save_model
from autoencode.types import Batch, DataSpec

Z, D = 2, 5


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def energy(z):
    return (0.5 * z.square() + 0.4 * torch.sin(2 * z)).sum(-1) + 0.3 * z.prod(-1)


def metric(seed=0, k=4, temperature=1.2, regularization=0.1):
    g = torch.Generator().manual_seed(seed)
    factors = torch.randn(k, Z, Z, generator=g, dtype=torch.float64).tril()
    centroids = torch.randn(k, Z, generator=g, dtype=torch.float64)
    return InverseMetric(centroids, factors @ factors.mT, temperature, regularization)


def plain(z, momentum):
    return leapfrog(z, momentum, energy, torch.tensor([0.1, 0.2]).double())


def curved(z, momentum, n_turns=40):
    return generalised_leapfrog(z, momentum, energy, metric(), 0.05, n_turns)


# Steps


@pytest.mark.parametrize("step", [plain, curved])
@given(seed=st.integers(0, 1000))
@settings(max_examples=6, deadline=None)
def test_steps_can_be_gone_back_and_keep_the_volume(step, seed):
    torch.manual_seed(seed)
    z, momentum = torch.randn(2, 3, Z).double()
    with torch.no_grad():
        there, moving = step(z, momentum)
        back, stopped = step(there, -moving)
    torch.testing.assert_close(back, z, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(-stopped, momentum, rtol=1e-9, atol=1e-9)
    assert float((there - z).abs().max()) > 1e-3
    both = torch.cat([z[0], momentum[0]])
    volume = jacobian(lambda v: torch.cat(step(v[:Z], v[Z:])), both)
    assert float(torch.linalg.det(volume)) == pytest.approx(1, abs=1e-6)


def test_few_turns_of_the_iteration_keep_the_volume_nearly():
    both = torch.randn(2 * Z).double()

    def volume(n_turns):
        step = jacobian(lambda v: torch.cat(curved(v[:Z], v[Z:], n_turns)), both)
        return abs(float(torch.linalg.det(step)) - 1)

    assert volume(8) < volume(3) / 10 < 1e-3


def test_many_small_steps_keep_the_energy():
    z, momentum = torch.randn(2, 6, Z).double()
    inverse = metric()

    def total(z, momentum):
        kinetic = 0.5 * (momentum * (inverse(z) @ momentum[..., None])[..., 0]).sum(-1)
        return energy(z) + kinetic - inverse.log_volume(z)

    before = total(z, momentum)
    with torch.no_grad():
        for _ in range(200):
            z, momentum = generalised_leapfrog(z, momentum, energy, inverse, 0.01, 10)
    torch.testing.assert_close(total(z, momentum), before, rtol=0, atol=2e-3)


def test_slopes_can_be_differentiated():
    z, momentum = torch.randn(2, 1, Z).double()
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    z.requires_grad_()
    for step in (leapfrog, lambda *a: generalised_leapfrog(*a[:3], metric(), a[3], 3)):
        assert torch.autograd.gradcheck(
            lambda a, b, s=step: s(a, momentum, lambda v: b * energy(v), 0.1), (z, weight)
        )


@given(root=st.floats(0.1, 1.0), k=st.integers(1, 8))
def test_heat_is_given_back(root, k):
    heat, *coolings = quadratic_tempering(torch.tensor(root, dtype=torch.float64), k)
    assert len(coolings) == k
    assert float(heat) == pytest.approx(1 / root)
    assert math.prod(map(float, [heat, *coolings])) == pytest.approx(1)


# Bounds, on a model whose likelihood has a closed form

WEIGHTS, BIAS = torch.tensor([[1.0, -0.5, 0.3, 0.8, 0.1], [0.2, 0.9, -0.7, 0.4, 0.5]]), 0.3


def linear(bottleneck):
    """x = W z + b + noise of scale 0.7; q(z_0|x) is far too wide and in the wrong place."""
    decoder = nn.Linear(Z, D)
    base = DiagonalGaussian(D, Z)
    with torch.no_grad():
        decoder.weight.copy_(WEIGHTS.T)
        decoder.bias.fill_(BIAS)
        base.heads.weight.zero_()
        base.heads.bias.copy_(torch.tensor([0.3, -0.2, -0.1, 0.0]))
    likelihood = Gaussian(1, scale=0.7)
    return AutoencoderModule(
        nn.Identity(), decoder, bottleneck(base), likelihood, StandardNormal((Z,))
    ).double()


def exact(x):
    covariance = WEIGHTS.T.double() @ WEIGHTS.double() + 0.49 * torch.eye(D).double()
    loc = torch.full((D,), BIAS).double()
    return torch.distributions.MultivariateNormal(loc, covariance).log_prob(x)


def flat_metric(base):
    found = LearnedMetric(nn.Identity(), D, Z, (D,), n_examples=6, temperature=1.0, regularization=0.3)
    found.start_at(torch.randn(4, D))
    return RiemannianHamiltonian(base, found, n_steps=3, step_size=0.05, n_turns=12)


POSTERIORS = {
    "plain": lambda base: Hamiltonian(base, Z, 3, 0.2, tempering="none"),
    "tempered": lambda base: Hamiltonian(base, Z, 5, 0.2),
    "riemannian": flat_metric,
}


@pytest.mark.parametrize("n", [15_000, pytest.param(60_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", POSTERIORS)
def test_weights_are_exact_and_bounds_lie_below_the_likelihood(name, n):
    model = linear(POSTERIORS[name])
    x = torch.randn(3, D).double()
    with torch.no_grad():
        log_weight = log_weights(model(Batch.from_examples(x), n_samples=n), Batch.from_examples(x))
    # The mean weight is p(x) if steps, tempering and momenta are all accounted for.
    estimate = log_weight.logsumexp(0) - math.log(len(log_weight))
    torch.testing.assert_close(estimate, exact(x), rtol=0, atol=0.03 if n > 15_000 else 0.06)
    bound = log_weight.mean(0)
    slack = 4 * log_weight.std(0) / math.sqrt(len(log_weight))
    assert bool((bound < exact(x) + slack).all())


def test_steps_make_the_bound_tighter_and_none_leave_it_the_elbo():
    x = Batch.from_examples(torch.randn(8, D).double())

    def bound(bottleneck):
        torch.manual_seed(1)
        with torch.no_grad():
            return float(log_weights(linear(bottleneck)(x, n_samples=4000), x).mean())

    def still(base):
        return Hamiltonian(base, Z, 3, 0.0)

    elbo = bound(lambda base: base)
    assert bound(still) == pytest.approx(elbo, abs=1e-9)
    moved = bound(lambda base: Hamiltonian(base, Z, 5, 0.3))
    assert elbo + 0.5 < moved < float(exact(x.x).mean())


def test_step_sizes_are_learned_towards_a_tighter_bound():
    model = linear(lambda base: Hamiltonian(base, Z, 3, 0.05))
    x = Batch.from_examples(torch.randn(16, D).double())
    steps = [model.bottleneck.raw_step, model.bottleneck.raw_beta]
    optimizer = torch.optim.Adam(steps, 0.05)

    def bound(n):
        torch.manual_seed(2)
        return log_weights(model(x, n_samples=n), x).mean()

    before = float(bound(500).detach())
    for _ in range(40):
        optimizer.zero_grad()
        (-bound(20)).backward()
        optimizer.step()
    assert float(bound(500).detach()) > before + 0.2
    assert bool((model.bottleneck.step_size > 0.1).all())


# The metric


@given(seed=st.integers(0, 1000), far=st.floats(0.0, 50.0))
@settings(max_examples=30, deadline=None)
def test_the_metric_is_positive_definite_everywhere(seed, far):
    torch.manual_seed(seed)
    learned = LearnedMetric(nn.Linear(D, 6), 6, 3, (D,), n_examples=5, regularization=0.02)
    learned.start_at(torch.randn(4, D))
    with torch.no_grad():
        inverse = learned(lambda x: x[:, :3])(far * torch.randn(7, 3))
    torch.testing.assert_close(inverse, inverse.mT)
    lowest = torch.linalg.eigvalsh(inverse.double()).min()
    assert float(lowest) > 0.019
    assert bool(torch.linalg.cholesky(inverse).isfinite().all())


def test_the_metric_is_the_papers_sum_over_the_examples_that_are_there():
    learned = LearnedMetric(nn.Linear(D, 6), 6, Z, (D,), n_examples=5, temperature=0.8)
    x, z = torch.randn(3, D), torch.randn(4, Z)
    learned.start_at(x)
    factors = learned.factors(x)
    assert bool((factors.triu(1) == 0).all())
    assert bool((factors.diagonal(dim1=1, dim2=2) > 0).all())
    codes = x[:, :Z]
    expected = 0.01 * torch.eye(Z).repeat(4, 1, 1)
    for j in range(4):
        for i in range(3):
            reach = torch.exp(-(z[j] - codes[i]).square().sum() / 0.8**2)
            expected[j] += reach * factors[i] @ factors[i].T
    inverse = learned(lambda x: x[:, :Z])
    torch.testing.assert_close(inverse(z), expected)
    torch.testing.assert_close(inverse.log_volume(z), 0.5 * torch.logdet(expected))


# Draws from the metric's volume


@pytest.mark.parametrize(
    ("dim", "n"),
    [(2, 2000), *[pytest.param(dim, 20_000, marks=pytest.mark.slow) for dim in (1, 2)]],
)
def test_chains_draw_from_the_volume_of_the_metric(dim, n):
    centroids = torch.tensor([[-1.5] * dim, [0.5] * dim, [2.0] + [0.0] * (dim - 1)])
    sizes = torch.tensor([1.0, 4.0, 0.3])[:, None, None] * torch.eye(dim)
    # So little is left far away that chains hardly ever get there.
    inverse = InverseMetric(centroids, sizes, 0.9, 1e-6 if dim == 1 else 1e-5)
    prior = Manifold.from_metric(inverse)
    z = prior(None, None).rsample(torch.Size((n,)))
    edges = torch.linspace(-4, 5, 19)
    cells = (edges[1:] + edges[:-1]) / 2
    fine = torch.linspace(-4, 5, 1801)
    grid = torch.stack(torch.meshgrid(*[cells if dim > 1 else fine] * dim, indexing="ij"), -1)
    density = inverse.log_volume(grid.reshape(-1, dim)).exp().reshape(grid.shape[:-1])
    first = density if dim == 1 else density.sum(1)
    if dim == 1:
        first = torch.stack([first[i * 100 : (i + 1) * 100].sum() for i in range(18)])
    expected = (first / first.sum()).numpy()
    found, _ = np.histogram(z[:, 0].numpy(), edges.numpy())
    assert abs(found / len(z) - expected).max() < (0.02 if n > 2000 else 0.04)
    # Total variation, of which exact draws have 0.01 and 0.035.
    assert 0.5 * abs(found / len(z) - expected).sum() < (0.04 if n > 2000 else 0.08)


def test_a_chain_leaves_a_gaussian_as_it_is():
    scale = torch.tensor([0.5, 2.0])
    start = scale * torch.randn(4000, 2)
    moved = hamiltonian_monte_carlo(lambda z: -0.5 * (z / scale).square().sum(-1), start, 10, 5, 0.3)
    torch.testing.assert_close(moved.std(0), scale, rtol=0.06, atol=0)
    torch.testing.assert_close(moved.mean(0), torch.zeros(2), rtol=0, atol=0.1)
    assert float((moved - start).abs().mean()) > 0.3


# As recipes


@pytest.fixture(scope="module")
def digits():
    data = load_data("digits")
    return Examples(data.train.x[:150]), data.spec


SMALL = {"epochs": 2, "hidden": (32,), "latent_dim": 3, "random_state": 0}


def estimator(name, **options):
    small = {k: v for k, v in SMALL.items() if k in ("epochs", "random_state")}
    return Autoencoder(name, 3, options={"hidden": (32,), **options}, **small)


def test_the_metric_is_spanned_by_training_examples(digits):
    x, _ = digits
    model = estimator("rhvae", n_centroids=200).fit(x.x[:, 0]).model_
    there = model.bottleneck.metric.there.bool()
    assert 140 < int(there.sum()) < 150  # some are held out to validate on
    seen = model.bottleneck.metric.examples[there].flatten(1)
    rows = torch.from_numpy(x.x / 16).float().flatten(1)
    assert float(torch.cdist(seen, rows).min(1).values.max()) == 0


def test_a_manifold_prior_is_kept_in_files_and_draws_near_the_codes(tmp_path, digits):
    x, _ = digits
    trained = estimator("rhvae", n_centroids=30).fit(x.x[:, 0]).trained_
    before = trained.embed(x)
    fit_prior(trained, x, kind="manifold")
    save_model(trained, tmp_path)
    again = load_trained(tmp_path)
    made = again.sample(5, seed=3)
    np.testing.assert_array_equal(made, trained.sample(5, seed=3))
    assert made.shape == (5, 8, 8)
    codes = torch.from_numpy(trained.embed(x))
    np.testing.assert_array_equal(codes.numpy(), before)  # the posterior is the one that was trained
    drawn = trained.model.sample_latent(100)
    assert float(torch.cdist(drawn, codes).min(1).values.median()) < 2.0
    with pytest.raises(IncompatibleError, match="up to its integral only; use maf"):
        trained.model.prior(None, None).log_prob(drawn)


def test_a_manifold_prior_needs_a_metric(digits):
    x, _ = digits
    trained = estimator("hvae").fit(x.x[:, 0]).trained_
    with pytest.raises(IncompatibleError, match="metric of an rhvae and this model has none; use g"):
        fit_prior(trained, x, kind="manifold")
    with pytest.raises(OptionError, match="unknown prior 'manifolds'; did you mean manifold"):
        fit_prior(trained, x, kind="manifolds")


@pytest.mark.parametrize("name", ["hvae", "rhvae"])
def test_codes_are_where_the_mean_goes_from_rest_and_the_encoder_says_the_same(name, digits):
    x, _ = digits
    model = estimator(name).fit(x.x[:, 0])
    z = model.transform(x.x[:, 0])
    base = model.model_.bottleneck.base.embed(model.model_.encoder(torch.from_numpy(x.x) / 16))
    assert z.shape == base.shape
    assert not np.allclose(z, base.detach().numpy())
    with torch.no_grad():
        again = model.encoder_(torch.from_numpy(x.x))
    np.testing.assert_allclose(z, again.numpy(), rtol=1e-5, atol=1e-6)


def test_the_likelihood_of_a_trained_model_is_estimated_with_its_momenta():
    run = train("digits", "hvae", epochs=3, hidden=(32,), latent_dim=4)
    few = run.data.test.take(np.arange(30))
    one, many = (nll(run.trained, few, n).nats for n in (1, 400))
    assert many < one
    assert -run.metrics["elbo"] == pytest.approx(one, rel=0.3)


def test_what_cannot_be_is_refused_in_one_line():
    spec = DataSpec((8,))
    with pytest.raises(OptionError, match="option n_leapfrog: must be at least 1"):
        build("hvae", spec, n_leapfrog=0)
    for step_size in (0.0, 0.7):
        with pytest.raises(OptionError, match=r"option step_size: must lie in \(0, 0.5\), got 0"):
            build("hvae", spec, step_size=step_size)
    with pytest.raises(OptionError, match="option heat: must be above 1, got 1"):
        build("hvae", spec, heat=1.0)
    with pytest.raises(IncompatibleError, match="takes no context; use hvae"):
        build("rhvae", DataSpec((8,), context_dim=3))
    with pytest.raises(IncompatibleError, match="needs numbers without gaps"):
        build("rhvae", DataSpec((8,), "real", gaps=True))
    base = DiagonalGaussian(4, 2)
    alone = Hamiltonian(base, 2)
    with pytest.raises(IncompatibleError, match="needs the decoder; use it inside"):
        alone(torch.zeros(1, 4), None)
    model = AutoencoderModule(nn.Linear(3, 4), nn.Linear(2, 3), alone, Gaussian(1))
    with pytest.raises(IncompatibleError, match="needs a prior; pass prior=StandardNormal"):
        model(Batch.from_examples(torch.zeros(1, 3)))


def test_gaps_are_no_part_of_what_the_draws_follow():
    spec = DataSpec((6,), "real", gaps=True)
    model = build("hvae", spec, hidden=(8,), latent_dim=2).model.eval()
    x = torch.randn(4, 6)
    x[0, 2] = torch.nan
    output = model(spec.batch(x))
    assert bool(output.latent.z.isfinite().all())
    assert bool(torch.isfinite(model.embed(x)).all())
    assert isinstance(Trained(build("hvae", spec)).stochastic, bool)
