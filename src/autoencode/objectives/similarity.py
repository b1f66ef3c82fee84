"""Structural similarity of images, at one scale and at several.

Image quality assessment: from error visibility to structural similarity (Wang et al., 2004),
https://doi.org/10.1109/TIP.2003.819861, and Multiscale structural similarity for image quality
assessment (Wang, Simoncelli & Bovik, 2003), https://doi.org/10.1109/ACSSC.2003.1292216. Images are (N,
C, H, W) with values in [0, 1]; channels are compared one by one and averaged.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from autoencode.errors import IncompatibleError
from autoencode.objectives.terms import ANY, NamedTerm
from autoencode.types import Batch, Model, Output, Progress

#: Exponents of the scales, the finest first, as measured by Wang, Simoncelli & Bovik (to four digits).
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

_SIGMA = 1.5  # pixels
_C1, _C2 = 0.01**2, 0.03**2
_LOW = 1e-2  # of a scale's similarity; its logarithm goes on as a straight line below


def ssim(x: Tensor, y: Tensor, window: int = 11) -> Tensor:
    """Computes the mean structural similarity of each pair of images, (N,), at most 1.

    Only places where the whole window lies inside the image count.

    Args:
        x, y: (N, C, H, W) in [0, 1].
        window: side of the Gaussian window (its standard deviation is 1.5 pixels), odd.

    >>> x = torch.rand(2, 1, 16, 16)
    >>> ssim(x, x).tolist()
    [1.0, 1.0]
    """
    return _similarity(x, y, window)[0]


def scales_for(side: int, window: int = 11, n_scales: int = 5) -> tuple[int, int]:
    """Finds the window and the number of scales for images with a shorter side of ``side`` pixels.

    The window shrinks to an odd number that fits; there are as many scales as still hold it.

    >>> scales_for(256), scales_for(28), scales_for(8)
    ((11, 5), (11, 2), (7, 1))
    """
    window = min(window, side - 1 + side % 2)
    fit = 1
    while fit < n_scales and side // 2 >= window:
        side //= 2
        fit += 1
    return window, fit


def ms_ssim(x: Tensor, y: Tensor, window: int = 11, n_scales: int = 5) -> Tensor:
    """Computes the structural similarity of each pair of images over several scales, (N,), at most 1.

    Each scale is half as fine as the one before. Small images have fewer scales (``scales_for``), whose
    exponents are brought to a sum of 1. The exponents are no whole numbers and images can be less alike
    than unrelated ones: below 0.01 the logarithm of a scale's similarity goes on as its tangent, so
    that the result stays positive and its gradient finite.

    Args:
        x, y: (N, C, H, W) in [0, 1].
        window: side of the Gaussian window, odd.
        n_scales: at most 5.

    >>> x = torch.rand(2, 1, 28, 28)
    >>> ms_ssim(x, x).tolist(), bool((ms_ssim(x, 1 - x) < 0.1).all())
    ([1.0, 1.0], True)
    """
    window, n_scales = scales_for(min(x.shape[-2:]), window, min(n_scales, len(SCALE_WEIGHTS)))
    all_of_them = n_scales == len(SCALE_WEIGHTS)
    total = 1.0 if all_of_them else sum(SCALE_WEIGHTS[:n_scales])
    log_similarity = x.new_zeros(len(x))
    for i, weight in enumerate(SCALE_WEIGHTS[:n_scales]):
        whole, contrast = _similarity(x, y, window)
        last = i == n_scales - 1
        log_similarity = log_similarity + weight / total * _log(whole if last else contrast)
        if not last:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return log_similarity.exp()


def _similarity(x: Tensor, y: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Computes the structural similarity and its part for contrast and structure; both (N,)."""
    mean_x, mean_y = _blurred(x, window), _blurred(y, window)
    xx, yy, xy = mean_x.square(), mean_y.square(), mean_x * mean_y
    var_x, var_y = _blurred(x * x, window) - xx, _blurred(y * y, window) - yy
    covariance = _blurred(x * y, window) - xy
    contrast = (2 * covariance + _C2) / (var_x + var_y + _C2)
    luminance = (2 * xy + _C1) / (xx + yy + _C1)
    return (luminance * contrast).flatten(1).mean(1), contrast.flatten(1).mean(1)


def _blurred(x: Tensor, window: int) -> Tensor:
    """Computes means under a Gaussian window, where it lies inside the image."""
    at = torch.arange(window, device=x.device, dtype=x.dtype) - (window - 1) / 2
    kernel = torch.softmax(-0.5 * (at / _SIGMA).square(), 0)
    rows = x.flatten(0, 1).unsqueeze(1)
    down = F.conv2d(F.conv2d(rows, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return down.view(*x.shape[:2], *down.shape[-2:])


def _log(values: Tensor) -> Tensor:
    tangent = (values - _LOW) / _LOW + torch.tensor(_LOW, device=values.device).log()
    return torch.where(values > _LOW, values.clamp_min(_LOW).log(), tangent)


def dissimilarity(window: int = 11, n_scales: int = 5) -> NamedTerm:
    """Makes the term 1 - MS-SSIM of x and the mean of p(x|z): 0 for images that look the same.

    Learning to Generate Images with Perceptual Similarity Metrics (Snell et al., 2017),
    https://arxiv.org/abs/1511.06409. A pure number, so that its weight has a unit.

    Args:
        window, n_scales: as of ``ms_ssim``.
    """

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        mean = output.x_dist.mean
        target = batch.target.expand_as(mean)
        alike = ms_ssim(mean.flatten(0, 1), target.flatten(0, 1), window, n_scales)
        return 1 - alike.view(mean.shape[:2])

    def demand(output: Output) -> str | None:
        if output.x_dist.mean.dim() == 5:
            return None
        return "is for images and these data are rows of numbers; use reconstruction"

    if window < 1 or window % 2 == 0:
        raise IncompatibleError(f"the window must be an odd number of pixels, got {window}")
    if not 1 <= n_scales <= len(SCALE_WEIGHTS):
        raise IncompatibleError(f"there are 1 to {len(SCALE_WEIGHTS)} scales, got {n_scales}")
    return NamedTerm(compute, unit=ANY, demand=demand)
