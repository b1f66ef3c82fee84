"""A mixture of Gaussians with diagonal covariances."""

from __future__ import annotations

import torch
from torch import Tensor

from autoencode.distributions.basic import LOG_2PI, Normal
from autoencode.randomness import standard_normal, uniform_entries, uniform_like


class NormalMixture:
    """The mixture sum_k w_k N(loc_k, diag(scale_k²)) over vectors.

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
        """Computes the log-density of (..., Z) in nats."""
        return (self._each(value) + self.log_weights).logsumexp(-1)

    def _each(self, value: Tensor) -> Tensor:
        """Computes the log-density of (..., Z) in each component, (..., K).

        As matrix products, ``(z - m)² / s² = z² / s² - 2 z m / s² + m² / s²``: without them K Z numbers
        for each z would be written and read many times. In float64, where the terms may cancel.
        """
        wide = torch.float32 if value.device.type == "mps" else torch.float64
        z, loc = value.to(wide), self.components.loc.to(wide)
        log_scale = self.components.log_scale.to(wide).expand_as(loc)
        precision = (-2 * log_scale).exp()
        distance = z.square() @ precision.T - z @ (2 * loc * precision).T
        distance = distance + (loc.square() * precision).sum(-1)
        constant = -log_scale.sum(-1) - 0.5 * loc.shape[-1] * LOG_2PI
        return (constant - 0.5 * distance).to(value.dtype)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws samples (*sample_shape, Z), differentiable in the components but not in the weights."""
        like = self.components.loc.new_empty((*sample_shape, 1))
        u = uniform_like(like) if sample_shape else uniform_entries(like)
        chosen = torch.searchsorted(self.log_weights.exp().cumsum(0).detach(), u[..., 0])
        chosen = chosen.clamp_max(len(self.log_weights) - 1)
        loc = self.components.loc[chosen]
        scale = self.components.log_scale.expand_as(self.components.loc)[chosen].exp()
        return torch.addcmul(loc, standard_normal(tuple(loc.shape), loc, loc.dim() - 2), scale)
