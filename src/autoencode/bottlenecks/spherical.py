"""A bottleneck whose codes lie on the unit sphere."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencode.distributions import PowerSpherical, VonMisesFisher
from autoencode.distributions.basic import full_precision
from autoencode.errors import IncompatibleError
from autoencode.types import Distribution, Latent, Site

_MOST = 1e4  # concentration; draws are the mean direction to three digits


class OnSphere(nn.Module):
    """A bottleneck whose q(z|x) is around a mean direction on the unit sphere.

    Hyperspherical Variational Auto-Encoders (Davidson et al., 2018), https://arxiv.org/abs/1804.00891

    Args:
        features: width of the encoder's output.
        latent_dim: dimensions of the space around the sphere, at least 2.
        density: ``VonMisesFisher`` or ``PowerSpherical``.
    """

    def __init__(
        self,
        features: int,
        latent_dim: int,
        density: Callable[[Tensor, Tensor], VonMisesFisher | PowerSpherical] = VonMisesFisher,
    ) -> None:
        super().__init__()
        if latent_dim < 2:
            raise IncompatibleError(
                f"a sphere needs at least 2 dimensions around it, got {latent_dim}; "
                "use latent_dim=2 or more"
            )
        self.density = density
        self.heads = nn.Linear(features, latent_dim + 1)

    def posterior(self, h: Tensor) -> VonMisesFisher | PowerSpherical:
        """Computes q(z|x) of features (B, F)."""
        out = full_precision(self.heads(h))
        # At least 1, as in the original: below it draws hardly depend on the direction.
        concentration = (F.softplus(out[..., -1:]) + 1).clamp_max(_MOST)
        return self.density(F.normalize(out[..., :-1], dim=-1, eps=1e-6), concentration)

    def forward(self, h: Tensor, prior: Distribution | None, n_samples: int = 1) -> Latent:
        if prior is None:
            raise IncompatibleError("codes on a sphere need a prior; pass UniformOnSphere(dim)")
        q = self.posterior(h)
        z = q.rsample(torch.Size((n_samples,)))
        return Latent(z, sites={"z": Site(z, q, prior)})

    def embed(self, h: Tensor) -> Tensor:
        """Computes the mean direction, (B, latent_dim)."""
        return self.posterior(h).loc
