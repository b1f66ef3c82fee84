"""One test at least for each seam of the design: what a hard case will ask of the core."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from autoencode.bottlenecks import DiagonalGaussian, Plain
from autoencode.distributions.basic import Bernoulli as BernoulliDistribution
from autoencode.distributions.basic import Normal, StandardNormal
from autoencode.errors import IncompatibleError
from autoencode.likelihoods import SIGMOID, Bernoulli, Gaussian
from autoencode.models import AutoencoderModule
from autoencode.nets import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from autoencode.objectives import (
    ImportanceWeighted,
    Linear,
    WeightedSum,
    kl,
    mean_squared_error,
    penalties,
    reconstruction,
    squared_error,
)
from autoencode.objectives.terms import NamedTerm
from autoencode.priors import StandardNormal as StandardNormalPrior
from autoencode.recipes import Recipe, build
from autoencode.training import Stepper, TorchOptimizer, Update
from autoencode.training.update import only
from autoencode.types import Batch, DataSpec, Latent, Losses, Output, Progress, Site

ELBO = WeightedSum({"reconstruction": reconstruction, "kl": kl})


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def vae_module(shape=(6,), latent_dim=2, hidden=8, context_dim=0, likelihood=None, prior=None):
    likelihood = likelihood or Gaussian(len(shape))
    encoder = MLPEncoder(shape, (hidden,), context_dim=context_dim)
    decoder = MLPDecoder(latent_dim, (hidden,), shape, likelihood.n_params, context_dim=context_dim)
    return AutoencoderModule(
        encoder,
        decoder,
        DiagonalGaussian(hidden, latent_dim),
        likelihood,
        prior or StandardNormalPrior((latent_dim,)),
    )


def plain_module(d=4, z=2):
    return AutoencoderModule(nn.Linear(d, z), nn.Linear(z, d), Plain(), Gaussian(1))


# The Monte-Carlo axis


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("name", ["mlp", "vae", "conv", "conv_small", "conv_vae"])
def test_axis_0_of_everything_inside_a_model_is_samples(name, k):
    spec = DataSpec((2, 6, 5))
    recipe = build(name, spec)
    output = recipe.model(Batch.from_examples(torch.rand(4, *spec.shape)), n_samples=k)
    assert output.latent.z.shape == (k, 4, *recipe.latent_shape)
    assert output.x_dist.mean.shape == (k, 4, *spec.shape)
    assert output.x_dist.sample().shape == (k, 4, *spec.shape)
    assert output.x_dist.log_prob(torch.rand(4, *spec.shape)).shape == (k, 4)
    for site in output.latent.sites.values():
        assert site.log_ratio().shape == (k, 4)
        assert torch.broadcast_shapes(site.kl().shape, (k, 4)) == (k, 4)


def test_samples_of_a_stochastic_bottleneck_differ_and_those_of_a_plain_one_do_not():
    x = torch.rand(4, 2, 6, 5)
    spec = DataSpec((2, 6, 5))
    z = build("vae", spec).model(Batch.from_examples(x), n_samples=2).latent.z
    assert not torch.equal(z[0], z[1])
    z = build("mlp", spec).model(Batch.from_examples(x), n_samples=2).latent.z
    assert torch.equal(z[0], z[1])


def test_the_bound_of_one_sample_is_the_elbo_with_a_sampled_kl():
    model, batch = vae_module(), Batch.from_examples(torch.randn(5, 6))
    torch.manual_seed(1)
    bound = ImportanceWeighted(1)(model, batch, Progress()).total
    torch.manual_seed(1)
    output = model(batch)
    elbo = output.x_dist.log_prob(batch.x) - output.latent.sites["z"].log_ratio()
    torch.testing.assert_close(bound, -elbo.mean())


def test_the_bound_of_k_samples_is_the_log_of_the_mean_weight():
    model, batch = vae_module(), Batch.from_examples(torch.randn(5, 6))
    torch.manual_seed(1)
    bound = ImportanceWeighted(4)(model, batch, Progress()).total
    torch.manual_seed(1)
    output = model(batch, n_samples=4)
    site = output.latent.sites["z"]
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(site.z).sum(-1)
    q = torch.distributions.Normal(site.posterior.loc, site.posterior.scale)
    weight = output.x_dist.log_prob(batch.x).double() + prior - q.log_prob(site.z).sum(-1)
    torch.testing.assert_close(bound.double(), -weight.exp().mean(0).log().mean(), rtol=1e-5, atol=0)


def test_the_bound_grows_with_the_number_of_samples():
    model, batch = vae_module(), Batch.from_examples(2 * torch.randn(8, 6))
    losses = []
    with torch.no_grad():
        for k in (1, 4, 16, 64):
            objective = ImportanceWeighted(k)
            draws = [objective(model, batch, Progress()).total for _ in range(200)]
            losses.append(float(torch.stack(draws).mean()))
    assert losses[0] > losses[1] > losses[2] > losses[3]


def test_a_bound_on_a_deterministic_bottleneck_is_refused_with_a_remedy():
    model = plain_module()
    output = model(Batch.from_examples(torch.rand(2, 4)))
    with pytest.raises(IncompatibleError, match="deterministic; use DiagonalGaussian"):
        ImportanceWeighted(5).check(output)
    recipe = Recipe(model, (Update(ImportanceWeighted(5), (model,)),), DataSpec((4,)))
    with pytest.raises(IncompatibleError, match="deterministic; use DiagonalGaussian"):
        recipe.check()
    with pytest.raises(IncompatibleError, match="at least one sample"):
        ImportanceWeighted(0)


def test_a_kl_term_on_a_deterministic_bottleneck_is_refused_with_a_remedy():
    model = plain_module()
    recipe = Recipe(model, (Update(ELBO, (model,)),), DataSpec((4,)))
    with pytest.raises(IncompatibleError, match=r"'kl' needs a stochastic.*use DiagonalGaussian"):
        recipe.check()


def test_a_gaussian_bottleneck_without_a_prior_is_refused_with_a_remedy():
    with pytest.raises(IncompatibleError, match="needs a prior; pass prior=StandardNormal"):
        DiagonalGaussian(3, 2)(torch.rand(1, 3), None)


# Updates: two optimisers, each with its own modules


class Fool:
    """The model's side of an adversarial toy: reconstruct, and please the critic."""

    unit = "squared error per entry"

    def __init__(self, critic: nn.Module) -> None:
        self.critic = critic

    def __call__(self, model, batch: Batch, progress: Progress) -> Losses:
        x_hat = model(batch).x_dist.mean[0]
        error = (x_hat - batch.target).square().mean()
        pleased = -self.critic(x_hat).mean()
        return Losses(error + pleased, {"error": error.detach(), "pleased": pleased.detach()})

    def check(self, output: Output) -> None: ...


