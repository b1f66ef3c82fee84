"""Terms over the code as a whole, and games with a critic, against what they must be."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from autoencode.data import Examples, Resident, binarized_once, load_data
from autoencode.distributions.basic import Normal
from autoencode.errors import DataError, IncompatibleError
from autoencode.nets import NetOptions
from autoencode.objectives import (
    Binarized,
    Cyclical,
    Discriminator,
    ImportanceWeighted,
    Linear,
    binarized,
    capacity,
    codes_and_permuted,
    density_ratio,
    dip,
    fooling,
    free_bits,
    kl,
    squared_mmd,
    total_correlation,
)
from autoencode.objectives.divergences import aggregate_log_densities
from autoencode.randomness import permuted
from autoencode.recipes import build
from autoencode.runs import train
from autoencode.training import Stepper, TorchOptimizer, TrainingPlan, Update, fit
from autoencode.training.update import only
from autoencode.types import Batch, DataSpec, Latent, Output, Progress, Site

SPEC = DataSpec((12,))


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def output_of(loc, log_scale, z=None):
    """The output of a model whose posteriors are these."""
    q = Normal(loc, log_scale)
    z = q.rsample(torch.Size((1,))) if z is None else z
    prior = Normal(torch.zeros(loc.shape[1]), torch.zeros(loc.shape[1]))
    return Output(Latent(z, {"z": Site(z, q, prior)}), None)


def value(term, output, progress=None):
    return term(None, None, output, progress or Progress())


# The KL term, held or freed


@given(st.floats(0, 50), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_capacity_is_the_distance_of_the_mean_kl_from_its_schedule(limit, step):
    torch.manual_seed(step)
    output = output_of(torch.randn(8, 3), 0.3 * torch.randn(8, 3))
    progress = Progress(step, 100)
    mean_kl = float(output.latent.sites["z"].kl().mean())
    got = float(value(capacity(Linear(0.0, limit)), output, progress))
    assert got == pytest.approx(abs(mean_kl - limit * step / 100), rel=1e-4, abs=1e-5)


def test_capacity_pushes_the_kl_up_below_and_down_above():
    loc = torch.full((4, 2), 0.5, requires_grad=True)
    for limit, sign in ((10.0, -1), (0.0, 1)):
        (grad,) = torch.autograd.grad(value(capacity(limit), output_of(loc, torch.zeros(4, 2))), loc)
        assert bool((grad.sign() == sign).all())


def test_free_bits_leave_small_dimensions_alone_and_count_large_ones_in_full():
    loc = torch.tensor([[0.1, 3.0], [-0.1, -3.0]], requires_grad=True)
    output = output_of(loc, torch.zeros(2, 2))
    total = value(free_bits(0.5), output)
    assert float(total.detach()) == pytest.approx(0.5 + 4.5)
    (grad,) = torch.autograd.grad(total, loc)
    assert bool((grad[:, 0] == 0).all())
    assert bool((grad[:, 1] != 0).all())
    none = value(free_bits(0.0), output_of(loc, torch.zeros(2, 2)))
    torch.testing.assert_close(none, value(kl, output).mean())


@given(st.integers(1, 6), st.integers(0, 1000))
def test_a_cyclical_weight_starts_each_cycle_anew_and_ends_full(cycles, step):
    weight = Cyclical(0.0, 2.0, cycles)
    assert 0 <= weight(Progress(step, 1000)) <= 2
    assert weight(Progress(1000, 1000)) == 2.0
    length = 1200 // cycles
    assert weight(Progress(0, 1200)) == 0
    assert weight(Progress(length // 4, 1200)) == pytest.approx(1.0, abs=0.01)
    assert weight(Progress(3 * length // 4, 1200)) == 2.0


# Total correlation


def test_the_total_correlation_of_independent_latents_is_near_zero_and_of_equal_ones_is_not():
    n = 2000
    loc, log_scale = torch.randn(n, 2), torch.full((n, 2), -1.0)
    progress = Progress(n_train=n)
    tc = total_correlation(stratified=True)
    output = output_of(loc, log_scale)
    independent = float(value(tc, output, progress).mean())
    assert abs(independent) < 0.05
    # Weighted sampling differs by a constant: one logarithm of the batch for each further latent.
    weighted = float(value(total_correlation(), output, progress).mean())
    assert weighted - math.log(n) == pytest.approx(independent, abs=0.01)
    twice = loc[:, :1].expand(n, 2).contiguous()
    dependent = float(value(tc, output_of(twice, log_scale), progress).mean())
    # Two Gaussians of variance 1 + e^-2 with covariance 1: -log(1 - rho²) / 2.
    rho = 1 / (1 + math.exp(-2))
    assert dependent == pytest.approx(-0.5 * math.log(1 - rho**2), rel=0.1)


def test_the_whole_data_set_as_a_batch_gives_the_aggregate_density_itself():
    n = 400
    loc, log_scale = torch.randn(n, 2), 0.2 * torch.randn(n, 2) - 1
    q = Normal(loc, log_scale)
    z = q.rsample(torch.Size((1,)))
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=torch.zeros(n)),
        torch.distributions.Independent(torch.distributions.Normal(loc, log_scale.exp()), 1),
    )
    joint, marginals = aggregate_log_densities(z, q, n_train=n)
    # Weighted sampling counts a batch of B as one of N * B pairs.
    torch.testing.assert_close(joint + math.log(n), mixture.log_prob(z), rtol=1e-4, atol=1e-3)
    assert marginals.shape == (1, n)


def test_stratified_sampling_is_right_in_expectation():
    """The estimate of q(z) at the draw of one example, over all batches that have it."""
    n, size = 12, 5
    loc, log_scale = torch.randn(n, 2), torch.zeros(n, 2)
    z0 = torch.randn(1, 1, 2)
    exact = Normal(loc, log_scale).log_prob(z0[:, 0].expand(n, 2)).exp().mean()
    total, turns = 0.0, 4000
    for _ in range(turns):
        rows = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(n - 1)[: size - 1]])
        q = Normal(loc[rows], log_scale[rows])
        z = torch.cat([z0, torch.zeros(1, size - 1, 2)], 1)
        joint, _ = aggregate_log_densities(z, q, n_train=n, stratified=True)
        total += float(joint[0, 0].exp())
    assert total / turns == pytest.approx(float(exact), rel=0.03)


def test_tc_weight_one_is_the_elbo():
    recipe, plain = build("beta_tcvae", SPEC, tc_weight=1.0), build("vae", SPEC, latent_dim=10)
    plain.model.load_state_dict(recipe.model.state_dict())
    batch, losses = Batch.from_examples(torch.rand(16, 12)), []
    for each in (recipe, plain):
        torch.manual_seed(1)
        losses.append(each.updates[0].objective(each.model, batch, Progress(n_train=100)).total)
    torch.testing.assert_close(*losses)


# Covariances and discrepancies


@pytest.mark.parametrize("total", [False, True])
def test_dip_is_zero_exactly_where_the_covariance_is_the_identity(total):
    n = 500
    white = torch.linalg.qr(torch.randn(n, 4) - torch.randn(n, 4).mean(0))[0]
    white = white - white.mean(0)
    factor = torch.linalg.cholesky(white.T @ white / n)
    white = torch.linalg.solve_triangular(factor, white.T, upper=False).T
    scale = 0.3
    loc = white * math.sqrt(1 - scale**2) if total else white
    output = output_of(loc, torch.full((n, 4), math.log(scale)))
    assert float(value(dip(10.0, 5.0, total), output)) == pytest.approx(0, abs=1e-4)
    stretched = output_of(2 * loc, torch.full((n, 4), math.log(scale)))
    variance = 4 * (1 - scale**2) + scale**2 if total else 4.0
    got = float(value(dip(10.0, 5.0, total), stretched))
    assert got == pytest.approx(5.0 * 4 * (variance - 1) ** 2, rel=1e-3)


@given(st.integers(2, 30), st.integers(1, 5), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_discrepancy_is_zero_for_equal_samples_and_positive_for_others(n, width, seed):
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(n, width, generator=g)
    order = torch.randperm(n, generator=g)
    assert float(squared_mmd(a, a[order], unbiased=False)) == pytest.approx(0, abs=1e-5)
    b = torch.randn(n, width, generator=g) + 1
    assert float(squared_mmd(a, b, unbiased=False)) > 0
    torch.testing.assert_close(squared_mmd(a, b, unbiased=False), squared_mmd(b, a, unbiased=False))


def test_info_vae_with_alpha_one_has_no_kl_and_with_lambda_zero_alpha_zero_is_near_the_elbo():
    batch = Batch.from_examples(torch.rand(16, 12))
    for alpha, weight in ((1.0, 5.0), (0.0, 1.0)):
        recipe = build("info_vae", SPEC, alpha=alpha, mmd_weight=weight)
        losses = recipe.updates[0].objective(recipe.model, batch, Progress())
        terms = losses.terms
        expected = (1 - alpha) * terms["kl"] + (alpha + weight - 1) * terms["mmd"]
        torch.testing.assert_close(losses.total.detach(), terms["reconstruction"] + expected)


# Games


def test_shuffled_columns_keep_their_values_and_lose_their_neighbours():
    rows = torch.randn(2000, 1).expand(2000, 3) + torch.tensor([0.0, 10.0, 20.0])
    shuffled = permuted(rows)
    torch.testing.assert_close(shuffled.sort(0).values, rows.sort(0).values)
    assert abs(float(torch.corrcoef(shuffled.T)[0, 1])) < 0.1
    assert abs(float(torch.corrcoef(rows.T)[0, 1])) > 0.99


def test_the_critics_turn_sends_no_gradient_to_the_encoder_nor_the_models_to_the_critic():
    recipe = build("factor_vae", SPEC, hidden=(8,), critic_hidden=(8,))
    critic, batch = recipe.helpers["critic"], Batch.from_examples(torch.rand(16, 12))
    for_model, for_critic = recipe.updates
    # Even without the freezing that the stepper does besides:
    for_critic.objective(recipe.model, batch, Progress()).total.backward()
    assert all(p.grad is None for p in recipe.model.parameters())
    assert all(p.grad is not None for p in critic.parameters())
    critic.zero_grad()
    everything = [*recipe.model.parameters(), *critic.parameters()]
    with only(for_model.parameters(), everything):
        for_model.objective(recipe.model, batch, Progress()).total.backward()
    assert all(p.grad is None for p in critic.parameters())
    assert all(p.grad is not None for p in recipe.model.parameters())


def test_the_logit_of_a_trained_critic_is_the_total_correlation():
    n, rho = 3000, 0.8
    factor = torch.linalg.cholesky(torch.tensor([[1.0, rho], [rho, 1.0]]))
    z = torch.randn(n, 2) @ factor.T

    class Quadratic(torch.nn.Linear):  # which the log-ratio of two Gaussians is
        def forward(self, z):
            return super().forward(torch.stack([z[..., 0] ** 2, z[..., 1] ** 2, z.prod(-1)], -1))

    critic = Quadratic(3, 1)

    def model(batch):
        return Output(Latent(batch.x[None]), None)

    side = Discriminator(critic, codes_and_permuted)
    adam = torch.optim.Adam(critic.parameters(), 0.05)
    for _ in range(200):
        adam.zero_grad()
        side(model, Batch.from_examples(z), Progress()).total.backward()
        adam.step()
    with torch.no_grad():
        estimate = density_ratio(critic)(model, None, model(Batch.from_examples(z)), Progress()).mean()
    assert float(estimate) == pytest.approx(-0.5 * math.log(1 - rho**2), rel=0.15)


def test_fooling_pulls_codes_to_where_the_critic_sees_the_prior():
    critic = torch.nn.Linear(2, 1)
    z = torch.randn(1, 5, 2, requires_grad=True)
    loss = fooling(critic)(None, None, Output(Latent(z), None), Progress()).mean()
    (grad,) = torch.autograd.grad(loss, z)
    moved = (z - grad)[0]
    assert bool((critic(moved) > critic(z[0])).all())


def sgd(parameters):
    return TorchOptimizer(torch.optim.SGD(parameters, lr=1e-2))


def test_vae_gans_decoder_pleases_the_critic_and_the_critic_learns_to_refuse_it():
    recipe = build("vae_gan", SPEC, gamma=0.0, hidden=(16,), latent_dim=20)
    model, critic, batch = (
        recipe.model,
        recipe.helpers["critic"],
        Batch.from_examples(torch.rand(64, 12)),
    )
    z = torch.randn(256, 20)

    def score():
        with torch.no_grad():
            return float(critic(model.decode(z).mean).mean())

    _, for_decoder, for_critic = recipe.updates
    before = score()
    stepper = Stepper(model, (for_decoder,), sgd, helpers=recipe.helpers)
    for _ in range(20):
        stepper.step(batch)
    assert score() > before  # the sign that a shared graph gets wrong

    def loss():
        torch.manual_seed(3)
        with torch.no_grad():
            return float(for_critic.objective(model, batch, Progress()).total)

    before = loss()
    stepper = Stepper(model, (for_critic,), sgd, helpers=recipe.helpers)
    for _ in range(20):
        stepper.step(batch)
    assert loss() < before


def test_vae_gans_encoder_never_follows_the_game_and_its_decoder_never_the_kl():
    recipe = build("vae_gan", SPEC, hidden=(8,))
    for_encoder, for_decoder, for_critic = recipe.updates
    losses = for_encoder.objective(recipe.model, Batch.from_examples(torch.rand(8, 12)), Progress())
    assert set(losses.terms) == {"kl", "feature_error"}
    losses = for_decoder.objective(recipe.model, Batch.from_examples(torch.rand(8, 12)), Progress())
    assert set(losses.terms) == {"decoder_feature_error", "passing"}
    ids = [{id(p) for p in u.parameters()} for u in recipe.updates]
    assert ids[2] == {id(p) for p in recipe.helpers["critic"].parameters()}
    assert not ids[0] & ids[1] | ids[1] & ids[2] | ids[0] & ids[2]
    assert len({u.objective.unit for u in (for_encoder, for_decoder, for_critic)}) == 1


def test_a_helper_that_no_update_owns_is_refused():
    from dataclasses import replace

    recipe = build("factor_vae", SPEC, hidden=(8,), critic_hidden=(8,))
    with pytest.raises(IncompatibleError, match="no update moves these parameters: critic"):
        replace(recipe, updates=recipe.updates[:1]).check()


# Binarisation


def test_binarised_values_are_drawn_with_the_grey_value_as_probability():
    x = torch.tensor([0.0, 0.2, 0.9, 1.0]).expand(20_000, 4)
    drawn = binarized(x)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(drawn.mean(0), x[0], rtol=0, atol=0.012)
    assert bool(binarized(torch.tensor([[math.nan, 1.0]])).isnan()[0, 0])


def test_binarisation_gives_x_and_target_the_same_draw_and_a_new_one_at_each_step():
    seen = []

    class Spy:
        unit = "nats per example"

        def __call__(self, model, batch, progress):
            seen.append(batch)

    x = torch.rand(8, 12)
    for _ in range(2):
        Binarized(Spy())(None, Batch.from_examples(x), Progress())
    assert seen[0].x is seen[0].target
    assert set(seen[0].x.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(seen[0].x, seen[1].x)
    with pytest.raises(IncompatibleError, match="binarize needs values in"):
        build("vae", DataSpec((3,), "real"), binarize=True)


def test_static_binarisation_draws_each_example_once_from_its_seed():
    data = load_data("digits")
    first, again, other = (binarized_once(data, seed) for seed in (3, 3, 4))
    assert first.train.x.dtype == data.train.x.dtype
    x = first.spec.to_model(torch.from_numpy(first.train.x))
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    grey = data.spec.to_model(torch.from_numpy(data.train.x))
    torch.testing.assert_close(x.mean(0), grey.mean(0), rtol=0, atol=0.06)
    assert bool((x[grey == 0] == 0).all())
    assert bool((x[grey == 1] == 1).all())
    assert np.array_equal(first.train.labels, data.train.labels)
    run = train(first, "vae", epochs=1, hidden=(8,), latent_dim=2)  # goes where any data go
    assert run.trained.info["data"]["name"] == "digits-binarized-3"
    with pytest.raises(DataError, match="only pixels and values in"):
        binarized_once(load_data(np.random.default_rng(0).normal(size=(50, 4))))


# Known optima


def test_the_optimum_of_a_linear_vae_is_probabilistic_pca():
    """Tipping & Bishop's closed form, whose likelihood scikit-learn computes."""
    rng = np.random.default_rng(0)
    d, k, n = 8, 2, 1500
    x = rng.normal(size=(n, k)) @ (rng.normal(size=(k, d)) * 1.5) + 0.5 * rng.normal(size=(n, d))
    x = torch.from_numpy((x - x.mean(0)).astype(np.float32))
    pca = PCA(k).fit(x)
    best = pca.score(x)
    recipe = build("sigma_vae", DataSpec((d,), "real"), latent_dim=k, hidden=())
    model = recipe.model
    variance = pca.noise_variance_
    gains = np.sqrt(pca.explained_variance_ - variance)
    columns = torch.tensor(pca.components_.T * gains, dtype=torch.float32)
    with torch.no_grad():
        model.likelihood.log_scale.fill_(0.5 * math.log(variance))
        model.decoder.output.weight.copy_(columns)
        model.decoder.output.bias.zero_()
        precision = torch.tensor(gains**2 + variance, dtype=torch.float32)
        model.bottleneck.heads.weight.copy_(torch.cat([(columns / precision).T, torch.zeros(k, d)]))
        log_scale = 0.5 * (math.log(variance) - precision.log())
        model.bottleneck.heads.bias.copy_(torch.cat([torch.zeros(k), log_scale]))

    def elbo():
        with torch.no_grad():
            return -float(ImportanceWeighted(1)(model, Batch.from_examples(x), Progress()).total)

    assert elbo() == pytest.approx(best, abs=1e-3)
    plan = TrainingPlan(epochs=40, batch_size=250, lr=1e-3, decay="linear", doctor=False)
    fit(model, recipe.updates, Resident(Examples(x.numpy()), recipe.spec), plan, seed=0)
    assert best - 0.02 < elbo() < best + 0.01  # it stays where it is


