"""The Gaussian bottleneck of variational autoencoders."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autoencode.bottlenecks.deterministic import set_last
from autoencode.distributions import basic as distributions
from autoencode.errors import IncompatibleError
from autoencode.types import Distribution, Latent, Site

# exp(2 * 8) is far inside float32; a posterior this wide or narrow is never wanted, and an
# overflow here would poison every weight.
MAX_LOG_SCALE = 8.0


class DiagonalGaussian(nn.Module):
    """The bottleneck with q(z|x) = N(loc, diag(scale²)) and reparameterised draws.

    Auto-Encoding Variational Bayes (Kingma & Welling, 2013), https://arxiv.org/abs/1312.6114

    Args:
        features: width of the encoder's output.
        latent_dim: width of z.
        activation: bounds ``loc`` (``nn.Tanh()``), nothing by default.
    """

    def __init__(self, features: int, latent_dim: int, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.heads = nn.Linear(features, 2 * latent_dim)
        self.activation = activation or nn.Identity()

    def posterior(self, h: Tensor) -> distributions.Normal:
        """Computes q(z|x) of features (B, F), batch shape (B,), event shape (latent_dim,)."""
        loc, log_scale = distributions.full_precision(self.heads(h)).chunk(2, dim=-1)
        log_scale = log_scale.clamp(-MAX_LOG_SCALE, MAX_LOG_SCALE)
        return distributions.Normal(self.activation(loc), log_scale)

    def forward(self, h: Tensor, prior: Distribution | None, n_samples: int = 1) -> Latent:
        if prior is None:
            raise IncompatibleError(
                "a Gaussian bottleneck needs a prior; pass prior=StandardNormal((latent_dim,))"
            )
        posterior = self.posterior(h)
        z = posterior.rsample(torch.Size((n_samples,)))
        return Latent(z, sites={"z": Site(z, posterior, prior)})

    def embed(self, h: Tensor) -> Tensor:
        """Computes the posterior's mean, (B, latent_dim)."""
        return self.posterior(h).loc

    stochastic = True

    @property
    def can_start(self) -> bool:
        """Whether the code can start at given lines: whether nothing bounds its mean."""
        return type(self.activation) is nn.Identity

    def start_linear(self, weight: Tensor, bias: Tensor, log_scale: Tensor) -> tuple[float, float]:
        """Sets the posterior's mean to a linear map of the last features, and its scale.

        Args:
            weight: (latent_dim, L), of the last L features; others count nothing.
            bias: (latent_dim,).
            log_scale: (latent_dim,) of the posterior, the same for every example.

        Returns:
            a and b of the mean a + b * (weight h + bias): 0 and 1.
        """
        with torch.no_grad():
            scales = log_scale.to(bias)
            set_last(
                self.heads,
                torch.cat([weight, torch.zeros_like(weight)]),
                torch.cat([bias, scales]),
            )
        return 0.0, 1.0
