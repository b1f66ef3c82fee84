"""The figures of the evaluation card, against values that are known."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from autoencode import build
from autoencode.bottlenecks import DiagonalGaussian, Plain
from autoencode.bottlenecks.flow import FlowSample
from autoencode.data import Examples
from autoencode.distributions.basic import Normal
from autoencode.errors import DataError
from autoencode.evaluate import information
from autoencode.evaluate.card import card
from autoencode.evaluate.case import Case
from autoencode.evaluate.codebook import perplexity, usage
from autoencode.evaluate.information import log_density_pairs, mmd, variances_of_means
from autoencode.evaluate.nll import nll
from autoencode.evaluate.outliers import anomaly_auroc, auroc
from autoencode.evaluate.structure import ssim
from autoencode.likelihoods import Categorical, Gaussian
from autoencode.models import AutoencoderModule
from autoencode.objectives.discrepancies import squared_mmd
from autoencode.priors import FittedGaussian, StandardNormal
from autoencode.recipes import Recipe
from autoencode.trained import Trained
from autoencode.types import DataSpec, Latent, Site


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def gaussian_model(weight, log_scale, dims=3):
    """q(z|x) = N(weight x, exp(2 log_scale)) of x (dims,), and a decoder of no consequence."""
    latent = len(weight)
    bottleneck = DiagonalGaussian(dims, latent)
    with torch.no_grad():
        bottleneck.heads.weight.zero_()
        bottleneck.heads.bias.zero_()
        bottleneck.heads.weight[:latent] = weight
        bottleneck.heads.bias[latent:] = log_scale
    parts = nn.Identity(), nn.Linear(latent, dims), bottleneck, Gaussian(1)
    model = AutoencoderModule(*parts, StandardNormal((latent,)))
    return Trained(Recipe(model, (), DataSpec((dims,), "real")))


def measured(case, *names):
    return card(case, only=names).values


def inside(function, *arguments):
    """A part of a measure, as it is computed."""
    with torch.inference_mode():
        return function(*arguments)


# The latent


def test_mutual_information_and_the_aggregate_are_those_of_a_linear_gaussian_model():
    weight, log_scale = torch.tensor([[0.8, 0.0, 0.3], [0.0, 0.5, 0.0]]), math.log(0.6)
    x = torch.randn(6000, 3)
    found = card(Case(gaussian_model(weight, log_scale), Examples(x.numpy())), only=["latent", "kl"])
    noise = 0.36 * torch.eye(2)
    marginal = weight @ weight.T + noise
    information_ = 0.5 * (marginal.logdet() - noise.logdet())
    gap = 0.5 * (marginal.trace() - 2 - marginal.logdet())
    values, errors = found.values, found.errors
    assert values["mutual_information"] == pytest.approx(float(information_), abs=0.03)
    assert values["aggregate_kl"] == pytest.approx(float(gap), abs=0.03)
    both = values["mutual_information"] + values["aggregate_kl"]
    noise_of_both = errors["mutual_information"] + errors["aggregate_kl"]
    assert both == pytest.approx(values["kl"], abs=4 * noise_of_both)
    assert errors["mutual_information"] == pytest.approx(0.01, abs=0.01)
    assert values["information_limit"] == math.log(6000)


@pytest.mark.parametrize(("apart", "expected"), [(0.0, 0.0), (1e4, math.log(5))])
def test_mutual_information_is_the_entropy_of_examples_that_cannot_be_confused(apart, expected):
    x = (torch.arange(5.0) * apart).unsqueeze(1).repeat(40, 3)
    found = measured(Case(gaussian_model(torch.ones(1, 3), 0.0), Examples(x.numpy())), "information")
    assert found["mutual_information"] == pytest.approx(expected, abs=1e-6)


def test_information_does_not_depend_on_the_pieces(monkeypatch):
    case = Case(gaussian_model(torch.randn(2, 3), 0.0), Examples(torch.randn(1100, 3).numpy()))
    whole = measured(case, "latent")
    monkeypatch.setattr(information, "_PIECE_NUMBERS", 5000)
    pieces = measured(Case(case.trained, case.examples), "latent")
    assert pieces == pytest.approx(whole, rel=1e-5, abs=1e-6)


def test_densities_of_all_pairs_are_those_of_torch():
    loc, log_scale, z = torch.randn(7, 4), torch.randn(7, 4), torch.randn(5, 4)
    expected = torch.distributions.Normal(loc.double(), log_scale.double().exp())
    pairs = expected.log_prob(z.double()[:, None]).sum(-1)
    torch.testing.assert_close(log_density_pairs(z, Normal(loc, log_scale)), pairs)
    other = torch.distributions.Independent(torch.distributions.Normal(loc, log_scale.exp()), 1)
    torch.testing.assert_close(log_density_pairs(z, other), pairs, rtol=1e-5, atol=1e-5)


def test_active_units_are_those_that_see_the_data():
    weight = torch.zeros(6, 3)
    weight[1, 0], weight[4, 2] = 1.0, 0.2  # variances 1 and 0.04
    weight[2, 1] = 0.05  # 0.0025
    trained = gaussian_model(weight, 0.0)
    case = Case(trained, Examples(torch.randn(3000, 3).numpy()))
    assert measured(case, "active") == {"active_units": 2, "units": 6}
    expected = [0, 1, 0.0025, 0, 0.04, 0]
    assert inside(variances_of_means, case).tolist() == pytest.approx(expected, abs=0.08, rel=0.1)


class DrawnOnly(nn.Module):
    """A posterior that knows its draws only, around means with a known variance over the data."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, h, prior, n_samples=1):
        mean = h * torch.tensor(self.scale)
        z = mean + torch.randn(n_samples, *mean.shape)
        return Latent(z, {"z": Site(z, FlowSample(z, z.sum(-1), torch.zeros_like(mean)), prior)})

    def embed(self, h):
        return h


