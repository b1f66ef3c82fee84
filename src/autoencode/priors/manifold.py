"""A prior on the manifold that a learned metric describes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autoencode.distributions import InverseMetric, hamiltonian_monte_carlo
from autoencode.errors import IncompatibleError
from autoencode.priors.gaussian import Posterior
from autoencode.randomness import integers
from autoencode.types import Distribution

_MOVES, _STEPS = 100, 15  # of a chain
_STEP = 0.2  # in units of the metric's reach, over the root of the latent's width


class Manifold(nn.Module):
    """The prior with density proportional to sqrt(det G^-1(z)), which is high near the data's codes.

    Data Generation in Low Sample Size Setting Using Manifold Sampling and a Geometry-Aware VAE
    (Chadebec & Allassonniere, 2021), https://arxiv.org/abs/2105.00026. Draws are ends of Markov chains
    of Hamiltonian Monte Carlo that begin at centroids. Far from all centroids the density is small but
    does not fall, so that it has no integral over all of space; chains of this length stay near where
    they began.

    Args:
        n_centroids: K.
        dim: Z.
    """

    kind = "manifold"
    centroids: Tensor
    matrices: Tensor
    figures: Tensor

    def __init__(self, n_centroids: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("centroids", torch.zeros(n_centroids, dim))
        self.register_buffer("matrices", torch.eye(dim).repeat(n_centroids, 1, 1))
        # Temperature and regularisation.
        self.register_buffer("figures", torch.ones(2))

    @classmethod
    def from_metric(cls, metric: InverseMetric) -> Manifold:
        """Makes the prior of a metric with its current values."""
        there = metric.matrices.flatten(1).any(1)
        centroids, matrices = metric.centroids[there], metric.matrices[there]
        prior = cls(*metric.centroids.shape).to(centroids)
        # Places that no example took are given to the first once more, which adds nothing.
        n = len(centroids)
        with torch.no_grad():
            prior.centroids[:n], prior.matrices[:n] = centroids, matrices
            prior.centroids[n:], prior.matrices[n:] = centroids[0], 0
            prior.figures[0], prior.figures[1] = metric.temperature, metric.regularization
        return prior

    @property
    def metric(self) -> InverseMetric:
        """The inverse metric G^-1."""
        temperature, regularization = self.figures.tolist()
        return InverseMetric(self.centroids, self.matrices, temperature, regularization)

    def forward(self, posterior: Posterior | None, context: Tensor | None) -> Distribution:
        return _OnManifold(self.metric)


class _OnManifold:
    """The distribution whose density is the volume of a metric."""

    def __init__(self, metric: InverseMetric) -> None:
        self._metric = metric
        self._there = metric.matrices.flatten(1).any(1).nonzero().squeeze(1)

    @property
    def mean(self) -> Tensor:
        return self._metric.centroids[self._there].mean(0)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws samples (*sample_shape, Z), each the end of a chain of its own."""
        metric, n = self._metric, sample_shape.numel()
        begin = integers(len(self._there), n, metric.centroids.device)
        start = metric.centroids[self._there[begin]]
        step = _STEP * metric.temperature / start.shape[-1] ** 0.5
        z = hamiltonian_monte_carlo(metric.log_volume, start, _MOVES, _STEPS, step)
        return z.reshape(*sample_shape, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        raise IncompatibleError("a manifold prior has a density up to its integral only; use maf")
