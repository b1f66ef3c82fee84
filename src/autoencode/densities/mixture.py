"""A mixture of Gaussians."""

from __future__ import annotations

import torch
from torch import Tensor

from autoencode.distributions import Normal
from autoencode.randomness import standard_normal, uniform_like


class NormalMixture:
    """sum_k w_k N(loc_k, diag(scale_k²)) over vectors.

    Args:
        components: a Gaussian with batch shape (K,) and event shape (Z,).
        logits: (K,) logarithms of the weights, up to a constant; equal weights when ``None``.

    >>> one = NormalMixture(Normal(torch.zeros(1, 2), torch.zeros(1, 2)))
    >>> round(one.log_prob(torch.zeros(2)).item(), 4)
    -1.8379
    """

    def __init__(self, components: Normal, logits: Tensor | None = None) -> None:
        self.components = components
        n = len(components.loc)
        self.log_weights = components.loc.new_zeros(n) if logits is None else logits
        self.log_weights = self.log_weights.log_softmax(0)

    @property
    def mean(self) -> Tensor:
        return self.log_weights.exp() @ self.components.loc

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of (..., Z) in nats."""
        each = self.components.log_prob(value.unsqueeze(-2))
        return (each + self.log_weights).logsumexp(-1)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws (*sample_shape, Z), differentiable in the components but not in the weights."""
        like = self.components.loc.new_empty((*sample_shape, 1))
        u = uniform_like(like) if sample_shape else torch.rand_like(like)
        chosen = torch.searchsorted(self.log_weights.exp().cumsum(0).detach(), u[..., 0])
        chosen = chosen.clamp_max(len(self.log_weights) - 1)
        loc = self.components.loc[chosen]
        scale = self.components.log_scale.expand_as(self.components.loc)[chosen].exp()
        return torch.addcmul(loc, standard_normal(tuple(loc.shape), loc, loc.dim() - 2), scale)