def test_active_units_of_a_posterior_that_must_be_drawn():
    scale = [0.0, 1.0, 0.3]
    model = AutoencoderModule(
        nn.Identity(), nn.Linear(3, 3), DrawnOnly(scale), Gaussian(1), StandardNormal((3,))
    )
    trained = Trained(Recipe(model, (), DataSpec((3,), "real")))
    case = Case(trained, Examples(torch.randn(20_000, 3).numpy()))
    variances = inside(variances_of_means, case)
    assert variances.tolist() == pytest.approx([0.0, 1.0, 0.09], abs=0.03)
    assert abs(float(variances[0])) < 0.004  # the draws' own variance is 1
    assert measured(case, "active")["active_units"] == 2
    found = card(case, only=["information"])
    assert "own draws only" in found.as_dict()["absent"]["information"]


def test_codes_drawn_from_the_prior_have_no_discrepancy_and_others_have():
    a, b = torch.randn(300, 2), torch.randn(300, 2)
    assert mmd(a, b) == pytest.approx(float(squared_mmd(a, b)), abs=1e-5)
    x = torch.randn(1500, 2)
    values = {}
    for shift in (0.0, 1.0, 3.0):
        model = AutoencoderModule(nn.Identity(), nn.Identity(), Plain(), Gaussian(1))
        model.prior = FittedGaussian((2,)).fit(50 * x)
        trained = Trained(Recipe(model.requires_grad_(False), (), DataSpec((2,), "real")))
        trained.model.register_parameter("anchor", nn.Parameter(torch.zeros(1)))
        examples = Examples((50 * (torch.randn(1500, 2) + shift)).numpy())
        values[shift] = measured(Case(trained, examples), "mmd")["prior_mmd"]
    assert abs(values[0.0]) < 0.01 < 0.2 < values[1.0] < values[3.0]


# Codebooks