def test_pseudo_inputs_start_at_training_examples():
    x = torch.rand(40, 12)
    recipe = build("vamp_vae", SPEC, n_components=6, hidden=(8,), lr=1e-12, epochs=1)
    fit(recipe.model, recipe.updates, Resident(Examples(x.numpy()), SPEC), recipe.plan, seed=0)
    found = recipe.model.prior.inputs.detach()
    nearest = (found[:, None] - x).abs().amax(-1).min(1)
    assert float(nearest.values.max()) < 1e-5
    assert len(set(nearest.indices.tolist())) == 6


def test_the_vamp_prior_is_the_mean_of_the_posteriors_at_its_inputs():
    model = build("vamp_vae", SPEC, n_components=3, hidden=(8,), latent_dim=2).model
    prior = model.prior_distribution(None)
    q = model.bottleneck.posterior(model.encoder(model.prior.inputs.clamp(0, 1)))
    z = torch.randn(7, 2)
    each = torch.stack([Normal(q.loc[i], q.log_scale[i]).log_prob(z) for i in range(3)])
    torch.testing.assert_close(prior.log_prob(z), each.logsumexp(0) - math.log(3))


def test_a_vamp_prior_does_not_shrink_to_one_posterior_at_its_default_schedule():
    data = load_data("digits")
    recipe = build("vamp_vae", data.spec, n_components=20, hidden=(64,), min_steps=400, epochs=1)
    source = Resident(data.train, data.spec)
    record = fit(recipe.model, recipe.updates, source, recipe.plan, seed=0)[-1]
    assert record.losses["kl"] > 0.5  # at full weight from the start 0.001 nats are left


def test_networks_of_the_importance_weighting_paper_are_the_default():
    recipe = build("iwae", DataSpec((1, 28, 28)))
    shapes = [tuple(p.shape) for p in recipe.model.encoder.parameters() if p.dim() == 2]
    assert shapes == [(200, 784), (200, 200)]
    assert recipe.latent_shape == (50,)
    assert any(isinstance(m, torch.nn.Tanh) for m in recipe.model.encoder.modules())
    assert NetOptions().activation == "relu"


def test_updates_of_a_critic_are_taken_by_the_plans_optimiser():
    recipe = build("aae", SPEC, hidden=(8,), critic_hidden=(8,))
    assert all(isinstance(u, Update) and u.optimizer is None for u in recipe.updates)
    losses = recipe.stepper().step(Batch.from_examples(torch.rand(8, 12)))
    assert set(losses) == {"loss", "reconstruction", "fooling", "critic"}