class Judge(Fool):
    """The critic's side: low on reconstructions, high on data; the opposite sign of ``Fool``."""

    unit = "score"

    def __call__(self, model, batch: Batch, progress: Progress) -> Losses:
        gap = self.critic(model(batch).x_dist.mean[0]).mean() - self.critic(batch.target).mean()
        return Losses(gap, {"gap": gap.detach()})


class Spy:
    """An optimiser that keeps the gradients of everything as they are when it takes its turn."""

    def __init__(self, watched: dict[str, nn.Parameter], log: list, lr: float = 0.1) -> None:
        self.watched, self.log, self.lr = watched, log, lr

    def __call__(self, parameters) -> TorchOptimizer:
        spy, inner = self, TorchOptimizer(torch.optim.SGD(parameters, lr=self.lr))

        class Watching:
            def step(self, factor: float = 1.0) -> None:
                grads = {n: p.grad for n, p in spy.watched.items()}
                spy.log.append({n: None if g is None else g.clone() for n, g in grads.items()})
                inner.step(factor)

            def zero_grad(self) -> None:
                inner.zero_grad()

        return Watching()


class Duel:
    """A model and a critic, an update for each, and a log of all gradients at each turn."""

    def __init__(self, every: int = 1, lr: float = 0.1) -> None:
        torch.manual_seed(0)
        self.model = plain_module()
        self.critic = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
        self.fool, self.judge = Fool(self.critic), Judge(self.critic)
        self.watched = dict(self.model.named_parameters())
        self.watched |= {f"critic.{n}": p for n, p in self.critic.named_parameters()}
        self.log: list[dict[str, Tensor | None]] = []
        spy = Spy(self.watched, self.log, lr)
        self.updates = (
            Update(self.fool, (self.model,), spy),
            Update(self.judge, (self.critic,), spy, every),
        )
        self.stepper = Stepper(self.model, self.updates, spy)
        self.batch = Batch.from_examples(torch.rand(8, 4))

    def values(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.watched.items()}


