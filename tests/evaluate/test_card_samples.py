"""The feature space of samples, and the distances that are taken in it."""

import hashlib
import math

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import nn

from autoencode import build, fit_prior, train
from autoencode.data import Examples, conditioned, load_data
from autoencode.errors import DataError, IncompatibleError
from autoencode.evaluate import features as module
from autoencode.evaluate.card import card
from autoencode.evaluate.case import Case
from autoencode.evaluate.features import as_space, filter_bank, filters, space_of
from autoencode.evaluate.neighbourhoods import (
    Neighbourhoods,
    frechet_distance,
    moments,
    neighbourhoods,
)
from autoencode.trained import Trained
from autoencode.types import Column, DataSpec


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


# The space


def test_the_filters_are_the_same_bits_everywhere():
    digest = hashlib.sha256(filter_bank().numpy().tobytes()).hexdigest()
    assert digest == "c7d22f804f69eb56f49e7031a97ca19496c87d717125dc629884a39d71ac0f14"
    digest = hashlib.sha256(module._signs(1100).numpy().tobytes()).hexdigest()
    assert digest == "87bcccb4becb8f90381122208b8519644f79c36801a2fc3f95759f403e5b3859"


def test_filters_see_directions_and_no_brightness():
    bank = filter_bank()
    assert bank.shape == (8, 1, 7, 7)
    assert float(bank.sum((1, 2, 3)).abs().max()) < 1e-3
    assert bank.abs().sum((1, 2, 3)).tolist() == pytest.approx([1] * 8, abs=1e-3)
    assert float(filters(torch.full((1, 1, 30, 30), 0.7))[:, 64:].max()) < 1e-3
    line = torch.arange(32.0)
    upright = (line * math.pi / 2).cos().expand(32, 32)[None, None]  # period 4, along x
    first = filters(upright)[0, 64 : 64 + 4 * 16].view(4, 16).mean(1)
    across = filters(upright.transpose(2, 3))[0, 64 : 64 + 4 * 16].view(4, 16).mean(1)
    assert int(first.argmax()) == 0
    assert int(across.argmax()) == 2
    assert float(first[0]) > 3 * float(first[2])


@pytest.mark.parametrize("size", [(1, 1), (5, 90), (17, 23), (28, 28), (200, 100)])
@pytest.mark.parametrize("channels", [1, 3, 20])
def test_any_image_has_features(size, channels):
    space = space_of(DataSpec((channels, *size)))
    found = space(torch.rand(4, channels, *size))
    wide = 64 * channels + 384
    assert found.shape == (4, min(wide, module.MOST))
    assert space.name.startswith("filters-v1")
    assert ("projected" in space.name) is (wide > module.MOST)
    assert bool(found.isfinite().all())


@pytest.mark.parametrize("way", ["inference", "export"])
def test_filters_that_were_first_needed_in_inference_or_export_can_be_differentiated(way):
    class Filters(nn.Module):
        def forward(self, x):
            return filters(x)

    x = torch.rand(2, 1, 28, 28, requires_grad=True)
    expected = filters(x.detach())
    filter_bank.cache_clear()
    with torch.inference_mode(way == "inference"):
        if way == "export":
            torch.export.export(Filters(), (x.detach(),))
        else:
            filters(x.detach())
    found = filters(x)
    found.sum().backward()
    assert torch.equal(found, expected)
    assert bool(x.grad.isfinite().all())


def test_projected_features_keep_distances():
    x = torch.rand(30, 3000)
    space = space_of(DataSpec((3000,)))
    assert space.name == "columns-v1, 3000 features projected to 1024"
    ratios = torch.pdist(space(x)) / torch.pdist(x)
    assert bool(((ratios - 1).abs() < 0.15).all())


