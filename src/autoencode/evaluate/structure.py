"""Structural similarity of images and their reconstructions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autoencode.evaluate.case import Case
from autoencode.evaluate.measures import Figure, Measure, Result
from autoencode.evaluate.metrics import standard_error

_WIDEST, _SIGMA, _K1, _K2 = 11, 1.5, 0.01, 0.03
_CHUNK_ENTRIES = 1 << 21  # of x, in one pass: the moments take several times that


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Computes the mean structural similarity of pairs of images, (B,).

    Image Quality Assessment: From Error Visibility to Structural Similarity (Wang et al., 2004),
    https://doi.org/10.1109/TIP.2003.819861: a Gaussian window of 11 x 11 pixels (the largest odd one
    that fits, for smaller images) and standard deviation 1.5, K1 = 0.01, K2 = 0.03, wherever the window
    lies inside the image; channels each by themselves.

    Args:
        a, b: (B, C, H, W) in [0, 1].

    >>> x = torch.rand(2, 3, 20, 20)
    >>> ssim(x, x).tolist()
    [1.0, 1.0]
    """
    channels, height, width = a.shape[1:]
    taps = _window(min(_WIDEST, height - 1 + height % 2, width - 1 + width % 2), a)

    def local(x: Tensor) -> Tensor:
        rows = taps.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
        blurred = F.conv2d(x, rows, groups=channels)
        return F.conv2d(blurred, rows.transpose(2, 3), groups=channels)

    mean_a, mean_b = local(a), local(b)
    variance_a = local(a.square()) - mean_a.square()
    variance_b = local(b.square()) - mean_b.square()
    covariance = local(a * b) - mean_a * mean_b
    c1, c2 = _K1**2, _K2**2
    likeness = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    most = (mean_a.square() + mean_b.square() + c1) * (variance_a + variance_b + c2)
    return (likeness / most).flatten(1).mean(1)


def _window(size: int, like: Tensor) -> Tensor:
    places = torch.arange(size, device=like.device, dtype=like.dtype) - (size - 1) / 2
    weights = torch.exp(-places.square() / (2 * _SIGMA**2))
    return weights / weights.sum()


def _measured(case: Case) -> Result:
    size = max(1, _CHUNK_ENTRIES // case.trained.spec.size)
    found = []
    for batch in case.batches(size):
        guess = case.trained.model.reconstruct(batch.x, batch.context)
        found.append(ssim(batch.x, guess.clamp(0, 1)).cpu())
    each = torch.cat(found).double()
    side = min(_WIDEST, *case.trained.spec.shape[1:])
    window = side if side % 2 else side - 1
    how = f"window of {window} x {window} pixels, each channel by itself"
    return Result({"ssim": float(each.mean())}, {"ssim": standard_error(each)}, how)


def _no_images(case: Case) -> str | None:
    spec = case.trained.spec
    if spec.layout != "image":
        return "the data are no images"
    if spec.kind != "unit" or spec.gaps:
        return "it needs pixels in [0, 1] without gaps"
    return None


SIMILARITY = Measure(
    "ssim",
    (
        Figure(
            "ssim",
            "-1 to 1",
            "structural similarity of images and reconstructions, 1 if equal",
            "higher",
        ),
    ),
    _measured,
    _no_images,
    source="Image Quality Assessment: From Error Visibility to Structural Similarity (Wang et al., "
    "2004), https://doi.org/10.1109/TIP.2003.819861",
)
