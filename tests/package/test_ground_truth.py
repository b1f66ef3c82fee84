"""Results that are known exactly, by theory or from another implementation."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA as SklearnPCA
from torch import nn

from autoencode.bottlenecks import DiagonalGaussian
from autoencode.data import Examples, Resident, apply_spec, prepare
from autoencode.distributions.basic import Bernoulli as BernoulliDistribution
from autoencode.distributions.basic import Normal, StandardNormal
from autoencode.errors import DataError
from autoencode.evaluate.metrics import METRICS, evaluate
from autoencode.evaluate.pca import PCA
from autoencode.likelihoods import LINKS, Bernoulli, Gaussian
from autoencode.models import AutoencoderModule
from autoencode.objectives import ImportanceWeighted, WeightedSum, kl, reconstruction
from autoencode.priors import MAX_FULL, FittedGaussian
from autoencode.priors import StandardNormal as StandardNormalPrior
from autoencode.recipes import build
from autoencode.runs import training as runs
from autoencode.trained import Trained
from autoencode.types import Batch, DataSpec, Progress


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def low_rank(n: int = 400, d: int = 12, rank: int = 3, noise: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(d, rank)))[0] * np.array([3.0, 2.0, 1.5])[:rank]
    x = rng.normal(size=(n, rank)) @ axes.T + noise * rng.normal(size=(n, d)) + rng.normal(size=d)
    return x.astype(np.float32)


# The linear autoencoder and PCA


def test_the_linear_recipe_reaches_pca_and_spans_its_subspace():
    run = runs.train(low_rank(), "linear", latent_dim=3, seed=0)
    spec = run.trained.spec
    model_space = spec.to_model(torch.from_numpy(run.split("train").x)).numpy()
    test = spec.to_model(torch.from_numpy(run.split("test").x)).numpy()
    pca = SklearnPCA(3).fit(model_space)
    best = np.square(test - pca.inverse_transform(pca.transform(test))).mean()
    with torch.no_grad():
        reached = np.square(test - run.trained.model.reconstruct(torch.from_numpy(test)).numpy()).mean()
    assert reached == pytest.approx(best, rel=0.01)
    assert run.metrics["pca_mse"] == pytest.approx(best, rel=1e-3)
    assert run.metrics["mse_to_pca"] == pytest.approx(1.0, abs=0.01)
    # Cosines of the principal angles between the decoder's columns and the principal axes.
    columns = run.trained.model.decoder.output.weight.detach().double().numpy()
    cosines = np.linalg.svd(np.linalg.qr(columns)[0].T @ pca.components_.T)[1]
    assert np.degrees(np.arccos(np.clip(cosines, -1, 1))).max() < 2


def test_no_linear_autoencoder_beats_pca_on_its_training_data():
    run = runs.train(low_rank(), "linear", latent_dim=2, seed=1, epochs=40)
    x = run.trained.spec.to_model(torch.from_numpy(run.split("train").x)).numpy()
    pca = SklearnPCA(2).fit(x)
    best = np.square(x - pca.inverse_transform(pca.transform(x))).mean()
    with torch.no_grad():
        reached = np.square(x - run.trained.model.reconstruct(torch.from_numpy(x)).numpy()).mean()
    assert reached >= best * (1 - 1e-5)


@pytest.mark.parametrize("width", [1, 3, 12])
def test_pca_equals_scikit_learns(width):
    x = low_rank()
    spec = DataSpec((12,), "real")
    ours = PCA.fit(Resident(Examples(x[:300]), spec), width)
    theirs = SklearnPCA(width).fit(x[:300])
    mse = np.square(x[300:] - theirs.inverse_transform(theirs.transform(x[300:]))).mean()
    assert ours.mse(Resident(Examples(x[300:]), spec)) == pytest.approx(float(mse), rel=1e-3, abs=1e-9)
    overlap = np.abs(np.sum(ours.axes.numpy() * theirs.components_, axis=1))
    assert overlap[:3] == pytest.approx(np.ones(min(width, 3)), abs=1e-4)
    gram = (ours.axes @ ours.axes.T).numpy()
    assert gram == pytest.approx(np.eye(width), abs=1e-5)


# A linear-Gaussian VAE whose marginal and posterior are known

D, K, NOISE = 6, 2, 0.5


def linear_gaussian() -> tuple[AutoencoderModule, torch.distributions.MultivariateNormal]:
    """A model with its exact posterior set by hand, and its exact marginal p(x).

    With orthogonal columns of W the posterior N(M^-1 W^T (x - b) / s², M^-1), with
    M = I + W^T W / s², has a diagonal covariance.
    """
    columns = torch.linalg.qr(torch.randn(D, K)).Q * torch.tensor([1.5, 0.7])
    b = torch.randn(D)
    precision = 1 + columns.square().sum(0) / NOISE**2
    decoder = nn.Linear(K, D)
    bottleneck = DiagonalGaussian(D, K)
    gain = (columns / precision).T / NOISE**2
    with torch.no_grad():
        decoder.weight.copy_(columns)
        decoder.bias.copy_(b)
        bottleneck.heads.weight.copy_(torch.cat([gain, torch.zeros(K, D)]))
        bottleneck.heads.bias.copy_(torch.cat([-gain @ b, -0.5 * precision.log()]))
    model = AutoencoderModule(
        nn.Identity(), decoder, bottleneck, Gaussian(1, scale=NOISE), StandardNormalPrior((K,))
    )
    covariance = columns @ columns.T + NOISE**2 * torch.eye(D)
    return model, torch.distributions.MultivariateNormal(b, covariance)


@pytest.mark.parametrize("k", [1, 7])
def test_with_the_exact_posterior_every_bound_is_the_log_likelihood(k):
    model, marginal = linear_gaussian()
    x = marginal.sample((50,))
    with torch.no_grad():
        loss = ImportanceWeighted(k)(model, Batch.from_examples(x), Progress()).total
        for row in x[:5]:  # it has no variance, so it holds for each example and each draw
            one = ImportanceWeighted(k)(model, Batch.from_examples(row[None]), Progress()).total
            assert float(one) == pytest.approx(-float(marginal.log_prob(row)), abs=1e-3)
    assert float(loss) == pytest.approx(-float(marginal.log_prob(x).mean()), abs=1e-3)


def test_with_the_exact_posterior_the_elbo_is_the_log_likelihood():
    model, marginal = linear_gaussian()
    batch = Batch.from_examples(marginal.sample((50,)))
    elbo = WeightedSum({"reconstruction": reconstruction, "kl": kl})
    with torch.no_grad():
        output = model(batch, n_samples=40_000)
        loss = elbo.losses(model, batch, output, Progress()).total
        # The closed-form KL beside the sampled reconstruction error has the draws' own error.
        spread = output.x_dist.log_prob(batch.x).mean(1).std() / math.sqrt(40_000)
    assert float(spread) < 2.5e-3
    exact = -float(marginal.log_prob(batch.x).mean())
    assert float(loss) == pytest.approx(exact, abs=5 * float(spread))


def test_with_another_posterior_the_bounds_fall_below_in_their_order():
    model, marginal = linear_gaussian()
    with torch.no_grad():
        model.bottleneck.heads.bias[:K] += 0.4
        model.bottleneck.heads.bias[K:] += 0.3
    x = marginal.sample((30,))
    q = model.bottleneck.posterior(x)
    exact = float(marginal.log_prob(x).mean())
    with torch.no_grad():
        bounds = [
            -float(
                torch.stack(
                    [
                        ImportanceWeighted(k)(model, Batch.from_examples(x), Progress()).total
                        for _ in range(200)
                    ]
                ).mean()
            )
            for k in (1, 10, 1000)
        ]
    assert bounds[0] < bounds[1] < bounds[2]
    # The gap of the ELBO is KL(q || p(z|x)).
    with torch.no_grad():
        true = Normal(q.loc - 0.4, q.log_scale - 0.3)
        gap = float(q.kl(true).mean())
    assert exact - bounds[0] == pytest.approx(gap, rel=0.05)
    assert bounds[2] == pytest.approx(exact, abs=0.01)


# Distributions


def test_closed_form_kl_equals_monte_carlo():
    q, p = (Normal(torch.randn(4), 0.4 * torch.randn(4)) for _ in range(2))
    z = q.sample(torch.Size((400_000,)))
    for prior in (p, StandardNormal((4,), z)):
        sampled = (q.log_prob(z) - prior.log_prob(z)).mean()
        torch.testing.assert_close(q.kl(prior), sampled, rtol=0.02, atol=0.01)


def test_a_standard_normal_prior_gives_the_kl_of_a_normal_with_its_parameters():
    q = Normal(torch.randn(5, 4), torch.randn(5, 4))
    zeros = torch.zeros(4)
    torch.testing.assert_close(q.kl(StandardNormal((4,), zeros)), q.kl(Normal(zeros, zeros)))


@pytest.mark.parametrize("event_dims", [0, 1, 2])
def test_log_prob_equals_torchs(event_dims):
    loc, log_scale, x = (torch.randn(3, 4, 5) for _ in range(3))
    ours = Normal(loc, log_scale, event_dims).log_prob(x)
    base = torch.distributions.Normal(loc, log_scale.exp())
    theirs = torch.distributions.Independent(base, event_dims).log_prob(x)
    torch.testing.assert_close(ours, theirs)
    bits = (x > 0).float()
    ours = BernoulliDistribution(loc, event_dims).log_prob(bits)
    base = torch.distributions.Bernoulli(logits=loc)
    theirs = torch.distributions.Independent(base, event_dims).log_prob(bits)
    torch.testing.assert_close(ours, theirs)


def test_grey_targets_of_a_bernoulli_give_the_cross_entropy():
    logits, x = torch.randn(3, 5), torch.rand(3, 5)
    p = torch.sigmoid(logits.double())
    expected = (x * p.log() + (1 - x) * (1 - p).log()).sum(-1)
    torch.testing.assert_close(Bernoulli(1)(logits).log_prob(x), expected.float())


def test_draws_have_the_moments_of_their_distribution():
    normal = Normal(torch.tensor([1.0, -2.0]), torch.tensor([0.5, -1.0]))
    z = normal.sample(torch.Size((100_000,)))
    torch.testing.assert_close(z.mean(0), normal.mean, rtol=0, atol=0.03)
    torch.testing.assert_close(z.std(0), normal.scale, rtol=0.02, atol=0)
    bernoulli = BernoulliDistribution(torch.tensor([-2.0, 0.0, 1.0]).expand(100_000, 3), 1)
    drawn = bernoulli.sample()
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(drawn.mean(0), bernoulli.mean[0], rtol=0, atol=0.01)


def test_a_bernoulli_sums_to_one_over_all_binary_vectors():
    everything = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)))
    logits = 3 * torch.randn(4, 1, 6).expand(4, 64, 6)
    total = Bernoulli(1)(logits).log_prob(everything).exp().sum(-1)
    torch.testing.assert_close(total, torch.ones(4))


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("scale", [0.3, 1.0, "learned"])
def test_a_gaussian_likelihood_integrates_to_one(link, scale):
    likelihood = Gaussian(1, LINKS[link], scale)
    x = torch.linspace(-30, 30, 60_001, dtype=torch.float64)[:, None]
    params = torch.randn(1, likelihood.n_params, dtype=torch.float64) / 2
    density = likelihood(params).log_prob(x).exp()
    assert float(torch.trapezoid(density, x[:, 0])) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("link", LINKS)
def test_a_link_and_its_inverse_undo_each_other(link):
    mean = torch.linspace(0.01, 0.99, 50)
    torch.testing.assert_close(LINKS[link].forward(LINKS[link].inverse(mean)), mean)


# Starting at the mean


@pytest.mark.parametrize("kind", ["unit", "real"])
@pytest.mark.parametrize("name", ["linear", "mlp", "mlp_small", "mlp_latent2", "vae"])
def test_training_starts_at_the_mean_of_the_data(name, kind):
    target = torch.linspace(0.02, 0.98, 40) if kind == "unit" else torch.linspace(-3, 3, 40)
    x = target + 0.01 * torch.randn(200, 40)
    recipe = build(name, DataSpec((40,), kind), shortcut="none")
    model = recipe.model.eval()
    with torch.no_grad():
        before = (model.reconstruct(x).mean(0) - target).abs().mean()
        model.start_at_mean(target)
        after = (model.reconstruct(x).mean(0) - target).abs().mean()
        assert float(after) < 0.5 * float(before)
        # Without the random part of the decoder it is the mean to the last digit.
        model.decoder.output.weight.zero_()
        torch.testing.assert_close(model.reconstruct(x), target.expand(200, 40))


def test_entries_that_are_always_zero_start_near_zero_with_a_finite_bias():
    model = build("mlp", DataSpec((4,))).model
    model.start_at_mean(torch.tensor([0.0, 1.0, 0.5, 0.0]))
    bias = model.decoder.output.bias.detach()
    assert bool(torch.isfinite(bias).all())
    torch.testing.assert_close(
        torch.sigmoid(bias), torch.tensor([0.001, 0.999, 0.5, 0.001]), rtol=1e-3, atol=0
    )


def test_a_convolutional_decoder_starts_at_the_mean_of_each_channel():
    model = build("conv", DataSpec((3, 8, 8))).model
    mean = torch.rand(3, 8, 8) * 0.5 + 0.25
    model.start_at_mean(mean)
    with torch.no_grad():
        model.decoder.output.weight.zero_()
        got = model.reconstruct(torch.rand(2, 3, 8, 8))
    expected = torch.sigmoid(torch.logit(mean).mean(dim=(1, 2)))
    torch.testing.assert_close(got, expected[None, :, None, None].expand(2, 3, 8, 8))


# The prior that is fitted to codes


@pytest.mark.parametrize("shape", [(4,), (2, 1, 2), (1,)])
def test_a_fitted_gaussian_has_the_mean_and_covariance_of_the_codes(shape):
    size = math.prod(shape)
    factor = torch.tril(torch.randn(size, size)) + 2 * torch.eye(size)
    z = torch.randn(500, size) @ factor.T + torch.randn(size)
    prior = FittedGaussian(shape).fit(z.reshape(500, *shape))
    flat = z.double()
    torch.testing.assert_close(prior.loc, flat.mean(0).float())
    covariance = torch.cov(flat.T).reshape(size, size).float()
    torch.testing.assert_close(prior.factor @ prior.factor.T, covariance, rtol=1e-4, atol=1e-4)
    p_z = prior(None, None)
    exact = torch.distributions.MultivariateNormal(flat.mean(0).float(), covariance)
    torch.testing.assert_close(
        p_z.log_prob(z.reshape(500, *shape)), exact.log_prob(z), rtol=1e-4, atol=1e-3
    )
    draws = p_z.rsample(torch.Size((50_000,)))
    assert draws.shape == (50_000, *shape)
    assert p_z.mean.shape == shape
    scale = float(covariance.diagonal().max())
    torch.testing.assert_close(
        torch.cov(draws.flatten(1).T).reshape(size, size), covariance, rtol=0.03, atol=0.03 * scale
    )


def test_a_fitted_gaussian_of_a_large_map_is_diagonal():
    shape = (MAX_FULL // 8 + 1, 8)
    z = torch.randn(50, *shape) * 2 + 1
    prior = FittedGaussian(shape).fit(z)
    torch.testing.assert_close(prior.loc, z.flatten(1).mean(0))
    torch.testing.assert_close(prior.factor, z.flatten(1).std(0), rtol=1e-4, atol=0)
    p_z = prior(None, None)
    expected = torch.distributions.Normal(prior.loc, prior.factor).log_prob(z.flatten(1)).sum(-1)
    torch.testing.assert_close(p_z.log_prob(z), expected)


def test_dead_code_units_do_not_break_the_fitted_gaussian():
    z = torch.randn(100, 4)
    z[:, 2] = 0
    prior = FittedGaussian((4,)).fit(z)
    draws = prior(None, None).rsample(torch.Size((1000,)))
    assert bool(torch.isfinite(draws).all())
    assert float(draws[:, 2].abs().max()) < 0.02
    with pytest.raises(DataError, match="at least 2 codes"):
        FittedGaussian((4,)).fit(z[:1])


# Metrics


def trained_on(kind: str, name: str, x: np.ndarray) -> Trained:
    offset, scale = ((0.0,), (1.0,)) if kind == "unit" else ((3.0,), (2.0,))
    return Trained(build(name, DataSpec((12,), kind, offset, scale), latent_dim=3))


@pytest.mark.parametrize("kind", ["unit", "real"])
def test_metrics_equal_their_definitions(kind):
    rng = np.random.default_rng(0)
    raw = rng.random((1500, 12)).astype(np.float32)  # more than one chunk
    raw = raw if kind == "unit" else 3 + 2 * raw
    trained = trained_on(kind, "mlp", raw)
    values = evaluate(trained, Examples(raw), Examples(raw[:1000]))
    assert set(values) == set(METRICS)
    x = raw.astype(np.float64) if kind == "unit" else (raw.astype(np.float64) - 3) / 2
    guess = trained.reconstruct(raw).astype(np.float64)
    guess = guess if kind == "unit" else (guess - 3) / 2
    mse = np.square(x - guess).mean()
    assert values["mse"] == pytest.approx(mse, rel=1e-4)
    assert values["explained_variance"] == pytest.approx(
        1 - mse / np.square(x - x.mean(0)).mean(), rel=1e-3
    )
    pca = SklearnPCA(3).fit(x[:1000])
    pca_mse = np.square(x - pca.inverse_transform(pca.transform(x))).mean()
    assert values["pca_mse"] == pytest.approx(pca_mse, rel=1e-3)
    assert values["mse_to_pca"] == pytest.approx(mse / pca_mse, rel=1e-3)
    if kind == "unit":
        assert values["psnr"] == pytest.approx(-10 * math.log10(mse), rel=1e-4)
        nats = -(x * np.log(guess) + (1 - x) * np.log(1 - guess)).sum(1).mean()
        assert values["bernoulli_nats"] == pytest.approx(nats, rel=1e-4)
    else:
        assert values["psnr"] is None
        assert values["bernoulli_nats"] is None
    assert values["elbo"] is None


def test_a_table_with_gaps_is_measured_beside_pca_and_the_mean():
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5))
    known = rng.random(whole.shape) < 0.8
    raw = np.where(known, whole, np.nan).astype(np.float32)
    examples, spec, _ = prepare(raw, gaps=True)
    trained = Trained(build("mlp", spec, latent_dim=2, hidden=(4,)))
    values = evaluate(trained, examples, examples)
    x = (raw - np.nanmean(raw, 0)) / np.nanstd(raw, 0)
    assert values["mean_mse"] == pytest.approx(np.nanmean(x**2), rel=1e-4)
    filled = np.nan_to_num(x)  # standardised columns have mean 0
    pca = SklearnPCA(2).fit(filled)
    rest = filled - pca.inverse_transform(pca.transform(filled))
    assert values["pca_mse"] == pytest.approx(np.square(rest[known]).mean(), rel=1e-3)
    assert values["mode_accuracy"] is None


def test_a_mixed_table_is_measured_beside_means_and_most_frequent_values():
    train = pd.DataFrame({"a": [1.0, 2.0, 6.0, None], "b": ["x", "y", "y", None]})
    test = pd.DataFrame({"a": [3.0, None, 5.0], "b": ["y", "x", "y"]})
    examples, spec, _ = prepare(train)
    trained = Trained(build("mlp", spec, latent_dim=1, hidden=(4,)))
    values = evaluate(trained, Examples(apply_spec(test, spec)), examples)
    variance = np.var([1.0, 2.0, 6.0])
    assert values["mean_mse"] == pytest.approx((0.0 + 4.0) / 2 / variance, rel=1e-4)
    assert values["mode_accuracy"] == pytest.approx(2 / 3)
    assert values["pca_mse"] is None


def test_a_perfect_reconstruction_has_finite_metrics():
    raw = (np.random.default_rng(0).random((50, 4)) > 0.5).astype(np.float32)
    recipe = build("mlp", DataSpec((4,)), encoder=nn.Identity(), decoder=nn.Linear(4, 4))
    with torch.no_grad():
        recipe.model.decoder.weight.copy_(torch.eye(4))
        recipe.model.decoder.bias.zero_()
    values = evaluate(Trained(recipe), Examples(raw))
    assert values["mse"] == 0
    assert values["psnr"] is None
    assert values["explained_variance"] == 1
    assert values["bernoulli_nats"] == pytest.approx(0, abs=1e-4)
    assert values["pca_mse"] is None


@pytest.mark.parametrize("kind", ["unit", "real"])
def test_the_elbo_is_minus_reconstruction_and_kl(kind):
    raw = np.random.default_rng(0).random((300, 12)).astype(np.float32)
    trained = trained_on(kind, "vae", raw)
    values = evaluate(trained, Examples(raw), seed=4)
    assert values["elbo"] == pytest.approx(-(values["reconstruction"] + values["kl"]))
    assert values == evaluate(trained, Examples(raw), seed=4)
    assert values["kl"] == pytest.approx(float(_kl(trained, raw)), rel=1e-4)
    other = evaluate(trained, Examples(raw), seed=5)
    assert other["reconstruction"] != values["reconstruction"]
    assert other["reconstruction"] == pytest.approx(values["reconstruction"], rel=0.05)


def _kl(trained: Trained, raw: np.ndarray) -> torch.Tensor:
    x = trained.spec.to_model(torch.from_numpy(raw))
    with torch.no_grad():
        q = trained.model.bottleneck.posterior(trained.model.encoder(x))
    variance = q.scale.double().square()
    return 0.5 * (variance + q.loc.double().square() - 1 - variance.log()).sum(1).mean()
