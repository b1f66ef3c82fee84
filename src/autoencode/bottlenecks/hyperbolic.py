"""A bottleneck whose codes lie in hyperbolic space."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autoencode.bottlenecks.gaussian import MAX_LOG_SCALE
from autoencode.distributions import PoincareBall, WrappedNormal
from autoencode.distributions.basic import full_precision
from autoencode.errors import IncompatibleError
from autoencode.types import Distribution, Latent, Site


class InPoincareBall(nn.Module):
    """A bottleneck whose q(z|x) is a Gaussian wrapped onto the Poincaré ball.

    Continuous Hierarchical Representations with Poincaré Variational Auto-Encoders (Mathieu et al.,
    2019), https://arxiv.org/abs/1901.06033. The encoder's location is a tangent vector at the centre;
    in flat space z is twice as short as it.

    Args:
        features: width of the encoder's output.
        latent_dim: width of z.
        ball: the space.
    """

    #: What codes are points of, for those who would fit a distribution over flat space to them.
    space = "a Poincaré ball"

    def __init__(self, features: int, latent_dim: int, ball: PoincareBall) -> None:
        super().__init__()
        self.ball = ball
        self.heads = nn.Linear(features, 2 * latent_dim)

    def posterior(self, h: Tensor) -> WrappedNormal:
        """Computes q(z|x) of features (B, F)."""
        tangent, log_scale = full_precision(self.heads(h)).chunk(2, dim=-1)
        wide = tangent.double()
        loc = self.ball.exp(torch.zeros_like(wide), wide).to(tangent.dtype)
        log_scale = log_scale.clamp(-MAX_LOG_SCALE, MAX_LOG_SCALE)
        return WrappedNormal(self.ball.inside(loc), log_scale, self.ball)

    def forward(self, h: Tensor, prior: Distribution | None, n_samples: int = 1) -> Latent:
        if prior is None:
            raise IncompatibleError("codes in a ball need a prior; pass HyperbolicNormal(dim, ball)")
        q = self.posterior(h)
        z = q.rsample(torch.Size((n_samples,)))
        return Latent(z, sites={"z": Site(z, q, prior)})

    def embed(self, h: Tensor) -> Tensor:
        """Computes the centre of q(z|x), (B, latent_dim)."""
        return self.posterior(h).loc
