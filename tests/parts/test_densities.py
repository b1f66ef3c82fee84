"""Distributions over latents: volumes, closed forms and draws against independent computations."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ive
from torch import nn
from torch.autograd.functional import jacobian

from autoencode.bottlenecks import DiagonalGaussian, FlowPosterior
from autoencode.data import Examples
from autoencode.distributions import (
    Autoregressive,
    FlowDensity,
    Inverse,
    Joined,
    NormalMixture,
    Planar,
    PowerSpherical,
    Radial,
    RelaxedCategorical,
    UniformCategorical,
    UniformSphere,
    VonMisesFisher,
)
from autoencode.distributions.basic import Normal, StandardNormal
from autoencode.distributions.spherical import log_area
from autoencode.errors import DataError, IncompatibleError, OptionError
from autoencode.recipes import build
from autoencode.trained import Trained, fit_prior, load_trained, save_model
from autoencode.trained.priors import FITTED, SecondStage, empty_prior, prior_of
from autoencode.trained.priors import from_model as of_model
from autoencode.trained.priors import real_codes as real
from autoencode.training import TrainingPlan
from autoencode.types import DataSpec, Site

DIM, FEATURES = 4, 6


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


# Flows

FLOWS = {
    "planar": lambda: Planar(DIM, FEATURES),
    "radial": lambda: Radial(DIM, FEATURES),
    "autoregressive": lambda: Autoregressive(DIM, 16, FEATURES),
    "autoregressive_reverse": lambda: Autoregressive(DIM, 16, FEATURES, reverse=True),
    "inverse": lambda: Inverse(Autoregressive(DIM, 16, FEATURES)),
}


def strong(flow):
    """Weights far from the identity that flows start at."""
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(2.0)
    return flow.double()


@pytest.mark.parametrize("name", FLOWS)
@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_a_flows_log_determinant_is_that_of_autograds_jacobian(name, seed):
    torch.manual_seed(seed)
    flow = strong(FLOWS[name]())
    z, h = torch.randn(DIM).double(), torch.randn(FEATURES).double()
    exact = torch.linalg.slogdet(jacobian(lambda v: flow(v, h)[0], z)).logabsdet
    torch.testing.assert_close(flow(z, h)[1].detach(), exact, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", [n for n in FLOWS if "e" in n and n != "planar"][1:])
def test_the_way_back_undoes_a_map_and_its_volume(name):
    flow = strong(FLOWS[name]())
    z, h = torch.randn(3, 5, DIM).double(), torch.randn(5, FEATURES).double()
    there, log_det = flow(z, h)
    back, back_log_det = flow.inverse(there, h)
    torch.testing.assert_close(back, z, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(back_log_det, -log_det, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("reverse", [False, True])
def test_an_entry_of_an_autoregressive_map_sees_those_before_it_only(reverse):
    flow = strong(Autoregressive(DIM, 16, reverse=reverse))
    seen = jacobian(lambda v: flow(v)[0], torch.randn(DIM).double()).abs() > 1e-12
    order = torch.arange(DIM).flip(0) if reverse else torch.arange(DIM)
    triangle = torch.ones(DIM, DIM).tril().bool()[order][:, order]
    assert bool((seen <= triangle).all())
    assert bool(seen[order[-1], order[0]])


@pytest.mark.parametrize("name", ["planar", "radial", "autoregressive"])
def test_a_flow_posterior_integrates_to_one(name):
    """By importance sampling with a wide Gaussian, through the flow's way back where it has one."""
    kind = {"planar": Planar, "radial": Radial}.get(name)
    flow = kind(1, FEATURES) if kind else Autoregressive(1, 8, FEATURES)
    bottleneck = FlowPosterior(DiagonalGaussian(FEATURES, 1), [strong(flow).float()])
    h = torch.randn(1, FEATURES)
    with torch.no_grad():
        z = bottleneck(h, StandardNormal((1,), h), n_samples=200_000)
        site = z.sites["z"]
        x, order = site.z[:, 0, 0].sort()
        density = site.posterior.log_prob(site.z)[:, 0][order].exp()
    assert float(torch.trapezoid(density, x)) == pytest.approx(1, abs=0.01)


