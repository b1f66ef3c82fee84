"""Bounds and their gradients, against models whose likelihood and posterior are known exactly."""

import itertools
import math

import pytest
import torch
from torch import nn

from autoencode.bottlenecks import DiagonalGaussian, GumbelSoftmax
from autoencode.distributions.basic import Normal
from autoencode.errors import IncompatibleError
from autoencode.likelihoods import Gaussian
from autoencode.models import AutoencoderModule
from autoencode.objectives import DoublyReparameterized, ImportanceWeighted, StickingTheLanding
from autoencode.priors import StandardNormal, UniformCategories
from autoencode.recipes import build
from autoencode.training.update import only
from autoencode.types import Batch, DataSpec, Progress

D, K = 5, 2


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def linear_gaussian(off: float) -> tuple[AutoencoderModule, torch.distributions.MultivariateNormal]:
    """x = W z + b + noise of scale 0.5, its posterior moved by ``off``, and the exact p(x)."""
    columns = torch.linalg.qr(torch.randn(D, K)).Q * torch.tensor([1.2, 0.8])
    b, precision = torch.randn(D), 1 + torch.tensor([1.2, 0.8]).square() / 0.25
    decoder, bottleneck = nn.Linear(K, D), DiagonalGaussian(D, K)
    gain = (columns / precision).T / 0.25
    with torch.no_grad():
        decoder.weight.copy_(columns)
        decoder.bias.copy_(b)
        bottleneck.heads.weight.copy_(torch.cat([gain, torch.zeros(K, D)]))
        bottleneck.heads.bias.copy_(torch.cat([-gain @ b, -0.5 * precision.log()]) + off)
    model = AutoencoderModule(
        nn.Identity(), decoder, bottleneck, Gaussian(1, scale=0.5), StandardNormal((K,))
    )
    covariance = columns @ columns.T + 0.25 * torch.eye(D)
    return model, torch.distributions.MultivariateNormal(b, covariance)


def mean_and_error(objective, model, batch, n=300):
    with torch.no_grad():
        draws = torch.stack([objective(model, batch, Progress()).total for _ in range(n)])
    return float(draws.mean()), float(draws.std() / math.sqrt(n))


def test_bounds_rise_with_k_to_the_exact_log_likelihood():
    model, marginal = linear_gaussian(off=0.3)
    batch = Batch.from_examples(marginal.sample((20,)))
    exact = -float(marginal.log_prob(batch.x).mean())
    means, errors = zip(
        *(mean_and_error(ImportanceWeighted(k), model, batch) for k in (1, 4, 32, 2000)), strict=True
    )
    assert means[0] > means[1] > means[2] > means[3] - 3 * errors[3]
    assert means[0] - exact > 0.1
    assert abs(means[3] - exact) < 3 * errors[3] + 1e-3  # what is left of the bias at K = 2000


def test_a_group_of_one_draw_is_the_elbo_and_one_group_is_the_bound_of_all():
    model, marginal = linear_gaussian(off=0.3)
    batch = Batch.from_examples(marginal.sample((20,)))
    values = {}
    for k, m in ((1, 1), (1, 6), (6, 1), (2, 3)):
        torch.manual_seed(1)
        values[k, m] = float(ImportanceWeighted(k, m)(model, batch, Progress()).total.detach())
    torch.manual_seed(1)
    output = model(batch, n_samples=6)
    log_w = (output.x_dist.log_prob(batch.x) - output.latent.sites["z"].log_ratio()).detach()
    assert values[1, 6] == pytest.approx(-float(log_w.mean()), rel=1e-5)
    assert values[6, 1] == pytest.approx(-float((log_w.logsumexp(0) - math.log(6)).mean()), rel=1e-5)
    pairs = log_w.reshape(3, 2, 20).logsumexp(1) - math.log(2)
    assert values[2, 3] == pytest.approx(-float(pairs.mean()), rel=1e-5)
    assert values[6, 1] < values[2, 3] < values[1, 6]


def test_ciwae_mixes_the_bound_and_the_elbo_of_the_same_draws():
    model, marginal = linear_gaussian(off=0.3)
    batch = Batch.from_examples(marginal.sample((20,)))
    losses = {}
    for share in (0.0, 0.3, 1.0):
        torch.manual_seed(1)
        objective = ImportanceWeighted(5, elbo_share=share)
        losses[share] = float(objective(model, batch, Progress()).total.detach())
    assert losses[0.3] == pytest.approx(0.7 * losses[0.0] + 0.3 * losses[1.0], rel=1e-5)
    with pytest.raises(IncompatibleError, match="must lie in"):
        ImportanceWeighted(5, elbo_share=1.5)