def is_critic(name: str) -> bool:
    return name.startswith("critic.")


def test_no_gradient_leaks_from_one_update_into_the_modules_of_another():
    duel = Duel()
    for step in range(3):
        duel.stepper.step(duel.batch, Progress(step))
    assert len(duel.log) == 6
    for turn, grads in enumerate(duel.log):
        for name, grad in grads.items():
            owned = is_critic(name) == bool(turn % 2)
            assert (grad is not None) == owned, (turn, name)
    assert all(p.grad is None for p in duel.watched.values())
    assert all(p.requires_grad for p in duel.watched.values())


def test_each_update_moves_its_own_modules_by_its_own_gradient():
    # The sign trap: in a shared graph the decoder would follow the critic's loss as well.
    duel, reference = Duel(), Duel()
    duel.stepper.step(duel.batch)
    for objective, module in ((reference.fool, reference.model), (reference.judge, reference.critic)):
        parameters = list(module.parameters())
        loss = objective(reference.model, reference.batch, Progress()).total
        grads = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, grad in zip(parameters, grads, strict=True):
                parameter -= 0.1 * grad
    expected = reference.values()
    for name, value in duel.values().items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-7)


def test_an_update_leaves_modules_that_it_does_not_own_untouched():
    duel = Duel()
    before = duel.values()
    stepper = Stepper(duel.model, duel.updates[:1], duel.updates[0].optimizer)
    stepper.step(duel.batch)
    for name, value in duel.values().items():
        assert torch.equal(value, before[name]) == is_critic(name)


def test_a_module_of_the_model_that_no_update_owns_gets_no_gradient():
    model = plain_module()
    before = copy.deepcopy(model.state_dict())
    objective = WeightedSum({"mse": mean_squared_error})
    sgd = lambda ps: TorchOptimizer(torch.optim.SGD(ps, lr=0.1))  # noqa: E731
    stepper = Stepper(model, (Update(objective, (model.encoder,)),), sgd)
    stepper.step(Batch.from_examples(torch.rand(8, 4)))
    assert all(p.grad is None for p in model.parameters())
    assert all(p.requires_grad for p in model.parameters())
    after = model.state_dict()
    assert not torch.equal(after["encoder.weight"], before["encoder.weight"])
    assert torch.equal(after["decoder.weight"], before["decoder.weight"])


def test_an_update_takes_its_turn_every_so_many_steps():
    duel = Duel(every=3)
    moved = []
    for step in range(7):
        before = duel.values()
        losses = duel.stepper.step(duel.batch, Progress(step))
        after = duel.values()
        moved.append(any(not torch.equal(before[n], after[n]) for n in after if is_critic(n)))
        assert any(not torch.equal(before[n], after[n]) for n in after if not is_critic(n))
        assert ("gap" in losses) == moved[-1]
    assert moved == [True, False, False, True, False, False, True]


def test_no_other_updates_loss_stands_in_where_the_first_takes_no_turn():
    duel = Duel()
    rare = Update(duel.fool, (duel.model,), duel.updates[0].optimizer, every=2)
    stepper = Stepper(duel.model, (rare, duel.updates[1]), duel.updates[0].optimizer)
    assert set(stepper.step(duel.batch, Progress(0))) == {"loss", "error", "pleased", "gap"}
    assert set(stepper.step(duel.batch, Progress(1))) == {"gap"}