def test_a_flow_posterior_knows_its_own_draws_only():
    bottleneck = FlowPosterior(DiagonalGaussian(FEATURES, DIM), [Planar(DIM, FEATURES)])
    h = torch.randn(3, FEATURES)
    site = bottleneck(h, StandardNormal((DIM,), h), 2).sites["z"]
    assert site.log_ratio().shape == (2, 3)
    with pytest.raises(IncompatibleError, match="its own draws only"):
        site.posterior.log_prob(torch.zeros(2, 3, DIM))


def test_a_chain_of_maps_is_a_density():
    flows = [strong(Autoregressive(1, 8)).float(), strong(Inverse(Autoregressive(1, 8))).float()]
    density = FlowDensity(flows, StandardNormal((1,), torch.zeros(())))
    x = torch.linspace(-80, 80, 40_001)[:, None]
    with torch.no_grad():
        total = torch.trapezoid(density.log_prob(x).exp(), x[:, 0])
        draws = density.rsample(torch.Size((20_000,)))
    assert float(total) == pytest.approx(1, abs=1e-3)
    mean = float(torch.trapezoid(density.log_prob(x).exp() * x[:, 0], x[:, 0]).detach())
    assert float(draws.mean()) == pytest.approx(mean, abs=5 * float(draws.std()) / 141)


# The sphere


def direction(m, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(m, generator=g), dim=0)


@pytest.mark.parametrize("kappa", [0.1, 3.0, 80.0, 1000.0])
@pytest.mark.parametrize("m", [2, 3, 10, 40])
def test_von_mises_fisher_has_the_moments_and_the_kl_of_the_bessel_functions(m, kappa):
    q = VonMisesFisher(direction(m), torch.tensor([kappa]))
    ratio = ive(m / 2, kappa) / ive(m / 2 - 1, kappa)
    log_constant = (m / 2 - 1) * math.log(kappa) - m / 2 * math.log(2 * math.pi)
    log_constant -= math.log(ive(m / 2 - 1, kappa)) + kappa
    expected = kappa * ratio + log_constant + log_area(m)
    assert float(q.kl(UniformSphere(m, q.loc))) == pytest.approx(expected, rel=1e-4, abs=5e-4)
    assert float(q.log_prob(q.loc)) == pytest.approx(log_constant + kappa, rel=1e-4, abs=5e-4)
    z = q.rsample(torch.Size((20_000,)))
    t = z @ q.loc
    assert float(t.mean()) == pytest.approx(ratio, abs=5 * float(t.std()) / 141 + 1e-4)
    variance = 1 - ratio**2 - (m - 1) / kappa * ratio
    assert float(t.var()) == pytest.approx(variance, rel=0.06)
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(20_000))


@pytest.mark.parametrize("kappa", [0.1, 3.0, 80.0, 1000.0])
@pytest.mark.parametrize("m", [2, 3, 10, 40])
def test_power_spherical_has_the_moments_and_the_entropy_of_its_beta(m, kappa):
    q = PowerSpherical(direction(m), torch.tensor([kappa]))
    a, b = (m - 1) / 2 + kappa, (m - 1) / 2
    beta = torch.distributions.Beta(torch.tensor(a).double(), torch.tensor(b).double())
    log_n = (a + b) * math.log(2) + b * math.log(math.pi) + math.lgamma(a) - math.lgamma(a + b)
    a64 = torch.tensor([a, a + b], dtype=torch.float64)
    expected_log = math.log(2) + float(torch.digamma(a64[0]) - torch.digamma(a64[1]))
    kl = kappa * expected_log - log_n + log_area(m)
    assert float(q.kl(UniformSphere(m, q.loc))) == pytest.approx(kl, rel=1e-4, abs=5e-4)
    t = q.rsample(torch.Size((20_000,))) @ q.loc
    mean = float(2 * beta.mean - 1)
    assert float(t.mean()) == pytest.approx(mean, abs=5 * float(t.std()) / 141 + 1e-4)
    assert float(t.var()) == pytest.approx(float(4 * beta.variance), rel=0.06)