@pytest.mark.parametrize("kind", [ImportanceWeighted, DoublyReparameterized])
def test_draws_grow_from_one_to_k_while_it_trains_and_are_k_where_it_is_measured(kind):
    model, marginal = linear_gaussian(off=0.3)
    batch, seen = Batch.from_examples(marginal.sample((20,))), []
    forward = model.forward
    model.forward = lambda batch, n_samples=1: seen.append(n_samples) or forward(batch, n_samples)
    objective = kind(32, n_groups=2, growth=0.5)
    for step in (0, 10, 20, 50, 99):
        objective(model, batch, Progress(step, 100))
    assert seen == [2, 2 * 2, 2 * 4, 2 * 32, 2 * 32]
    with torch.no_grad():
        objective(model, batch, Progress(0, 100))
    assert seen[-1] == 64
    torch.manual_seed(1)
    first = objective(model, batch, Progress(0, 100)).total
    torch.manual_seed(1)
    torch.testing.assert_close(first, kind(1, n_groups=2)(model, batch, Progress()).total)
    with pytest.raises(IncompatibleError, match="growth is a share of training, 0 to 1, got 2"):
        kind(4, growth=2.0)


def test_sticking_the_landing_has_the_expectation_of_the_plain_gradient_with_two_layers_too():
    spec = DataSpec((6,), "unit")
    options = {"latent_dim": 3, "top_dim": 2, "hidden": (5,), "top_hidden": (4,), "n_samples": 1}
    recipe = build("iwae_two_layers", spec, gradient="stl", **options)
    (update,) = recipe.updates
    assert isinstance(update.objective, StickingTheLanding)
    batch = Batch.from_examples(torch.rand(3, 6))
    a, error_a, variance_a = gradients(ImportanceWeighted(1), recipe.model, batch, 500)
    b, error_b, variance_b = gradients(update.objective, recipe.model, batch, 500)
    apart = (a - b).abs() / (error_a.square() + error_b.square()).sqrt().clamp_min(1e-6)
    # Some 200 numbers; 4.5 standard errors are passed by chance once in 700 runs.
    assert float(apart.max()) < 4.5
    inference = sum(p.numel() for p in (*recipe.model.encoder.parameters(),))
    assert float(variance_b[:inference].sum()) < float(variance_a[:inference].sum())


def gradients(objective, model, batch, n):
    """Mean and standard error of each gradient over n draws, and the variance of all together."""
    parameters = list(model.parameters())
    rows = []
    for _ in range(n):
        loss = objective(model, batch, Progress()).total
        grads = torch.autograd.grad(loss, parameters)
        rows.append(torch.cat([g.flatten() for g in grads]))
    rows = torch.stack(rows)
    return rows.mean(0), rows.std(0) / math.sqrt(n), rows.var(0)


@pytest.mark.parametrize(
    ("plain", "other"),
    [
        (ImportanceWeighted(4), DoublyReparameterized(4)),
        (ImportanceWeighted(3, n_groups=2), DoublyReparameterized(3, n_groups=2)),
        (ImportanceWeighted(3, elbo_share=0.3), DoublyReparameterized(3, elbo_share=0.3)),
        (ImportanceWeighted(1), StickingTheLanding()),
    ],
    ids=["dreg", "dreg-groups", "dreg-mixed", "stl"],
)
def test_other_gradients_have_the_expectation_of_the_plain_one(plain, other):
    model, marginal = linear_gaussian(off=0.3)
    batch = Batch.from_examples(marginal.sample((3,)))
    a, error_a, _ = gradients(plain, model, batch, 600)
    b, error_b, _ = gradients(other, model, batch, 600)
    # About 40 numbers are compared; four standard errors are passed by chance once in 500 runs.
    assert bool(((a - b).abs() <= 4.0 * (error_a.square() + error_b.square()).sqrt() + 1e-6).all())
    torch.manual_seed(3)
    value = plain(model, batch, Progress()).total
    torch.manual_seed(3)
    torch.testing.assert_close(other(model, batch, Progress()).total, value)


def test_with_the_exact_posterior_no_noise_is_left_in_the_encoders_gradient():
    model, marginal = linear_gaussian(off=0.0)
    batch = Batch.from_examples(marginal.sample((4,)))
    heads = list(model.bottleneck.parameters())
    size = {}
    for name, objective in {
        "plain": ImportanceWeighted(3),
        "stl": StickingTheLanding(),
        "dreg": DoublyReparameterized(3),
    }.items():
        loss = objective(model, batch, Progress()).total
        size[name] = max(float(g.abs().max()) for g in torch.autograd.grad(loss, heads))
    assert size["stl"] < 1e-4
    assert size["dreg"] < 1e-4
    assert size["plain"] > 1e-2


def test_dreg_has_less_variance_for_the_encoder_than_the_plain_gradient():
    model, marginal = linear_gaussian(off=0.2)
    batch = Batch.from_examples(marginal.sample((3,)))
    n_decoder = sum(p.numel() for p in model.decoder.parameters())
    variance = {}
    for objective in (ImportanceWeighted(16), DoublyReparameterized(16)):
        _, _, each = gradients(objective, model, batch, 300)
        assert len(each) > n_decoder
        names = [n for n, p in model.named_parameters() for _ in range(p.numel())]
        chosen = torch.tensor([n.startswith("bottleneck") for n in names])
        variance[type(objective).__name__] = float(each[chosen].sum())
    assert variance["DoublyReparameterized"] < 0.5 * variance["ImportanceWeighted"]


