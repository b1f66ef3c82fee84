"""Distances between the codes of a batch and draws from the prior, as regularisers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from autoencode.errors import IncompatibleError
from autoencode.objectives.terms import ANY, NamedTerm
from autoencode.parallel import global_batch
from autoencode.randomness import standard_normal
from autoencode.types import Batch, Model, Output, Progress

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def kernel(a: Tensor, b: Tensor) -> Tensor:
    """Computes the kernel c / (c + |a - b|²) of all pairs (N, M), summed over c = 2 Z s.

    ``s`` runs from 0.1 to 10 (``SCALES``), Z is the width of a and b; for a prior of unit variance.
    """
    # |a|² + |b|² - 2ab would take less memory and lose the small distances.
    squares = (a[:, None] - b[None]).square().sum(-1)
    total = torch.zeros_like(squares)
    for scale in SCALES:
        c = 2.0 * a.shape[1] * scale
        total = total + c / (c + squares)
    return total


def squared_mmd(a: Tensor, b: Tensor, unbiased: bool = True) -> Tensor:
    """Computes the squared maximum mean discrepancy of two samples (N, Z), under ``kernel``.

    Args:
        a, b: the samples.
        unbiased: leave out the pairs of a point with itself (the U-statistic, which may be negative);
            else it is 0 for equal samples.

    >>> z = torch.randn(8, 2)
    >>> squared_mmd(z, z, unbiased=False).item()
    0.0
    """
    n = len(a)
    between = kernel(a, b).mean()
    aa, bb = kernel(a, a), kernel(b, b)
    if not unbiased:
        return aa.mean() + bb.mean() - 2 * between
    pairs = n * (n - 1)
    within = aa.sum() - aa.diagonal().sum() + bb.sum() - bb.diagonal().sum()
    return within / pairs - 2 * between


def squared_sliced_wasserstein(a: Tensor, b: Tensor, directions: Tensor) -> Tensor:
    """Computes the squared 2-Wasserstein distance of projected samples, averaged over directions.

    Args:
        a, b: samples (N, Z) of one size.
        directions: (L, Z) of any length but zero.

    >>> squared_sliced_wasserstein(torch.zeros(3, 1), torch.full((3, 1), 2.0), torch.ones(1, 1)).item()
    4.0
    """
    unit = F.normalize(directions, dim=1).T
    # In one dimension the best transport keeps the order.
    gaps = (a @ unit).sort(dim=0).values - (b @ unit).sort(dim=0).values
    return gaps.square().mean()


def prior_draws(model: Model, n: int) -> Tensor:
    """Draws z from a model's prior, (n, *Z), without gradients.

    Raises:
        IncompatibleError: when it has none.
    """
    draw = getattr(model, "sample_latent", None)
    if draw is None:
        raise IncompatibleError("comparing codes with a prior needs a model that has one")
    drawn: Tensor = draw(n)
    return drawn


def _codes_and_draws(model: Model, output: Output) -> tuple[Tensor, Tensor]:
    """Returns the codes of the whole batch and as many draws from the prior, (B, Z)."""
    z = output.latent.z[0].flatten(1)
    return global_batch(z), global_batch(prior_draws(model, len(z)).flatten(1))


def mmd(unit: str = ANY, unbiased: bool = True) -> NamedTerm:
    """Makes the term of the MMD between the codes of the batch and as many draws from the prior.

    Wasserstein Auto-Encoders (Tolstikhin et al., 2018), https://arxiv.org/abs/1711.01558

    Args:
        unit: of the terms beside it; the discrepancy is a pure number, and its weight has the unit.
        unbiased: see ``squared_mmd``.
    """

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        z, draws = _codes_and_draws(model, output)
        if unbiased and len(z) == 1:  # one code has no discrepancy; an epoch may end with one example
            return 0.0 * z.sum()
        return squared_mmd(z, draws, unbiased)

    return NamedTerm(compute, unit)


#: The estimate without bias, beside terms of any unit.
prior_mmd = mmd()


def sliced_wasserstein(n_directions: int = 50) -> NamedTerm:
    """Makes the term of the sliced Wasserstein distance between codes and draws from the prior.

    Sliced-Wasserstein Autoencoder (Kolouri et al., 2018), https://arxiv.org/abs/1804.01947

    Args:
        n_directions: random projections, drawn anew at every step.
    """

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        z, draws = _codes_and_draws(model, output)
        directions = standard_normal((n_directions, z.shape[1]), z)
        return squared_sliced_wasserstein(z, draws, directions)

    return NamedTerm(compute, ANY)
