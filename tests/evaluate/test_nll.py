"""The likelihood estimator, against likelihoods that are known."""

import math

import pytest
import torch
from torch import nn

from autoencode.bottlenecks import DiagonalGaussian
from autoencode.data import Examples
from autoencode.errors import IncompatibleError, OptionError
from autoencode.evaluate import nll as module
from autoencode.evaluate.nll import nll
from autoencode.likelihoods import Gaussian
from autoencode.models import AutoencoderModule
from autoencode.priors import StandardNormal
from autoencode.recipes import Recipe, build
from autoencode.trained import Trained
from autoencode.types import DataSpec


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def linear_gaussian():
    """A model with a wrong posterior, and its exact marginal."""
    d, k = 4, 2
    decoder, bottleneck = nn.Linear(k, d), DiagonalGaussian(d, k)
    with torch.no_grad():
        decoder.weight.copy_(torch.randn(d, k))
        bottleneck.heads.weight.mul_(0.3)
    model = AutoencoderModule(
        nn.Identity(), decoder, bottleneck, Gaussian(1, scale=0.7), StandardNormal((k,))
    )
    w = decoder.weight.detach()
    covariance = w @ w.T + 0.49 * torch.eye(d)
    marginal = torch.distributions.MultivariateNormal(decoder.bias.detach(), covariance)
    return Trained(Recipe(model, (), DataSpec((d,), "real"))), marginal


def test_the_estimate_is_the_exact_likelihood_within_its_error():
    trained, marginal = linear_gaussian()
    x = marginal.sample((200,))
    exact = -marginal.log_prob(x)
    found = nll(trained, Examples(x.numpy()), 4000, seed=1)
    assert found.nats == pytest.approx(float(exact.mean()), abs=0.05)
    assert found.standard_error == pytest.approx(float(exact.std()) / math.sqrt(200), rel=0.15)
    assert found.bits_per_dim == pytest.approx(found.nats / 4 / math.log(2))
    assert (found.n_samples, found.n_examples, found.binarization) == (4000, 200, "grey")


def test_more_samples_give_a_lower_estimate_and_one_is_the_elbo():
    trained, marginal = linear_gaussian()
    x = Examples(marginal.sample((300,)).numpy())
    values = [nll(trained, x, s, seed=2).nats for s in (1, 10, 1000)]
    assert values[0] > values[1] > values[2]


def test_chunks_of_draws_add_up_to_the_same_estimate(monkeypatch):
    trained, marginal = linear_gaussian()
    x = Examples(marginal.sample((30,)).numpy())
    whole = nll(trained, x, 3000, seed=2)
    monkeypatch.setattr(module, "_MOST_ENTRIES", 4 * 20 * 7)
    pieces = nll(trained, x, 3000, seed=2)
    assert pieces.nats == pytest.approx(whole.nats, abs=0.05)
    assert nll(trained, x, 3000, seed=2) == pieces
    assert nll(trained, x, 3000, seed=3) != pieces


def test_binarised_examples_are_zeros_and_ones_and_named():
    trained = Trained(build("vae", DataSpec((12,)), hidden=(8,), latent_dim=2))
    seen = []
    trained.model.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = Examples(torch.rand(20, 12).numpy())
    for kind in ("static", "dynamic"):
        found = nll(trained, x, 3, binarization=kind)
        assert found.binarization == kind
        assert set(seen[-1].unique().tolist()) == {0.0, 1.0}
    grey = nll(trained, x, 3)
    assert len(seen[-1].unique()) > 2
    assert grey.nats != found.nats


def test_what_has_no_likelihood_is_refused_with_a_remedy():
    x = Examples(torch.rand(5, 12).numpy())
    with pytest.raises(IncompatibleError, match="deterministic code and no log p"):
        nll(Trained(build("mlp_small", DataSpec((12,)))), x, 3)
    vae = Trained(build("vae", DataSpec((12,)), hidden=(8,)))
    with pytest.raises(OptionError, match="use grey, static or dynamic"):
        nll(vae, x, 3, binarization="black")
    with pytest.raises(OptionError, match="at least 1, got 0"):
        nll(vae, x, 0)
    real = Trained(build("vae", DataSpec((12,), "real"), hidden=(8,)))
    with pytest.raises(IncompatibleError, match="only values in"):
        nll(real, x, 3, binarization="static")