@pytest.mark.parametrize("family", [VonMisesFisher, PowerSpherical])
def test_draws_on_the_sphere_follow_their_parameters(family):
    """The gradient of an expectation, by the draws and by differences of the exact one."""
    loc = direction(5)
    kappa = torch.tensor([7.0], requires_grad=True)
    z = family(loc, kappa).rsample(torch.Size((40_000,)))
    (by_draws,) = torch.autograd.grad((z @ loc).mean(), kappa)
    exact = [float(family(loc, torch.tensor([k])).mean @ loc) for k in (6.99, 7.01)]
    assert float(by_draws) == pytest.approx((exact[1] - exact[0]) / 0.02, rel=0.05)


@pytest.mark.parametrize("family", [VonMisesFisher, PowerSpherical])
def test_the_kl_to_the_uniform_sphere_is_the_mean_of_the_log_ratio(family):
    loc = torch.stack([direction(6, 1), direction(6, 2)])
    q = family(loc, torch.tensor([[2.0], [30.0]]))
    z = q.rsample(torch.Size((40_000,)))
    site = Site(z, q, UniformSphere(6, loc))
    torch.testing.assert_close(site.kl(), site.log_ratio().mean(0), rtol=0.02, atol=0.02)
    uniform = site.prior.rsample(torch.Size((10_000,)))
    assert float(uniform.mean(0).norm()) < 0.05
    assert site.prior.rsample().shape == (6,)


# Categories and mixtures


def test_the_kl_of_categories_is_that_of_monte_carlo():
    q = RelaxedCategorical(torch.randn(3, 4), 0.5)
    prior = UniformCategorical(torch.zeros(3, 4), 0.5)
    drawn = torch.distributions.Categorical(logits=q.logits).sample((100_000,))
    log_q = torch.distributions.Categorical(logits=q.logits).log_prob(drawn)
    expected = (log_q + math.log(4)).sum(1).mean()
    torch.testing.assert_close(q.kl(prior), expected, rtol=0.02, atol=0.01)


def test_relaxed_categories_have_torchs_density_and_the_right_shares():
    q = RelaxedCategorical(torch.randn(2, 3, 4), 0.7)
    z = q.rsample(torch.Size((50_000,)))
    theirs = torch.distributions.RelaxedOneHotCategorical(torch.tensor(0.7), logits=q.logits)
    inner = z[:20].clamp(1e-6, 1).unflatten(-1, (3, 4))
    inner = inner / inner.sum(-1, keepdim=True)
    expected = theirs.log_prob(inner).sum(-1)
    torch.testing.assert_close(q.log_prob(inner.flatten(-2)), expected, rtol=1e-3, atol=1e-2)
    shares = torch.nn.functional.one_hot(z.unflatten(-1, (3, 4)).argmax(-1), 4).float().mean(0)
    torch.testing.assert_close(shares, q.logits.exp(), rtol=0, atol=0.01)


def test_a_mixture_has_torchs_density_and_its_own_moments():
    loc, log_scale, logits = torch.randn(3, 2) * 3, 0.3 * torch.randn(3, 2), torch.randn(3)
    ours = NormalMixture(Normal(loc, log_scale), logits)
    theirs = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=logits),
        torch.distributions.Independent(torch.distributions.Normal(loc, log_scale.exp()), 1),
    )
    z = theirs.sample((4, 5))
    torch.testing.assert_close(ours.log_prob(z), theirs.log_prob(z))
    draws = ours.rsample(torch.Size((50_000,)))
    torch.testing.assert_close(draws.mean(0), theirs.mean, rtol=0, atol=0.06)
    torch.testing.assert_close(draws.var(0), theirs.variance, rtol=0.05, atol=0)
    torch.testing.assert_close(ours.mean, theirs.mean)


def test_latents_side_by_side_have_the_product_of_their_densities():
    a, b = Normal(torch.randn(2), torch.zeros(2)), Normal(torch.randn(3), torch.ones(3))
    both = Joined({"a": a, "b": b})
    z = both.rsample(torch.Size((7,)))
    assert z.shape == (7, 5)
    torch.testing.assert_close(both.log_prob(z), a.log_prob(z[:, :2]) + b.log_prob(z[:, 2:]))


# Priors fitted to codes


def two_clusters(n=2000):
    side = torch.randint(0, 2, (n, 1)) * 6.0 - 3
    return torch.cat([side + 0.3 * torch.randn(n, 1), 0.5 * side + torch.randn(n, 1)], 1)