def test_perplexity_is_the_number_of_codes_used_equally_often():
    assert perplexity(torch.full((8,), 7)) == pytest.approx(8)
    assert perplexity(torch.tensor([9, 0, 0])) == pytest.approx(1)
    assert perplexity(torch.tensor([3, 1])) == pytest.approx(4 / 27**0.25)


QUANTISED = {
    "vqvae": ({"n_codes": 16, "code_dim": 4}, 1),
    "vqvae2": ({"n_codes": 16, "code_dim": 4}, 2),
    "rvq": ({"n_codes": 8, "code_dim": 4, "n_levels": 3}, 3),
    "pvq": ({"n_codes": 8, "code_dim": 4, "n_parts": 2}, 2),
    "fsq": ({"levels": (3, 4)}, 1),
    "gumbel_vae": ({"n_variables": 5, "n_categories": 4}, 5),
}


@pytest.mark.parametrize("name", QUANTISED)
def test_every_codebook_is_counted_by_itself(name):
    options, n_books = QUANTISED[name]
    x = torch.rand(30, 1, 8, 8)
    trained = Trained(build(name, DataSpec((1, 8, 8)), **options))
    case = Case(trained, Examples(x.numpy()), seed=3)
    found = card(case, only=["codebook"])
    counts = inside(usage, case)
    assert len(counts) == n_books
    assert found.values["codebook_size"] == sum(len(each) for each in counts)
    assert found.values["dead_codes"] == sum(int((each == 0).sum()) for each in counts)
    with torch.no_grad():
        codes = trained.model.eval()(trained.spec.batch(x)).latent.codes[0]
    assert sum(int(each.sum()) for each in counts) == codes.numel()
    if name == "rvq":  # each level against counting by hand
        by_hand = [torch.bincount(codes[..., i].flatten(), minlength=8) for i in range(3)]
        assert all(torch.equal(a, b) for a, b in zip(counts, by_hand, strict=True))
        mean = sum(perplexity(each) for each in by_hand) / 3
        assert found.values["codebook_perplexity"] == pytest.approx(mean)


# Likelihoods


def test_bits_per_entry_are_those_of_a_model_that_knows_nothing():
    trained = Trained(build("vae", DataSpec((2, 3, 3)), likelihood="categorical", hidden=(8,)))
    assert isinstance(trained.model.likelihood, Categorical)
    with torch.no_grad():
        for parameter in trained.model.parameters():
            parameter.zero_()  # q(z|x) = p(z), and every level is as probable
    x = torch.randint(0, 256, (20, 2, 3, 3)) / 255
    found = card(Case(trained, Examples(x.float().numpy()), n_draws=3), only=["nll"]).values
    assert found["nll"] == pytest.approx(18 * math.log(256), rel=1e-6)
    assert found["bits_per_dim"] == pytest.approx(8, rel=1e-6)


@pytest.mark.parametrize(
    ("likelihood", "kind", "binary", "has_bits"),
    [
        ("bernoulli", "unit", True, True),
        ("bernoulli", "unit", False, False),
        ("continuous_bernoulli", "unit", False, False),
        ("logistic", "unit", False, True),
        ("gaussian", "real", False, False),
        ("poisson", "real", False, True),
    ],
)
def test_only_probabilities_have_bits(likelihood, kind, binary, has_bits):
    trained = Trained(build("vae", DataSpec((6,), kind), likelihood=likelihood, hidden=(8,)))
    x = torch.rand(10, 6).round() if binary or likelihood == "poisson" else torch.rand(10, 6)
    found = card(Case(trained, Examples(x.numpy()), n_draws=2), only=["nll"])
    assert (found.values["bits_per_dim"] is not None) is has_bits
    assert found.values["nll"] is not None
    assert found.facts["binarization"] == (
        "values" if kind == "real" else "binary" if binary else "grey"
    )


