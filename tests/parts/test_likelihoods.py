"""Every likelihood is a distribution: it sums or integrates to one, and its draws have its mean."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencode.likelihoods import (
    LINKS,
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    Laplace,
    LogCosh,
    NegativeBinomial,
    Poisson,
)

LEVELS = 16
# What each is summed over, and how.
UNIT = torch.linspace(0, 1, 20_001, dtype=torch.float64)
REAL = torch.linspace(-7, 7, 120_001, dtype=torch.float64).sinh()  # to +-548, dense around 0
COUNTS = torch.arange(0, 3000, dtype=torch.float64)
GRID = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
CASES = {
    "gaussian_shared": (lambda: Gaussian(1, scale="shared"), REAL),
    "laplace": (lambda: Laplace(1), REAL),
    "laplace_sigmoid": (lambda: Laplace(1, LINKS["sigmoid"], 0.3), REAL),
    "laplace_learned": (lambda: Laplace(1, scale="learned"), REAL),
    "log_cosh": (lambda: LogCosh(1), REAL),
    "log_cosh_sigmoid": (lambda: LogCosh(1, LINKS["sigmoid"], 0.1, power=0.1), REAL),
    "log_cosh_learned": (lambda: LogCosh(1, scale="learned"), REAL),
    "continuous_bernoulli": (lambda: ContinuousBernoulli(1), UNIT),
    "logistic": (lambda: DiscretizedLogistic(1, levels=LEVELS), GRID),
    "logistic_mixture": (lambda: DiscretizedLogistic(1, 3, LEVELS), GRID),
    "categorical": (lambda: Categorical(1, LEVELS), GRID),
    "poisson": (lambda: Poisson(1), COUNTS),
    "negative_binomial": (lambda: NegativeBinomial(1), COUNTS),
    "zero_inflated": (lambda: NegativeBinomial(1, zero_inflated=True), COUNTS),
}
every_likelihood = pytest.mark.parametrize("name", CASES)


def parameters(likelihood, seed, size=1.0):
    g = torch.Generator().manual_seed(seed)
    return size * torch.randn(likelihood.n_params, generator=g, dtype=torch.float64)


def total(probability, x):
    probability = probability.detach()
    return float(torch.trapezoid(probability, x) if x is UNIT or x is REAL else probability.sum())


@every_likelihood
@given(seed=st.integers(0, 10_000), size=st.floats(0.0, 1.0))
@settings(max_examples=25, deadline=None)
def test_it_sums_or_integrates_to_one(name, seed, size):
    make, x = CASES[name]
    likelihood = make().double()
    p = likelihood(parameters(likelihood, seed, size)[None])
    assert total(p.log_prob(x[:, None]).exp(), x) == pytest.approx(1, abs=1e-3)


@every_likelihood
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_its_mean_is_the_expectation_under_its_own_probabilities(name, seed):
    make, x = CASES[name]
    likelihood = make().double()
    p = likelihood(parameters(likelihood, seed, 0.7)[None])
    expected = total(p.log_prob(x[:, None]).exp() * x, x)
    # That of logistics is of what is cut to [0, 1], not of the levels.
    tolerance = 0.01 if name.startswith("logistic") else 2e-3
    assert float(p.mean.detach()) == pytest.approx(expected, abs=tolerance, rel=2e-3)


@every_likelihood
def test_its_draws_have_the_expectation_of_its_probabilities(name):
    torch.manual_seed(0)
    make, x = CASES[name]
    likelihood = make().double()
    params = parameters(likelihood, 3, 0.7)
    p = likelihood(params[None])
    probability = p.log_prob(x[:, None]).exp()
    mean = total(probability * x, x)
    spread = total(probability * (x - mean).square(), x) ** 0.5
    draws = likelihood(params.expand(1, 40_000, -1)).sample()
    assert draws.shape == (1, 40_000, 1)
    assert float(draws.mean()) == pytest.approx(mean, abs=4 * spread / 200)
    assert float(draws.std()) == pytest.approx(spread, rel=0.1)
    if x is GRID:
        assert bool(((draws * (LEVELS - 1)).round() / (LEVELS - 1) - draws).abs().max() < 1e-9)


@every_likelihood
def test_what_is_missing_has_no_part_and_no_gradient(name):
    make, x = CASES[name]
    likelihood = make()
    torch.manual_seed(0)
    params = torch.randn(2, 3, likelihood.n_params * 4, requires_grad=True)
    target = x.float()[torch.randint(0, min(len(x), 5), (3, 4))]
    target[1, 2] = torch.nan
    mask = ~target.isnan()
    p = likelihood(params)
    whole = p.entries(target, mask)
    assert whole.shape == (2, 3, 4)
    assert bool((whole[:, 1, 2] == 0).all())
    torch.testing.assert_close(p.log_prob(target, mask), whole.sum(-1))
    complete = target.nan_to_num(0.0)
    torch.testing.assert_close(whole[:, 0], likelihood(params).entries(complete)[:, 0])
    p.log_prob(target, mask).sum().backward()
    assert bool(params.grad.isfinite().all())
    hidden = params.grad.reshape(2, 3, likelihood.n_params, 4)[:, 1, :, 2]
    assert bool((hidden == 0).all())


@every_likelihood
@pytest.mark.parametrize("shape", [(4,), (2, 3, 5)])
def test_params_lie_side_by_side_along_the_first_axis(name, shape):
    make, x = CASES[name]
    likelihood = make()
    likelihood.event_dims = len(shape)
    wide = (likelihood.n_params * shape[0], *shape[1:])
    p = likelihood(torch.randn(2, 3, *wide))
    assert p.mean.shape == (2, 3, *shape)
    assert p.sample().shape == (2, 3, *shape)
    assert p.log_prob(x.float()[torch.zeros(3, *shape, dtype=torch.long)]).shape == (2, 3)


@pytest.mark.parametrize("name", [n for n in CASES if n != "categorical"])
def test_the_output_can_start_at_any_mean(name):
    make, x = CASES[name]
    likelihood = make()
    mean = torch.tensor([0.02, 0.3, 0.5, 0.97]) * (1 if x is not COUNTS else 10)
    if "sigmoid" not in name and x is REAL:
        mean = 10 * mean - 5
    params = likelihood.params_for_mean(mean)
    got = likelihood(params[None, None]).mean
    torch.testing.assert_close(got[0, 0], mean, rtol=2e-3, atol=2e-3)


def test_counts_equal_scipys():
    from scipy import stats

    x = torch.arange(0, 40, dtype=torch.float64)
    poisson = Poisson(1)(torch.tensor([[1.3]], dtype=torch.float64)).log_prob(x[:, None])
    expected = stats.poisson(torch.tensor(1.3).double().exp().item()).logpmf(x.numpy())
    torch.testing.assert_close(poisson, torch.from_numpy(expected), rtol=1e-5, atol=1e-6)
    params = torch.tensor([[1.3, 0.4]], dtype=torch.float64)
    ours = NegativeBinomial(1)(params).log_prob(x[:, None])
    m, r = params[0].exp().tolist()
    expected = stats.nbinom(r, r / (r + m)).logpmf(x.numpy())
    torch.testing.assert_close(ours, torch.from_numpy(expected), rtol=1e-6, atol=1e-8)


def test_the_continuous_bernoulli_equals_torchs_away_from_its_own_approximation():
    logits = torch.tensor([-9.0, -2.0, -0.5, 0.7, 3.0, 20.0], dtype=torch.float64)
    x = torch.rand(6, dtype=torch.float64)
    theirs = torch.distributions.ContinuousBernoulli(logits=logits, lims=(0.4999, 0.5001))
    ours = ContinuousBernoulli(1)(logits[:, None])
    torch.testing.assert_close(ours.log_prob(x[:, None]), theirs.log_prob(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.mean[:, 0], theirs.mean, rtol=1e-5, atol=1e-6)


def test_the_series_around_logit_zero_meets_the_closed_form():
    near = torch.tensor([0.2999, -0.2999, 1e-6, 0.0])
    seam = torch.tensor([0.3001, -0.3001, 2e-6, 1e-9])
    p, q = (ContinuousBernoulli(1)(v[:, None]) for v in (near, seam))
    x = torch.full((4, 1), 0.3)
    torch.testing.assert_close(p.log_prob(x), q.log_prob(x), rtol=0, atol=1e-4)
    torch.testing.assert_close(p.mean, q.mean, rtol=0, atol=1e-4)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=2), st.floats(0, 1))
def test_the_squared_error_of_a_clipped_mean_is_convex_and_pulls_back_what_was_clipped(ends, target):
    x = torch.tensor(sorted(ends), dtype=torch.float64, requires_grad=True)
    mean = LINKS["clip"].forward(x)
    assert torch.equal(mean, x.clamp(0, 1))
    (slope,) = torch.autograd.grad((mean - target).square().sum(), x)
    torch.testing.assert_close(slope, 2 * (x.detach().clamp(0, 1) - target))
    assert slope[1] >= slope[0]
    outside = (x < 0) | (x > 1)
    assert (slope * (x.detach() - 0.5))[outside].ge(0).all()  # downhill is towards the range


@given(
    st.integers(1, 3),
    st.sampled_from([(), (2,), (3, 2)]),
    st.sampled_from([(1,), (63,), (64,), (130,), (2, 5, 7)]),
    st.sampled_from([0.0, 1.0, 30.0, 1e4]),
    st.integers(0, 2**16),
)
def test_the_sum_of_bernoulli_entries_and_its_slopes_are_those_of_torchs_cross_entropy(
    size, samples, event, spread, seed
):
    generator = torch.Generator().manual_seed(seed)
    shape = (*samples, size, *event)
    logits = spread * torch.randn(shape, generator=generator, dtype=torch.float64)
    target = torch.rand(size, *event, generator=generator, dtype=torch.float64)
    weights = torch.randn(*samples, size, generator=generator, dtype=torch.float64)
    found = {}
    for name in ("ours", "theirs"):
        at, seen = logits.clone().requires_grad_(), target.clone().requires_grad_()
        if name == "ours":
            each = Bernoulli(len(event))(at).log_prob(seen)
        else:
            loss = torch.nn.functional.binary_cross_entropy_with_logits
            each = -loss(at, seen.expand_as(at), reduction="none").flatten(-len(event)).sum(-1)
        found[name] = (each.detach(), *torch.autograd.grad((weights * each).sum(), (at, seen)))
    for ours, theirs in zip(found["ours"], found["theirs"], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_the_slope_of_the_slope_of_bernoulli_entries_is_autograds():
    torch.manual_seed(0)
    target = torch.rand(2, 5, dtype=torch.float64)
    logits = torch.randn(3, 2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda at: Bernoulli(1)(at).log_prob(target), (logits,))


def test_sums_of_bernoulli_entries_lose_nothing_in_single_precision():
    torch.manual_seed(0)
    logits, target = 8 * torch.randn(2, 3, 784), torch.rand(3, 784).round()
    exact = Bernoulli(1)(logits.double()).entries(target.double()).sum(-1)
    torch.testing.assert_close(Bernoulli(1)(logits).log_prob(target).double(), exact, rtol=2e-6, atol=0)