def test_the_loss_is_the_first_updates_and_every_term_has_its_name():
    duel = Duel()
    losses = duel.stepper.step(duel.batch)
    assert set(losses) == {"loss", "error", "pleased", "gap"}
    torch.testing.assert_close(losses["loss"], losses["error"] + losses["pleased"])
    assert not any(value.requires_grad for value in losses.values())


def test_two_updates_that_own_the_same_parameter_are_refused():
    duel = Duel()
    both = (duel.updates[0], Update(duel.judge, (duel.critic, duel.model.decoder)))
    with pytest.raises(IncompatibleError, match="own the same parameter; give each its own"):
        Stepper(duel.model, both, duel.updates[0].optimizer)


def test_an_update_that_owns_nothing_is_refused():
    duel = Duel()
    nothing = Update(duel.judge, (nn.ReLU(),))
    with pytest.raises(IncompatibleError, match="owns no trainable parameter"):
        Stepper(duel.model, (nothing,), duel.updates[0].optimizer)


def test_a_frozen_parameter_stays_frozen():
    duel = Duel()
    duel.model.decoder.weight.requires_grad_(False)
    before = duel.model.decoder.weight.clone()
    Stepper(duel.model, duel.updates, duel.updates[0].optimizer).step(duel.batch)
    assert torch.equal(before, duel.model.decoder.weight)
    assert not duel.model.decoder.weight.requires_grad


def test_a_failing_update_thaws_what_was_frozen():
    layers = nn.Linear(2, 2), nn.Linear(2, 2)
    everything = [p for layer in layers for p in layer.parameters()]

    def fail() -> None:
        with only(list(layers[0].parameters()), everything):
            assert not layers[1].weight.requires_grad
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert all(p.requires_grad for p in everything)


def test_a_parameter_shared_by_two_modules_of_an_update_is_moved_once():
    a, b = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    b.weight = a.weight
    assert len(Update(ELBO, (a, b)).parameters()) == 1


# Sites


def test_site_kl_in_closed_form_is_the_mean_of_the_log_ratio():
    posterior = Normal(torch.randn(3, 4), 0.3 * torch.randn(3, 4))
    z = posterior.rsample(torch.Size((200_000,)))
    for prior in (
        StandardNormal((4,), z),
        Normal(torch.randn(4), 0.3 * torch.randn(4)),
        Normal(torch.randn(3, 4), 0.3 * torch.randn(3, 4)),
    ):
        site = Site(z, posterior, prior)
        assert site.kl().shape == (3,)
        torch.testing.assert_close(site.kl(), site.log_ratio().mean(0), rtol=0.02, atol=0.02)


def test_site_kl_falls_back_to_the_log_ratio_for_any_torch_distribution():
    posterior = Normal(torch.randn(3, 4), 0.3 * torch.randn(3, 4))
    z = posterior.rsample(torch.Size((100_000,)))
    factor = torch.tril(0.3 * torch.randn(4, 4)) + torch.eye(4)
    factor.diagonal().abs_()
    prior = torch.distributions.MultivariateNormal(torch.randn(4), scale_tril=factor)
    site = Site(z, posterior, prior)
    assert torch.equal(site.kl(), site.log_ratio())
    full = torch.distributions.MultivariateNormal(
        posterior.loc, scale_tril=torch.diag_embed(posterior.scale)
    )
    exact = torch.distributions.kl_divergence(full, prior)
    torch.testing.assert_close(site.kl().mean(0), exact, rtol=0.02, atol=0.02)


def test_any_torch_distribution_may_be_the_posterior():
    posterior = torch.distributions.Independent(torch.distributions.Laplace(torch.zeros(3, 4), 1.0), 1)
    z = posterior.rsample(torch.Size((5,)))
    site = Site(z, posterior, StandardNormal((4,), z))
    assert torch.equal(site.kl(), posterior.log_prob(z) - site.prior.log_prob(z))


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_gaussian_kl_equals_torchs_and_is_never_negative(batch, width, seed):
    g = torch.Generator().manual_seed(seed)
    q, p = (
        Normal(torch.randn(batch, width, generator=g), torch.randn(batch, width, generator=g))
        for _ in range(2)
    )
    torch_q, torch_p = (torch.distributions.Normal(n.loc, n.scale) for n in (q, p))
    expected = torch.distributions.kl_divergence(torch_q, torch_p).sum(-1)
    torch.testing.assert_close(q.kl(p), expected, rtol=1e-4, atol=1e-5)
    assert bool((q.kl(p) >= -1e-5).all())
    torch.testing.assert_close(q.kl(q), torch.zeros(batch), rtol=0, atol=1e-5)


