"""Structural similarity against scipy's filters, which scikit-image uses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from autoencode.errors import IncompatibleError
from autoencode.objectives import dissimilarity, ms_ssim, ssim
from autoencode.objectives.similarity import SCALE_WEIGHTS, scales_for
from autoencode.recipes import build
from autoencode.types import Batch, DataSpec, Progress


def pair(shape, seed=0, noise=0.2):
    rng = np.random.default_rng(seed)
    x = gaussian_filter(rng.random(shape), 1.0)
    x = (x - x.min()) / (x.max() - x.min())
    return x, np.clip(x + noise * rng.normal(size=shape), 0, 1)


def tensors(x, y):
    return torch.from_numpy(x)[None, None], torch.from_numpy(y)[None, None]


def reference(x, y, window=11):
    """Means of both maps, filtered by scipy and cut as scikit-image cuts them."""
    radius = window // 2
    cut = slice(radius, -radius or None)

    def blur(values):
        return gaussian_filter(values, 1.5, radius=radius)[cut, cut]

    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    contrast = (2 * vxy + 9e-4) / (vx + vy + 9e-4)
    luminance = (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
    return float((luminance * contrast).mean()), float(contrast.mean())


@pytest.mark.parametrize("shape", [(11, 11), (16, 20), (28, 28), (33, 40)])
@pytest.mark.parametrize("window", [7, 11])
def test_one_scale_is_that_of_scipys_filters(shape, window):
    x, y = pair(shape)
    assert ssim(*tensors(x, y), window).item() == pytest.approx(reference(x, y, window)[0], abs=1e-12)


def test_one_scale_is_scikit_images():
    # structural_similarity(x, y, data_range=1.0, gaussian_weights=True, sigma=1.5,
    # use_sample_covariance=False) of scikit-image 0.26.0
    assert ssim(*tensors(*pair((28, 28)))).item() == pytest.approx(0.40213028743924445, abs=1e-12)


def test_several_scales_are_the_product_of_powers_of_each():
    x, y = pair((96, 90), noise=0.1)
    scales, n = [], scales_for(90)[1]
    for _ in range(n):
        scales.append(reference(x, y))
        halves = [s // 2 * 2 for s in x.shape]
        x, y = (
            v[: halves[0], : halves[1]].reshape(halves[0] // 2, 2, halves[1] // 2, 2).mean((1, 3))
            for v in (x, y)
        )
    weights = np.array(SCALE_WEIGHTS[:n]) / sum(SCALE_WEIGHTS[:n])
    values = [contrast for _, contrast in scales[:-1]] + [scales[-1][0]]
    found = ms_ssim(*tensors(*pair((96, 90), noise=0.1)))
    assert n == 4
    assert found.item() == pytest.approx(float(np.prod(np.array(values) ** weights)), abs=1e-10)


def test_small_images_have_fewer_scales_and_smaller_windows():
    assert scales_for(28) == (11, 2)
    assert scales_for(28, 7) == (7, 3)
    assert scales_for(32) == (11, 2)
    assert scales_for(176) == (11, 5)
    assert scales_for(9) == (9, 1)
    assert scales_for(1) == (1, 1)
    assert scales_for(256, n_scales=2) == (11, 2)
    assert sum(SCALE_WEIGHTS) == pytest.approx(1, abs=2e-4)


@given(side=st.integers(1, 40), seed=st.integers(0, 100), channels=st.sampled_from([1, 3]))
@settings(max_examples=40, deadline=None)
def test_it_is_symmetric_at_most_one_and_one_for_the_same(side, seed, channels):
    g = torch.Generator().manual_seed(seed)
    x, y = torch.rand(2, 3, channels, side, side + 2, generator=g, dtype=torch.float64)
    torch.testing.assert_close(ms_ssim(x, x), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(ms_ssim(x, y), ms_ssim(y, x))
    found = ms_ssim(x, y)
    assert bool(((found > 0) & (found <= 1)).all())


def test_channels_and_images_are_compared_one_by_one():
    x, y = torch.rand(2, 4, 3, 16, 16, dtype=torch.float64)
    each = torch.stack([ssim(x[:, i : i + 1], y[:, i : i + 1]) for i in range(3)])
    torch.testing.assert_close(ssim(x, y), each.mean(0))
    torch.testing.assert_close(ms_ssim(x, y)[2:3], ms_ssim(x[2:3], y[2:3]))


def test_gradients_are_finite_and_right_also_where_images_are_less_alike_than_unrelated_ones():
    x = torch.rand(1, 1, 12, 12, dtype=torch.float64)
    y = (1 - x).clone().requires_grad_()
    assert ssim(x, y).item() < 0
    assert ms_ssim(x, y).item() > 0
    assert torch.autograd.gradcheck(lambda v: ms_ssim(x, v), (y,))
    (gradient,) = torch.autograd.grad(ms_ssim(x, y).sum(), y)
    assert bool(gradient.isfinite().all())
    with torch.no_grad():
        assert ms_ssim(x, y + 0.1 * gradient / gradient.norm()).item() > ms_ssim(x, y).item()


def test_flat_images_have_finite_gradients():
    x = torch.zeros(2, 1, 28, 28)
    y = torch.full_like(x, 0.5).requires_grad_()
    ms_ssim(x, y).sum().backward()
    assert bool(y.grad.isfinite().all())


def test_the_recipe_minimises_the_expected_dissimilarity_and_the_divergence():
    spec = DataSpec((1, 16, 16))
    recipe = build("ms_ssim_vae", spec, ssim_weight=7.0, beta=2.0)
    batch = Batch.from_examples(torch.rand(5, 1, 16, 16))
    torch.manual_seed(0)
    losses = recipe.updates[0].objective(recipe.model, batch, Progress())
    torch.manual_seed(0)
    output = recipe.model(batch)
    apart = 1 - ms_ssim(output.x_dist.mean[0], batch.x)
    (site,) = output.latent.sites.values()
    torch.testing.assert_close(losses.total, 7.0 * apart.mean() + 2.0 * site.kl().mean())
    assert set(losses.terms) == {"dissimilarity", "kl"}
    assert losses.terms["dissimilarity"] > 0


@pytest.mark.parametrize("spec", [DataSpec((64,)), DataSpec((1, 8, 8), "real")])
def test_other_data_than_images_are_refused(spec):
    with pytest.raises(IncompatibleError, match=r"needs images with values in \[0, 1\]; use vae"):
        build("ms_ssim_vae", spec)


def test_windows_and_scales_that_make_no_sense_are_refused():
    with pytest.raises(IncompatibleError, match="odd number of pixels, got 4"):
        dissimilarity(4)
    with pytest.raises(IncompatibleError, match="1 to 5 scales, got 6"):
        dissimilarity(11, 6)