def test_gradients_that_a_model_cannot_have_are_refused_with_a_remedy():
    two = build("iwae_two_layers", DataSpec((6,)), hidden=(8,), top_hidden=(4,)).model
    with pytest.raises(IncompatibleError, match=r"one stochastic variable.*use gradient=standard"):
        DoublyReparameterized(2).check(two(Batch.from_examples(torch.rand(2, 6))))
    flow = build("flow_vae", DataSpec((6,)), n_flows=2).model
    with pytest.raises(IncompatibleError, match="no path derivative; use gradient=standard"):
        StickingTheLanding().check(flow(Batch.from_examples(torch.rand(2, 6))))
    with pytest.raises(IncompatibleError, match=r"stl is biased.*use gradient=dreg"):
        build("iwae", DataSpec((6,)), gradient="stl")
    assert build("iwae", DataSpec((6,)), gradient="stl", n_samples=1).unit == "nats per example"


def test_the_two_updates_of_piwae_are_the_gradients_of_their_own_bounds():
    recipe = build("piwae", DataSpec((6,)), n_samples=2, n_groups=3, hidden=(8,), latent_dim=2)
    model, batch = recipe.model, Batch.from_examples(torch.rand(4, 6))
    generative, inference = recipe.updates
    assert {id(p) for p in generative.parameters()} == {id(p) for p in model.decoder.parameters()}
    for update, bound in ((generative, ImportanceWeighted(6)), (inference, ImportanceWeighted(2, 3))):
        owned = update.parameters()
        torch.manual_seed(2)
        expected = torch.autograd.grad(bound(model, batch, Progress()).total, owned)
        torch.manual_seed(2)
        with only(owned, list(model.parameters())):
            got = torch.autograd.grad(update.objective(model, batch, Progress()).total, owned)
        for a, b in zip(got, expected, strict=True):
            torch.testing.assert_close(a, b)


def test_the_two_layer_bound_is_that_of_its_densities_written_out():
    model = build("iwae_two_layers", DataSpec((6,)), hidden=(8,), top_hidden=(4,), top_dim=3).model
    batch = Batch.from_examples(torch.rand(5, 6).round())
    torch.manual_seed(1)
    loss = ImportanceWeighted(4)(model, batch, Progress()).total
    torch.manual_seed(1)
    sites = model(batch, n_samples=4).latent.sites
    z, u = sites["z"].z, sites["u"].z
    assert z.shape == (4, 5, 100)
    assert u.shape == (4, 5, 3)
    q_z = model.bottleneck.lower.posterior(model.encoder(batch.x))
    q_u = model.bottleneck.upper.posterior(model.bottleneck.network(z.reshape(20, -1)).view(4, 5, -1))
    loc, log_scale = model.prior.heads(model.prior.network(u.reshape(20, -1))).chunk(2, -1)
    p_z = torch.distributions.Normal(loc.view(4, 5, -1), log_scale.exp().view(4, 5, -1))
    logits = model.decoder(z.reshape(20, -1)).view(4, 5, 6)
    weight = (
        torch.distributions.Bernoulli(logits=logits).log_prob(batch.x).sum(-1)
        + p_z.log_prob(z).sum(-1)
        + torch.distributions.Normal(0.0, 1.0).log_prob(u).sum(-1)
        - torch.distributions.Normal(q_z.loc, q_z.scale).log_prob(z).sum(-1)
        - torch.distributions.Normal(q_u.loc, q_u.scale).log_prob(u).sum(-1)
    )
    expected = -(weight.logsumexp(0) - math.log(4)).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-4)


def test_a_lower_latent_is_never_compared_in_closed_form():
    """Its prior depends on a draw that depends on itself."""
    model = build("iwae_two_layers", DataSpec((6,)), hidden=(8,), top_hidden=(4,)).model
    site = model(Batch.from_examples(torch.rand(3, 6)), n_samples=2).latent.sites["z"]
    assert torch.equal(site.kl(), site.log_ratio())


def test_the_categorical_kl_is_the_sum_over_all_categories():
    bottleneck = GumbelSoftmax(4, 3, 5)
    q = bottleneck.posterior(torch.randn(6, 4))
    prior = UniformCategories(3, 5, 0.67)(None, None)
    p = q.logits.exp()
    expected = torch.zeros(6)
    for codes in itertools.product(range(5), repeat=3):
        joint = torch.stack([p[:, v, c] for v, c in enumerate(codes)], 1).prod(1)
        expected += joint * (joint.log() + 3 * math.log(5))
    torch.testing.assert_close(q.kl(prior), expected, rtol=1e-4, atol=1e-5)


def test_a_posterior_held_fixed_has_the_same_density_and_no_gradient():
    loc = torch.randn(3, 2, requires_grad=True)
    q = Normal(loc, torch.zeros(3, 2))
    z = torch.randn(3, 2)
    torch.testing.assert_close(q.detached().log_prob(z), q.log_prob(z))
    assert not q.detached().log_prob(z).requires_grad