# Progress and schedules


def test_progress_reaches_every_term():
    seen: list[Progress] = []

    def term(model, batch, output, progress):
        seen.append(progress)
        return output.x_dist.mean.mean()

    model = plain_module()
    update = Update(WeightedSum({"a": NamedTerm(term), "b": NamedTerm(term)}), (model,))
    progress = Progress(7, 20, 100)
    sgd = lambda ps: TorchOptimizer(torch.optim.SGD(ps, lr=0.1))  # noqa: E731
    Stepper(model, (update,), sgd).step(Batch.from_examples(torch.rand(2, 4)), progress)
    assert seen == [progress, progress]


def test_kl_annealing_weighs_the_term_by_progress():
    annealed = WeightedSum({"reconstruction": reconstruction, "kl": kl}, kl=Linear(0.0, 2.0, until=0.5))
    model, batch = vae_module(), Batch.from_examples(torch.randn(5, 6))
    for step, weight in ((0, 0.0), (25, 1.0), (50, 2.0), (99, 2.0)):
        torch.manual_seed(1)
        losses = annealed(model, batch, Progress(step, 100))
        expected = losses.terms["reconstruction"] + weight * losses.terms["kl"]
        torch.testing.assert_close(losses.total.detach(), expected)


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 1), st.integers(0, 1000), st.integers(1, 1000))
def test_a_linear_schedule_stays_between_its_ends_and_reaches_the_last(start, end, until, step, n):
    schedule = Linear(start, end, until)
    low, high = min(start, end) - 1e-9, max(start, end) + 1e-9
    assert low <= schedule(Progress(step, n)) <= high
    assert schedule(Progress(n, n)) == pytest.approx(end)
    if until > 0:
        assert schedule(Progress(0, n)) == pytest.approx(start)


def test_a_weight_without_a_term_is_refused():
    with pytest.raises(IncompatibleError, match="weights without a term: beta"):
        WeightedSum({"kl": kl}, beta=2.0)


# Masks

MaskedLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def _likelihood_loss(likelihood) -> MaskedLoss:
    return lambda params, x, mask: -likelihood(params).log_prob(x, mask).sum()


def _term_loss(term: NamedTerm) -> MaskedLoss:
    def loss(params, x, mask):
        output = Output(Latent(params), Gaussian(1)(params))
        return term(None, Batch(x, x, mask=mask), output, Progress()).sum()

    return loss


MASKED: dict[str, tuple[int, MaskedLoss]] = {
    "gaussian": (1, _likelihood_loss(Gaussian(1, scale=0.7))),
    "gaussian_sigmoid": (1, _likelihood_loss(Gaussian(1, SIGMOID))),
    "gaussian_learned": (2, _likelihood_loss(Gaussian(1, scale="learned"))),
    "bernoulli": (1, _likelihood_loss(Bernoulli(1))),
    "reconstruction": (1, _term_loss(reconstruction)),
    "mse": (1, _term_loss(mean_squared_error)),
    "sse": (1, _term_loss(squared_error)),
}


@pytest.mark.parametrize("hidden", [0.3, 1e30, math.nan, math.inf])
@pytest.mark.parametrize("kind", MASKED)
def test_masked_entries_reach_neither_loss_nor_gradient(kind, hidden):
    n_params, loss = MASKED[kind]
    x, mask = torch.rand(3, 5), torch.rand(3, 5) < 0.6
    mask[0] = torch.tensor([True, False, True, False, True])
    values = torch.randn(2, 3, 5 * n_params)
    results = []
    for filler in (0.0, hidden):
        params = values.clone().requires_grad_()
        total = loss(params, torch.where(mask, x, filler), mask)
        (grad,) = torch.autograd.grad(total, params)
        results.append((total.detach(), grad))
        entries = grad.unflatten(-1, (n_params, 5))
        assert not entries[:, ~mask.unsqueeze(1).expand(3, n_params, 5)].any()
    assert torch.isfinite(results[0][0])
    torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=0)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=0, atol=0)


