"""PCA as a yardstick: exact where that is cheap, never below the optimum, bounded elsewhere."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA as SklearnPCA

from autoencode.data import Examples, Resident
from autoencode.evaluate import pca
from autoencode.evaluate.measures import TooDear
from autoencode.evaluate.pca import PCA
from autoencode.types import DataSpec


def resident(x):
    return Resident(Examples(x.astype(np.float32)), DataSpec(x.shape[1:], "real"))


def decaying(n, d, power, seed=0):
    """Rows whose spectrum falls as a power of the component's number."""
    rng = np.random.default_rng(seed)
    rank = min(n, d)
    left, right = (np.linalg.qr(rng.normal(size=(m, rank)))[0] for m in (n, d))
    return 3 + (left * (np.arange(1, rank + 1.0) ** -power * np.sqrt(n * d))) @ right.T


def optimum(x, width):
    """The least mean squared error of any ``width`` components (Eckart & Young, 1936)."""
    values = np.linalg.svd(x - x.mean(0), compute_uv=False)
    return float(np.square(values[width:]).sum() / x.size)


@pytest.fixture
def iterated(monkeypatch):
    monkeypatch.setattr(pca, "EXACT_COLUMNS", 0)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("width", [1, 8, 40])
def test_subspace_iteration_comes_within_a_hundredth_of_the_optimum(iterated, power, width):
    x = decaying(300, 500, power)
    source = resident(x)
    found, best = PCA.fit(source, width), optimum(x, width)
    assert not found.exact
    assert best * (1 - 1e-4) <= found.mse(source) <= best * 1.01
    explained = optimum(x, 0) - best
    assert optimum(x, 0) - found.mse(source) == pytest.approx(explained, rel=0.01)
    assert (found.axes @ found.axes.T).numpy() == pytest.approx(np.eye(width), abs=1e-4)


def test_its_axes_are_those_of_the_largest_variance_in_order(iterated):
    x = decaying(200, 400, 2.0)
    found, theirs = PCA.fit(resident(x), 5), SklearnPCA(5, svd_solver="full").fit(x)
    overlap = np.abs(np.sum(found.axes.numpy() * theirs.components_, axis=1))
    assert overlap == pytest.approx(np.ones(5), abs=1e-3)


def test_it_is_the_same_each_time(iterated):
    source = resident(decaying(60, 90, 1.0))
    first, second = (PCA.fit(source, 4) for _ in range(2))
    assert torch.equal(first.axes, second.axes)


def test_a_few_rows_of_many_columns_are_explained_whole(iterated):
    x = decaying(7, 300, 1.0)
    found = PCA.fit(resident(x), 64)
    assert found.axes.shape == (7, 300)
    assert found.mse(resident(x)) == pytest.approx(0, abs=1e-6 * float(x.var()))


def test_missing_values_count_as_the_mean(iterated):
    x = decaying(120, 80, 1.0)
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    filled = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
    spec = DataSpec((80,), "real", gaps=True)
    source = Resident(Examples(x.astype(np.float32)), spec)
    theirs = SklearnPCA(6, svd_solver="full").fit(filled)
    rest = filled - theirs.inverse_transform(theirs.transform(filled))
    best = np.square(rest[~np.isnan(x)]).mean()
    assert PCA.fit(source, 6).mse(source) == pytest.approx(best, rel=0.01)


def test_too_large_a_block_is_refused_before_any_work(monkeypatch, iterated):
    monkeypatch.setattr(pca, "MOST_ENTRIES", 100 * 19)
    source = resident(decaying(50, 100, 1.0))
    assert PCA.fit(source, 9).axes.shape == (9, 100)
    with pytest.raises(TooDear, match="PCA of 10 components of 100 columns"):
        PCA.fit(source, 10)


@pytest.mark.parametrize("columns", [0, 4096])
def test_where_all_rows_would_take_too_long_some_are_learned_from(monkeypatch, columns):
    monkeypatch.setattr(pca, "EXACT_COLUMNS", columns)
    x = decaying(600, 40, 1.0)
    source, best = resident(x), optimum(x, 4)
    work = 2 * 40**2 if columns else 4 * 40 * 14 * 8
    monkeypatch.setattr(pca, "MOST_WORK", 300 * work)
    some = PCA.fit(source, 4)
    assert (some.n, "on 300 training examples" in some.how) == (300, True)
    assert best <= some.mse(source) <= 1.3 * best
    monkeypatch.setattr(pca, "MOST_WORK", 20 * work)
    with pytest.raises(TooDear, match="no more than 20 of 600 examples"):
        PCA.fit(source, 4)


def test_a_hundred_thousand_columns_hold_no_matrix_of_them(monkeypatch):
    """Every tensor that is made has fewer entries than the bound."""
    largest = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            made = function(*args, **(kwargs or {}))
            for one in made if isinstance(made, tuple | list) else (made,):
                if isinstance(one, torch.Tensor):
                    largest.append(one.numel())
            return made

    x = np.random.default_rng(0).random((20, 100_000), dtype=np.float32)
    source = resident(x)
    with Watch():
        found = PCA.fit(source, 5)
        found.mse(source)
    assert found.axes.shape == (5, 100_000)
    assert max(largest) <= pca._CHUNK_ENTRIES