def test_grey_values_give_a_bound_on_the_mean_over_binarised_ones():
    trained = Trained(build("vae", DataSpec((8,)), hidden=(16,), latent_dim=2))
    with torch.no_grad():
        for parameter in trained.model.decoder.parameters():
            parameter.mul_(6)
    x = Examples(torch.rand(300, 8).numpy())
    grey = nll(trained, x, 500).nats
    drawn = [nll(trained, x, 500, binarization="dynamic", seed=s).nats for s in range(4)]
    assert grey > np.mean(drawn) + 4 * np.std(drawn)


def test_likelihoods_are_of_what_the_model_was_trained_on():
    x = Examples(torch.rand(200, 8).numpy())
    grey, dynamic = (
        Trained(build("vae", DataSpec((8,)), hidden=(8,), binarize=binarize))
        for binarize in (False, True)
    )
    dynamic.model.load_state_dict(grey.model.state_dict())
    assert Case(grey, x).seen == "grey"
    assert Case(dynamic, x).seen == "dynamic"
    asked = [measured(Case(model, x), "elbo")["elbo"] for model in (grey, dynamic)]
    assert asked[0] != asked[1]
    assert measured(Case(grey, x, binarization="dynamic"), "elbo")["elbo"] == asked[1]
    seen = []
    dynamic.model.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    measured(Case(dynamic, x), "elbo", "active")
    assert all(set(part.unique().tolist()) == {0.0, 1.0} for part in seen[-2:])


# Images


def by_definition(a, b, size):
    """SSIM of two planes (H, W), window by window."""
    places = np.arange(size) - (size - 1) / 2
    line = np.exp(-(places**2) / (2 * 1.5**2))
    weights = np.outer(line, line) / line.sum() ** 2
    found = []
    for i in range(a.shape[0] - size + 1):
        for j in range(a.shape[1] - size + 1):
            p, q = a[i : i + size, j : j + size], b[i : i + size, j : j + size]
            mp, mq = (weights * p).sum(), (weights * q).sum()
            vp, vq = (weights * (p - mp) ** 2).sum(), (weights * (q - mq) ** 2).sum()
            c = (weights * (p - mp) * (q - mq)).sum()
            found.append(
                (2 * mp * mq + 1e-4) * (2 * c + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4))
            )
    return np.mean(found)


@pytest.mark.parametrize(("shape", "size"), [((14, 15), 11), ((8, 12), 7), ((1, 1), 1)])
def test_ssim_is_its_definition(shape, size):
    a, b = np.random.default_rng(0).random((2, 2, 3, *shape))
    expected = [np.mean([by_definition(a[i, c], b[i, c], size) for c in range(3)]) for i in range(2)]
    assert ssim(*map(torch.from_numpy, (a, b))).tolist() == pytest.approx(expected, rel=1e-6)


def test_ssim_of_flat_images_has_a_closed_form():
    a, b = (torch.full((1, 1, 20, 20), v, dtype=torch.float64) for v in (0.25, 0.75))
    expected = (2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4)
    assert ssim(a, b).item() == pytest.approx(expected, rel=1e-9)


# Codes


def as_it_is(width, latent=None):
    """A model whose code is the first entries of x."""
    latent = latent or width

    class First(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :latent]

    recipe = build("mlp", DataSpec((width,), "real"), encoder=First(), decoder=nn.Linear(latent, width))
    return Trained(recipe)


def test_probe_and_neighbours_read_off_what_is_there():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 900)
    x = rng.normal(size=(900, 8)).astype(np.float32)
    x[:, 0] += 8 * (labels == 1)
    x[:, 1] += 8 * (labels == 2)
    train, test = Examples(x[:600], labels[:600]), Examples(x[600:], labels[600:])
    found = measured(Case(as_it_is(8, 2), test, train), "representation")
    assert found["probe_accuracy"] == found["knn_accuracy"] == 1
    by_hand = KNeighborsClassifier(5).fit(x[:600, 5:7], labels[:600]).score(x[600:, 5:7], labels[600:])
    shifted = Examples(x[:, [5, 6, 0, 1, 2, 3, 4, 7]], labels)
    parts = shifted.take(np.arange(600)), shifted.take(np.arange(600, 900))
    blind = measured(Case(as_it_is(8, 2), parts[1], parts[0]), "representation")
    assert blind["knn_accuracy"] == by_hand
    assert blind["probe_accuracy"] < 0.45
    assert blind["pca_probe_accuracy"] == 1  # the labels are where most of the variance is