@pytest.mark.parametrize("kind", MASKED)
def test_a_masked_loss_is_the_loss_of_the_observed_columns(kind):
    n_params, loss = MASKED[kind]
    observed = torch.tensor([0, 2, 3])
    mask = torch.zeros(3, 5, dtype=torch.bool)
    mask[:, observed] = True
    x, params = torch.rand(3, 5), torch.randn(2, 3, n_params, 5)
    masked = loss(params.flatten(-2), x, mask)
    alone = loss(params[..., observed].flatten(-2), x[:, observed], None)
    torch.testing.assert_close(masked, alone)
    everything = torch.ones(3, 5, dtype=torch.bool)
    torch.testing.assert_close(
        loss(params.flatten(-2), x, everything), loss(params.flatten(-2), x, None)
    )


@pytest.mark.parametrize("objective", [ELBO, ImportanceWeighted(3)], ids=["elbo", "iwae"])
def test_a_mask_reaches_the_likelihood_through_every_objective(objective):
    model = vae_module()
    x = torch.randn(4, 6)
    mask = torch.rand(4, 6) < 0.5
    values = []
    for filler in (0.0, 9.0):
        torch.manual_seed(1)
        target = torch.where(mask, x, filler)
        values.append(objective(model, Batch(x, target, mask=mask), Progress()).total)
    assert torch.equal(values[0], values[1])
    torch.manual_seed(1)
    unmasked = objective(model, Batch(x, target), Progress()).total
    assert not torch.equal(values[0], unmasked)


# Context


@pytest.mark.parametrize("k", [1, 3])
def test_context_conditions_encoder_and_decoder_for_every_sample(k):
    model = vae_module(context_dim=3)
    x, context = torch.randn(4, 6), torch.randn(4, 3)
    torch.manual_seed(1)
    output = model(Batch(x, x, context), n_samples=k)
    assert output.x_dist.mean.shape == (k, 4, 6)
    # Each sample is decoded with the context of its own example.
    for s in range(k):
        torch.testing.assert_close(
            output.x_dist.mean[s], model.decode(output.latent.z[s], context).mean
        )
    assert not torch.allclose(model.embed(x, context), model.embed(x, -context))
    z = model.embed(x, context)
    assert not torch.allclose(model.decode(z, context).mean, model.decode(z, -context).mean)
    assert model.sample(4, context).shape == (4, 6)


# Likelihoods


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
def test_a_gaussian_with_learned_scale_asks_for_two_parameters_per_entry(shape):
    likelihood = Gaussian(len(shape), scale="learned")
    assert likelihood.n_params == 2
    decoder = MLPDecoder(2, (4,), shape, n_params=2)
    params = decoder(torch.randn(3, 2))
    loc, log_scale = params.chunk(2, dim=1)
    x = torch.randn(3, *shape)
    expected = torch.distributions.Normal(loc, log_scale.exp()).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(likelihood(params).log_prob(x), expected)
    torch.testing.assert_close(likelihood(params).mean, loc)
    decoder.set_output_bias(likelihood.params_for_mean(x[0]))
    nn.init.zeros_(decoder.output.weight)
    observation = likelihood(decoder(torch.randn(3, 2)))
    torch.testing.assert_close(observation.mean, x[:1].expand(3, *shape))
    assert bool((observation.scale == 1).all())


def test_learned_scales_find_the_noise_of_each_column():
    noise = torch.tensor([0.05, 0.5, 2.0])
    x = noise * torch.randn(4000, 3)
    params = torch.zeros(6, requires_grad=True)
    optimizer = torch.optim.Adam([params], lr=0.1)
    for _ in range(150):
        loss = -Gaussian(1, scale="learned")(params.expand(4000, 6)).log_prob(x).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(params.detach()[3:].exp(), x.std(0), rtol=0.05, atol=0)


