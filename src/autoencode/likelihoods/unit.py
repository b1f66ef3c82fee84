"""Likelihoods of entries in [0, 1]: Bernoulli and the continuous Bernoulli."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autoencode.distributions import basic as distributions
from autoencode.likelihoods.continuous import SIGMOID
from autoencode.likelihoods.entries import Entries
from autoencode.randomness import uniform_entries
from autoencode.types import Observation

# Around logit 0 the closed forms are 0/0; a Taylor series stands there. Error below 1e-7 at the seam.
_NEAR_ZERO = 0.3


class Bernoulli(nn.Module):
    """A likelihood of independent Bernoulli entries for data in [0, 1]; params are logits.

    Args:
        event_dims: number of axes of one example.
    """

    n_params = 1
    discrete = True  # of values that are 0 or 1

    def __init__(self, event_dims: int) -> None:
        super().__init__()
        self.event_dims = event_dims

    def forward(self, params: Tensor) -> Observation:
        return distributions.Bernoulli(distributions.full_precision(params), self.event_dims)

    def params_for_mean(self, mean: Tensor) -> Tensor:
        """Computes the logits (*D) for which p(x|z) has the mean ``mean``."""
        return SIGMOID.inverse(mean)


class ContinuousBernoulli(nn.Module):
    """A likelihood with density on [0, 1] proportional to p^x (1 - p)^(1 - x), for grey data.

    The continuous Bernoulli: fixing a pervasive error in variational autoencoders (Loaiza-Ganem &
    Cunningham, 2019), https://arxiv.org/abs/1907.06845

    Args:
        event_dims: number of axes of one example.
    """

    n_params = 1

    def __init__(self, event_dims: int) -> None:
        super().__init__()
        self.event_dims = event_dims

    def forward(self, params: Tensor) -> Observation:
        return ContinuousBernoulliObservation(distributions.full_precision(params), self.event_dims)

    def params_for_mean(self, mean: Tensor) -> Tensor:
        """Computes the logits (*D) for which p(x|z) has the mean ``mean``."""
        target = mean.clamp(1e-3, 1 - 1e-3)
        low, high = torch.full_like(target, -1e4), torch.full_like(target, 1e4)
        for _ in range(60):  # the mean grows with the logit
            middle = (low + high) / 2
            above = _mean(middle) > target
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return (low + high) / 2


class ContinuousBernoulliObservation(Entries):
    """A distribution of continuous Bernoulli entries with logits ``log(p / (1 - p))``."""

    def __init__(self, logits: Tensor, event_dims: int) -> None:
        super().__init__(event_dims)
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        return _mean(self.logits)

    def each(self, target: Tensor) -> Tensor:
        # log p(x) = x l - log((e^l - 1) / l)
        return target * self.logits - _log_integral(self.logits)

    def sample(self) -> Tensor:
        """Draws one x for each z, by inverting the distribution function."""
        u = uniform_entries(self.logits)
        size = self.logits.abs().clamp_min(1e-3)
        # On the side of positive logits, mirrored for the others.
        x = 1 + torch.log(u + (1 - u) * (-size).exp()) / size
        x = torch.where(self.logits < 0, 1 - x, x)
        return torch.where(self.logits.abs() < 1e-3, u, x).clamp(0, 1)


def _mean(logits: Tensor) -> Tensor:
    """Computes the mean 1 / (1 - e^-l) - 1 / l at logits l."""
    near = logits.abs() < _NEAR_ZERO
    safe = torch.where(near, torch.ones_like(logits), logits)
    far = -1 / torch.expm1(-safe) - 1 / safe
    square = logits.square()
    series = 0.5 + logits * (1 / 12 - square * (1 / 720 - square / 30240))
    return torch.where(near, series, far)


def _log_integral(logits: Tensor) -> Tensor:
    """Computes the log of the integral of e^(l x) over [0, 1]: log((e^l - 1) / l)."""
    near = logits.abs() < _NEAR_ZERO
    size = torch.where(near, torch.ones_like(logits), logits.abs())
    far = logits.clamp_min(0) + torch.log(-torch.expm1(-size)) - size.log()
    square = logits.square()
    series = logits / 2 + square * (1 / 24 - square * (1 / 2880 - square / 181440))
    return torch.where(near, series, far)