def test_labels_that_are_no_classes_or_were_trained_on_give_no_accuracy():
    x = np.random.default_rng(0).random((60, 4)).astype(np.float32)
    trained = as_it_is(4, 2)
    few = Examples(x, np.arange(60) % 2)
    for case, reason in (
        (Case(trained, Examples(x), few), "no labels"),
        (Case(trained, Examples(x, np.arange(60.0)), Examples(x, np.arange(60.0))), "no classes"),
        (Case(trained, few, few, held_out=False), "held out"),
        (Case(trained, few), "held out"),
    ):
        found = card(case, only=["probe", "knn"])
        assert found.values["probe_accuracy"] is None
        assert all(reason in text for text in found.as_dict()["absent"].values())


def test_trustworthiness_and_continuity_swap_the_spaces():
    x = load_digits().data.astype(np.float32)[:300]
    found = measured(Case(as_it_is(64), Examples(x)), "neighbours")
    assert found == pytest.approx({"trustworthiness": 1, "continuity": 1}, abs=1e-5)  # there are ties
    found = measured(Case(as_it_is(64, 20), Examples(x)), "neighbours")
    z = x[:, :20]
    assert found["trustworthiness"] == pytest.approx(trustworthiness(x, z, n_neighbors=10), abs=1e-4)
    assert found["continuity"] == pytest.approx(trustworthiness(z, x, n_neighbors=10), abs=1e-4)
    assert found["trustworthiness"] < found["continuity"]


# Anomalies


def test_auroc_is_that_of_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    normal, anomalies = rng.integers(0, 6, 200), rng.integers(2, 9, 50)
    truth = np.r_[np.zeros(200), np.ones(50)]
    expected = roc_auc_score(truth, np.r_[normal, anomalies])
    assert auroc(normal, anomalies) == pytest.approx(expected, abs=1e-12)
    assert auroc(np.zeros(3), np.ones(4)) == 1
    with pytest.raises(DataError, match="one of them has none"):
        auroc(np.zeros(3), np.zeros(0))
    with pytest.raises(DataError, match="not finite"):
        auroc(np.zeros(3), np.array([np.nan]))


def test_anomalies_are_told_by_the_models_own_score():
    trained = gaussian_model(torch.zeros(2, 3), 0.0)
    with torch.no_grad():
        trained.model.decoder.weight.zero_()
        trained.model.decoder.bias.zero_()  # p(x) = N(0, I)
    normal, far = (Examples((torch.randn(400, 3) * s).numpy()) for s in (1, 4))
    score = anomaly_auroc(trained, normal, far)
    truth = np.r_[np.zeros(400), np.ones(400)]
    squares = np.square(np.r_[normal.x, far.x]).sum(1)
    assert score == pytest.approx(roc_auc_score(truth, squares), abs=1e-6)
    assert measured(Case(trained, normal, anomalies=far), "anomalies")["anomaly_auroc"] == score


def test_draws_are_not_the_numbers_that_the_weights_were_drawn_from():
    """The prior's components start at draws from the seed; those of z must be others."""
    x = Examples(load_digits().images[:300, None].astype(np.float32))
    trained = Trained(build("mog_vae", DataSpec((1, 8, 8), "unit", scale=(16.0,)), seed=0))
    found = [card(Case(trained, x, seed=s, n_draws=10), only=["kl", "nll"]) for s in (0, 1, 2)]
    kls, nlls = ([one.values[name] for one in found] for name in ("kl", "nll"))
    assert max(kls) - min(kls) < 6 * found[0].errors["kl"]
    assert max(nlls) - min(nlls) < 1
    assert trained.score_samples(x).mean() == pytest.approx(-nlls[0], rel=0.2)