def test_a_convolutional_decoder_gives_learned_scales_as_channels():
    shape = (2, 7, 5)
    encoder = ConvEncoder(shape, (4,), (2,))
    likelihood = Gaussian(3, scale="learned")
    decoder = ConvDecoder(3, shape, (4,), (2,), n_params=2)
    model = AutoencoderModule(
        encoder,
        decoder,
        DiagonalGaussian(encoder.features, 3),
        likelihood,
        StandardNormalPrior((3,)),
    )
    output = model(Batch.from_examples(torch.rand(4, *shape)), n_samples=2)
    assert output.x_dist.mean.shape == output.x_dist.scale.shape == (2, 4, *shape)


# prior(posterior, context)


class Vamp(nn.Module):
    """A mixture of the model's own posteriors at learned pseudo-inputs."""

    def __init__(self, n: int, d: int) -> None:
        super().__init__()
        self.pseudo = nn.Parameter(torch.randn(n, d))

    def forward(self, posterior, context):
        q = posterior(self.pseudo)
        parts = torch.distributions.Independent(torch.distributions.Normal(q.loc, q.scale), 1)
        mixture = torch.distributions.Categorical(logits=torch.zeros(len(self.pseudo)))
        return torch.distributions.MixtureSameFamily(mixture, parts)


def test_a_prior_may_use_the_models_own_posterior_without_owning_it():
    model = vae_module(prior=Vamp(3, 6))
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    ids = [id(p) for _, p in model.named_parameters(remove_duplicate=False)]
    assert len(set(ids)) == len(ids)
    assert [name for name in names if name.startswith("prior")] == ["prior.pseudo"]
    batch = Batch.from_examples(torch.randn(5, 6))
    losses = ELBO(model, batch, Progress())
    losses.total.backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())
    site = model(batch, n_samples=2).latent.sites["z"]
    # Against the mixture written out by hand.
    q = model.bottleneck.posterior(model.encoder(model.prior.pseudo))
    parts = torch.stack([Normal(q.loc[i], q.log_scale[i]).log_prob(site.z) for i in range(3)])
    expected = torch.logsumexp(parts, 0) - math.log(3)
    torch.testing.assert_close(site.prior.log_prob(site.z), expected)
    assert site.kl().shape == (2, 5)


def test_a_prior_is_lent_the_posterior_and_the_context():
    seen = []

    class Recording(StandardNormalPrior):
        def forward(self, posterior, context):
            seen.append((posterior, context))
            return super().forward(posterior, context)

    model = vae_module(prior=Recording((2,)), context_dim=3)
    x, context = torch.randn(4, 6), torch.randn(4, 3)
    model(Batch(x, x, context))
    assert seen[0][0] is not None
    assert seen[0][1] is context
    plain = plain_module()
    plain.prior = Recording((2,))
    plain(Batch.from_examples(torch.rand(2, 4)))
    assert seen[1] == (None, None)


# Nested bottlenecks, penalties, other model classes