def test_columns_are_numbers_and_categories_and_nothing_with_gaps():
    columns = (Column("a"), Column("b", "category", ("x", "y", "z")))
    space = space_of(DataSpec((2,), "real", columns=columns))
    found = space(torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
    assert (space.name, found.tolist()) == ("columns-v1", [[0, 0, 0, 1], [0, 1, 0, 0]])
    with pytest.raises(IncompatibleError, match="gaps"):
        space_of(DataSpec((2,), "real", gaps=True))


def test_features_are_standardised_by_real_ones_with_a_floor():
    space = space_of(DataSpec((3,), "real"))
    real = torch.randn(4000, 3) * torch.tensor([2.0, 4.0, 0.0]) + 5
    found = space.standardized(real, real)
    assert found.mean(0).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert found.std(0).tolist() == pytest.approx([1, 1, 0], abs=1e-3)
    moved = space.standardized(real + 1, real)[:, 2]
    floor = 0.1 * math.sqrt((4 + 16) / 3)
    assert moved.tolist() == pytest.approx([1 / floor] * 4000, rel=0.05)


def test_somebodys_own_features_are_used_as_they_are():
    class Mine(nn.Module):
        name = "mine-v2"

        def __init__(self):
            super().__init__()
            self.head = nn.Linear(64, 3)
            self.dropout = nn.Dropout(0.9)

        def forward(self, x):
            return self.head(self.dropout(x).flatten(1))

    mine = Mine()
    space = as_space(mine)
    x = torch.rand(5, 1, 8, 8)
    assert (space.name, mine.training) == ("mine-v2", False)
    assert torch.equal(space(x), mine.head(x.flatten(1)).detach())
    assert torch.equal(space.standardized(x, x), x)
    assert as_space(lambda x: x.numpy()[:, 0])(x).shape == (5, 64)
    with pytest.raises(IncompatibleError, match="one row for each"):
        as_space(lambda x: x.sum())(x)
    run = train("digits", "vae", epochs=1, hidden=(16,))
    found = card(Case(run.trained, run.data.test, features=mine), only=["fid"])
    assert "features mine-v2" in found.as_dict()["how"]["fid"]


# Distances


def test_the_frechet_distance_of_gaussians_is_its_closed_form():
    one = torch.eye(1)
    shift, scales = torch.tensor([3.0]), (4 * one, 25 * one)
    assert frechet_distance((shift, scales[0]), (0 * shift, scales[1])) == pytest.approx(9 + 9)
    rng = np.random.default_rng(0)
    a, b = (np.cov(rng.normal(size=(5, 40)) * rng.random((5, 1))) for _ in range(2))
    mean = rng.normal(size=5)
    root = scipy.linalg.sqrtm(a @ b).real
    expected = mean @ mean + np.trace(a + b - 2 * root)
    given_ = [(torch.from_numpy(m), torch.from_numpy(c)) for m, c in ((mean, a), (0 * mean, b))]
    assert frechet_distance(*given_) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(given_[0], given_[0]) == pytest.approx(0, abs=1e-9)


def test_the_frechet_distance_of_few_points_in_many_dimensions():
    x = torch.randn(10, 50)
    same, moved = moments(x), moments(x + 1)
    assert frechet_distance(same, same) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(same, moved) == pytest.approx(50, rel=1e-6)


def test_moments_are_those_of_numpy():
    x = np.random.default_rng(0).normal(size=(30, 4))
    mean, covariance = moments(torch.from_numpy(x))
    assert np.allclose(mean, x.mean(0))
    assert np.allclose(covariance, np.cov(x.T))


def test_neighbourhoods_by_hand():
    real = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    samples = torch.tensor([[0.5], [3.5], [30.0], [31.0]])
    # Radii to the first neighbour: real 1, 1, 1, 8 and samples 3, 3, 1, 1.
    # 0.5 lies in the balls of 0 and 1, 3.5 in that of 10, the others in none.
    # 0, 1, 2 lie in that of 0.5 (and 1, 2 in that of 3.5); 10 in none.
    found = neighbourhoods(real, samples, manifold=1, density=1)
    assert found == Neighbourhoods(2 / 4, 3 / 4, 3 / 4, 3 / 4)


@settings(max_examples=30, deadline=None)
@given(st.integers(6, 25), st.integers(6, 25), st.integers(1, 3), st.integers(0, 1000))
def test_neighbourhoods_are_their_definition(n, m, dims, seed):
    rng = np.random.default_rng(seed)
    real, samples = rng.normal(size=(n, dims)), rng.normal(size=(m, dims)) * 1.3 + 0.2

    def radius(points, i, k):
        return sorted(np.linalg.norm(points - points[i], axis=1))[k]

    def near(a, b, r):
        return np.linalg.norm(a - b) <= r

    r3, r5 = ([radius(real, i, k) for i in range(n)] for k in (3, 5))
    s3 = [radius(samples, j, 3) for j in range(m)]
    inside = [[near(s, x, r) for x, r in zip(real, r3, strict=True)] for s in samples]
    dense = np.array([[near(s, x, r) for x, r in zip(real, r5, strict=True)] for s in samples])
    recalled = [any(near(x, s, r) for s, r in zip(samples, s3, strict=True)) for x in real]
    expected = np.mean([any(row) for row in inside]), np.mean(recalled)
    found = neighbourhoods(torch.from_numpy(real), torch.from_numpy(samples))
    assert (found.precision, found.recall) == pytest.approx(expected)
    assert found.density == pytest.approx(dense.sum() / (5 * m))
    assert found.coverage == pytest.approx(dense.any(0).mean())


def test_too_few_points_are_refused():
    with pytest.raises(DataError, match="5 samples have no 5 neighbours"):
        neighbourhoods(torch.randn(9, 2), torch.randn(5, 2))


# What the figures say


@pytest.fixture(scope="module")
def digits():
    """Two halves of the real digits (N, 1, 8, 8) in [0, 1], and the labels of the second."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x = torch.from_numpy((x[order] / 16).astype(np.float32)).view(-1, 1, 8, 8)
    return x[:898], x[898:], y[order][898:]


def judged(real, other):
    """Fréchet distance and neighbourhoods of some images as samples of others."""
    space = space_of(DataSpec((1, 8, 8)))
    raw, made = space(real), space(other)
    a, b = (space.standardized(part, raw) for part in (raw, made))
    return frechet_distance(moments(a), moments(b)), neighbourhoods(a, b)


def test_two_halves_of_real_images_are_alike(digits):
    real, others, _ = digits
    fid, found = judged(real, others)
    scale, _ = judged(real, torch.rand(len(real), 1, 8, 8))
    assert fid < 0.01 * scale
    assert min(found.precision, found.recall, found.coverage) > 0.85
    assert found.density == pytest.approx(1, abs=0.1)


def blurred(x, amount):
    kernel = torch.tensor([amount, 1 - 2 * amount, amount])
    wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(F.conv2d(wide, kernel.view(1, 1, 3, 1)), kernel.view(1, 1, 1, 3))


DEGRADED = {
    "noise": lambda x, level: (x + level * torch.randn_like(x)).clamp(0, 1),
    "blur": lambda x, level: blurred(x, level),
    "faded": lambda x, level: x * (1 - level),
}


@pytest.mark.parametrize("kind", DEGRADED)
def test_worse_images_are_farther(digits, kind):
    real, others, _ = digits
    found = [judged(real, DEGRADED[kind](others, level)) for level in (0.0, 0.1, 0.2, 0.3)]
    distances = [fid for fid, _ in found]
    assert distances == sorted(distances)
    assert distances[1] > 1.2 * distances[0]
    for name in ("precision", "density", "coverage"):
        values = [getattr(each, name) for _, each in found]
        assert values[-1] < values[1] <= values[0] + 0.03


def test_what_is_missing_lowers_recall_and_coverage_not_precision(digits):
    real, others, labels = digits
    _, whole = judged(real, others)
    recalls, coverages, distances = [], [], []
    for classes in (10, 7, 4, 1):
        fid, found = judged(real, others[torch.from_numpy(labels < classes)])
        assert found.precision > 0.85
        distances.append(fid)
        recalls.append(found.recall)
        coverages.append(found.coverage)
    assert distances == sorted(distances)
    assert recalls == sorted(recalls, reverse=True)
    assert coverages == sorted(coverages, reverse=True)
    assert coverages[2] < 0.6 * whole.coverage


def test_the_same_sample_again_and_again_covers_nothing(digits):
    real, others, _ = digits
    fid, found = judged(real, others[:1].expand(898, -1, -1, -1))
    assert found.recall == 0
    assert found.coverage < 0.05
    assert fid > 10 * judged(real, others)[0]


# The measures


def test_samples_of_a_run_are_judged_beside_training_examples():
    run = train("digits", "vae", epochs=2, hidden=(16,))
    case = Case(run.trained, run.data.test, run.split("train"), seed=1)
    found = card(case, only=["samples"])
    space = space_of(run.trained.spec)

    def features(raw):
        return space(run.trained.spec.to_model(torch.from_numpy(raw)))

    real, made = features(run.data.test.x), features(run.trained.sample(359, 1, mean=True))
    a, b = (moments(space.standardized(part, real)) for part in (real, made))
    assert found.values["fid"] == pytest.approx(frechet_distance(a, b), rel=1e-4)
    assert found.values["fid"] > 3 * found.values["fid_train"]
    how = found.as_dict()["how"]
    assert "filters-v1" in how["fid"]
    assert "fewer examples than the 448 features" in how["fid"]
    assert "training examples reach precision" in how["precision_recall"]


def test_conditional_samples_have_the_labels_of_the_real_examples(monkeypatch):
    data = conditioned(load_data("digits"))
    trained = Trained(build("cvae", data.spec, hidden=(8,)))
    asked = []
    sample = Trained.sample

    def watched(self, n, seed=0, labels=None, *, mean=None):
        asked.append(labels)
        return sample(self, n, seed, labels, mean=mean)

    monkeypatch.setattr(Trained, "sample", watched)
    card(Case(trained, data.test), only=["fid"])
    assert np.array_equal(asked[0], data.test.labels)


def test_a_model_of_a_table_is_judged_by_its_columns():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5))).astype(np.float32)
    trained = Trained(build("mlp", DataSpec((5,), "real"), hidden=(8,), latent_dim=2))
    without = card(Case(trained, Examples(x)), only=["samples"])
    assert set(without.as_dict()["absent"]) == {"fid", "precision_recall"}
    fit_prior(trained, Examples(x))
    found = card(Case(trained, Examples(x)), only=["samples"])
    assert found.values["fid"] > 0
    assert found.values["fid_train"] is None
    assert "a prior fitted to the codes (mixture)" in found.as_dict()["how"]["fid"]
    assert "columns-v1" in found.as_dict()["how"]["fid"]