@pytest.mark.parametrize("kind", ["mixture", "maf", "iaf"])
def test_a_fitted_prior_explains_new_codes_better_than_a_gaussian(kind, monkeypatch):
    plan = TrainingPlan(epochs=1, batch_size=256, lr=5e-3, decay="linear", min_steps=250, doctor=False)
    monkeypatch.setattr(real, "_FLOW_PLAN", plan)
    monkeypatch.setattr(real, "_INVERSE_PLAN", plan)
    z, new = two_clusters(), two_clusters()
    fitted = prior_of(kind, z, seed=0)(None, None)
    gaussian = prior_of("gaussian", z)(None, None)
    with torch.no_grad():
        assert float(fitted.log_prob(new).mean()) > float(gaussian.log_prob(new).mean()) + 0.4
        draws = fitted.rsample(torch.Size((3000,)))
    between = (draws[:, 0].abs() < 1).float().mean()
    assert float(between) < 0.05  # where there are no codes
    torch.testing.assert_close(draws.std(0), new.std(0), rtol=0.15, atol=0)


@pytest.mark.parametrize("kind", FITTED)
def test_a_fitted_prior_comes_from_its_seed_and_goes_into_its_tensors(kind, monkeypatch):
    short = TrainingPlan(epochs=1, batch_size=64, doctor=False)
    monkeypatch.setattr(real, "_FLOW_PLAN", short)
    monkeypatch.setattr(real, "_INVERSE_PLAN", short)
    z = torch.randn(300, 2, 3) * 2 + 1
    torch.manual_seed(5)
    state = torch.get_rng_state()
    if kind == "two_stage":
        monkeypatch.setattr(SecondStage, "steps", 20)
    first, second = prior_of(kind, z, seed=3), prior_of(kind, z, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    again = empty_prior(kind, (2, 3))
    again.load_state_dict(first.state_dict())
    assert again.kind == kind
    draws = []
    for prior in (first, second, again.eval()):
        torch.manual_seed(1)
        draws.append(prior(None, None).rsample(torch.Size((50,))))
    assert draws[0].shape == (50, 2, 3)
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(draws[0], draws[2])
    assert not any(p.requires_grad for p in first.parameters())


def test_a_sphere_has_the_centre_and_mean_radius_of_the_codes():
    z = torch.randn(4000, 6) * 2 + torch.arange(6.0)
    p = prior_of("sphere", z)(None, None)
    draws = p.rsample(torch.Size((4000,)))
    torch.testing.assert_close(draws.mean(0), z.mean(0), rtol=0, atol=0.2)
    radius = (draws - z.mean(0)).norm(dim=1)
    torch.testing.assert_close(radius, (z - z.mean(0)).norm(dim=1).mean().expand(4000))


def vae_of_two_clusters():
    """A model whose posteriors are Gaussians around x itself, of a fixed width."""
    spec = DataSpec((2,), "real")
    recipe = build("vae", spec, latent_dim=2, hidden=())
    recipe.model.encoder = nn.Identity()
    recipe.model.bottleneck.heads = nn.Linear(2, 4)
    with torch.no_grad():
        recipe.model.bottleneck.heads.weight.copy_(torch.cat([torch.eye(2), torch.zeros(2, 2)]))
        recipe.model.bottleneck.heads.bias.copy_(torch.tensor([0.0, 0.0, -1.5, -1.5]))
    return Trained(recipe)


def test_a_vamp_prior_explains_draws_better_than_a_gaussian_and_than_where_it_starts(monkeypatch):
    x, new = two_clusters(), two_clusters()
    trained = vae_of_two_clusters()
    weights = {name: t.clone() for name, t in trained.model.state_dict().items()}
    found = {}
    for name, steps in (("start", 1), ("vamp", 300), ("gaussian", 0)):
        plan = replace(of_model._VAMP_PLAN, min_steps=steps, lr=0.01 if steps > 1 else 1e-9)
        monkeypatch.setattr(of_model, "_VAMP_PLAN", plan)
        monkeypatch.setattr(of_model, "_PSEUDO_INPUTS", 20)
        fit_prior(trained, Examples(x.numpy()), kind=name if steps == 0 else "vamp")
        density = trained.model.prior_distribution(None)
        with torch.no_grad():
            z = trained.model.posterior(new).rsample()
            found[name] = float(density.log_prob(z).mean())
    assert found["vamp"] > found["start"] + 0.05
    assert found["vamp"] > found["gaussian"] + 0.4
    for name, before in weights.items():  # the model itself stays as it was
        assert torch.equal(trained.model.state_dict()[name], before)


def test_a_vamp_prior_comes_from_its_seed_and_is_kept_in_files(tmp_path, monkeypatch):
    monkeypatch.setattr(of_model, "_VAMP_PLAN", replace(of_model._VAMP_PLAN, min_steps=3))
    x = torch.rand(70, 1, 4, 4)
    made = []
    for _ in range(2):
        torch.manual_seed(0)
        trained = Trained(build("vae", DataSpec((1, 4, 4)), latent_dim=3, hidden=(8,)))
        torch.rand(len(made))
        made.append(fit_prior(trained, Examples(x.numpy()), seed=4, kind="vamp").sample(5, seed=1))
    np.testing.assert_array_equal(made[0], made[1])
    # With fewer examples than pseudo-inputs some of them are taken more than once.
    assert trained.model.prior.inputs.shape == (500, 1, 4, 4)
    assert float(trained.model.prior.inputs.min()) > -0.2
    save_model(trained, tmp_path)
    again = load_trained(tmp_path)
    assert again.model.prior.kind == "vamp"
    np.testing.assert_array_equal(again.sample(5, seed=1), made[0])


def test_the_normal_prior_is_standard_whatever_the_codes_are():
    p = prior_of("normal", 5 + 3 * torch.randn(100, 2, 3))(None, None)
    z = torch.randn(4, 2, 3)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum((1, 2))
    torch.testing.assert_close(p.log_prob(z), expected)


def test_priors_that_cannot_be_fitted_are_refused_with_a_remedy():
    with pytest.raises(OptionError, match="unknown prior 'mixtur'; did you mean mixture"):
        empty_prior("mixtur", (2,))
    with pytest.raises(DataError, match="needs at least 20 codes, got 5"):
        prior_of("mixture", torch.randn(5, 2))
    with pytest.raises(IncompatibleError, match="up to 2048 entries, got 4096"):
        empty_prior("two_stage", (4096,))
    gaps = Trained(build("vae", DataSpec((3,), "real", gaps=True), latent_dim=2))
    with pytest.raises(IncompatibleError, match="a vamp prior needs numbers without gaps"):
        fit_prior(gaps, Examples(np.random.default_rng(0).random((9, 3))), kind="vamp")


@pytest.mark.parametrize(("n", "expected"), [(300, 10), (2000, 20), (9000, 50)])
def test_a_mixture_has_the_gaussians_that_its_codes_can_tell(n, expected):
    mixture = prior_of("mixture", two_clusters(n))  # two means, three covariances
    assert mixture.n_components == expected
    torch.testing.assert_close(mixture.log_weights.exp().sum(), torch.tensor(1.0))


def test_more_gaussians_explain_new_codes_better():
    z, new = (torch.tanh(2 * torch.randn(4000, 2)) for _ in range(2))
    few, many = (prior_of("mixture", z, n_components=k) for k in (1, 16))
    assert (few.n_components, many.n_components) == (1, 16)
    gain = many(None, None).log_prob(new).mean() - few(None, None).log_prob(new).mean()
    assert float(gain) > 0.3


def test_codes_far_from_the_origin_have_a_mixture_too():
    z = two_clusters(1000)
    here, there = (prior_of("mixture", z + shift, n_components=2)(None, None) for shift in (0.0, 1e4))
    torch.testing.assert_close(there.log_prob(z + 1e4), here.log_prob(z), rtol=0, atol=0.05)


def test_the_mixture_is_scikit_learns():
    from sklearn.mixture import GaussianMixture

    z = two_clusters(500)
    p = prior_of("mixture", z, seed=4)(None, None)
    size = float(z.double().std(correction=0))
    theirs = GaussianMixture(10, reg_covar=1e-4, random_state=4).fit(z.double().numpy() / size)
    expected = theirs.score_samples(z.double().numpy() / size) - 2 * math.log(size)
    np.testing.assert_allclose(p.log_prob(z).numpy(), expected, rtol=1e-3, atol=1e-3)