class Pair(nn.Module):
    """A bottleneck made of two, with a penalty of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = DiagonalGaussian(8, 2), DiagonalGaussian(8, 2)

    def forward(self, h, prior, n_samples=1):
        a, b = self.first(h, prior, n_samples), self.second(h, prior, n_samples)
        sites = {"first": a.sites["z"], "second": b.sites["z"]}
        return Latent(a.z + b.z, sites, {"size": a.z.square().sum(-1), "one": torch.ones(1)})

    def embed(self, h):
        return self.first.embed(h) + self.second.embed(h)


def test_objectives_sum_over_all_sites_and_penalties():
    model = vae_module()
    model.bottleneck = Pair()
    batch = Batch.from_examples(torch.randn(5, 6))
    objective = WeightedSum({"reconstruction": reconstruction, "kl": kl, "penalties": penalties})
    torch.manual_seed(1)
    losses = objective(model, batch, Progress())
    torch.manual_seed(1)
    output = model(batch)
    sites = output.latent.sites
    expected = sites["first"].kl().mean() + sites["second"].kl().mean()
    torch.testing.assert_close(losses.terms["kl"], expected.detach())
    expected = output.latent.penalties["size"].mean() + 1
    torch.testing.assert_close(losses.terms["penalties"], expected.detach())
    torch.manual_seed(1)
    bound = ImportanceWeighted(1)(model, batch, Progress()).total
    ratio = sites["first"].log_ratio() + sites["second"].log_ratio()
    torch.testing.assert_close(bound, -(output.x_dist.log_prob(batch.x) - ratio).mean())


def test_penalties_of_a_bottleneck_without_any_are_zero():
    model = plain_module()
    batch = Batch.from_examples(torch.rand(2, 4))
    assert penalties(model, batch, model(batch), Progress()).item() == 0


def test_objectives_ask_nothing_of_a_model_but_the_protocol():
    class Other:
        """Any callable that returns an ``Output``; here x itself is the latent."""

        def __call__(self, batch, n_samples=1):
            q = Normal(batch.x, torch.zeros_like(batch.x))
            z = q.rsample(torch.Size((n_samples,)))
            site = Site(z, q, StandardNormal((3,), z))
            return Output(Latent(z, {"z": site}), BernoulliDistribution(z, 1))

    batch = Batch.from_examples(torch.rand(4, 3))
    elbo = ELBO(Other(), batch, Progress())
    torch.testing.assert_close(elbo.terms["kl"], 0.5 * batch.x.square().sum(1).mean())
    assert torch.isfinite(ImportanceWeighted(3)(Other(), batch, Progress()).total)


# torch's forward mode scripts its decompositions when it is first used.
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_term_may_take_its_own_jacobian_vector_product():
    model = plain_module()
    direction = torch.randn(5, 4)

    def contraction(model, batch, output, progress):
        _, moved = torch.func.jvp(model.embed, (batch.x,), (direction,))
        return moved.square().sum(-1)

    batch = Batch.from_examples(torch.rand(5, 4))
    losses = WeightedSum({"contraction": NamedTerm(contraction)})(model, batch, Progress())
    expected = (direction @ model.encoder.weight.T).square().sum(-1).mean()
    torch.testing.assert_close(losses.total, expected)
    losses.total.backward()
    assert model.encoder.weight.grad is not None


# Units and checks


@pytest.mark.parametrize("term", [mean_squared_error, squared_error])
def test_terms_of_different_units_are_refused_with_a_remedy(term):
    with pytest.raises(IncompatibleError, match=r"different units.*use reconstruction"):
        WeightedSum({"error": term, "kl": kl})


def test_a_decoder_of_another_shape_than_the_data_is_refused():
    with pytest.raises(IncompatibleError, match=r"returns examples of shape \(5,\).*\(4,\)"):
        build("mlp", DataSpec((4,)), encoder=nn.Linear(4, 2), decoder=nn.Linear(2, 5))


@pytest.mark.parametrize(
    ("encoder", "decoder"), [(nn.Linear(3, 2), nn.Linear(2, 4)), (nn.Linear(4, 2), nn.Linear(3, 4))]
)
def test_networks_that_do_not_fit_the_data_or_each_other_are_refused(encoder, decoder):
    with pytest.raises(IncompatibleError, match=r"shape \(4,\)"):
        build("mlp", DataSpec((4,)), encoder=encoder, decoder=decoder)


def test_a_parameter_that_no_update_moves_is_refused_by_name():
    model = plain_module()
    update = Update(WeightedSum({"mse": mean_squared_error}), (model.encoder,))
    recipe = Recipe(model, (update,), DataSpec((4,)))
    with pytest.raises(IncompatibleError, match=r"no update moves .*decoder\.weight"):
        recipe.check()
    model.decoder.requires_grad_(False)
    assert recipe.check() is recipe


def test_checking_leaves_random_state_and_training_mode_alone():
    recipe = build("vae", DataSpec((4,)))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    recipe.check()
    assert torch.equal(before, torch.get_rng_state())
    assert recipe.model.training
