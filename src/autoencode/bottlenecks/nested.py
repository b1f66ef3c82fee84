"""Bottlenecks made of bottlenecks: side by side, or one above the other."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from autoencode.bottlenecks.gaussian import DiagonalGaussian
from autoencode.distributions import Joined, Stacked
from autoencode.distributions.basic import Normal
from autoencode.errors import IncompatibleError
from autoencode.types import Distribution, Latent, Site


class SideBySide(nn.Module):
    """A bottleneck that puts the latents of several bottlenecks over the same features side by side.

    Args:
        parts: by name, the names of the sites; each has one site.
    """

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(dict(parts))

    def forward(self, h: Tensor, prior: Distribution | None, n_samples: int = 1) -> Latent:
        if not isinstance(prior, Joined):
            raise IncompatibleError("latents side by side need a prior for each; pass JoinedPrior")
        sites: dict[str, Site] = {}
        for name, part in self.parts.items():
            latent: Latent = part(h, prior.parts[name], n_samples)
            (sites[name],) = latent.sites.values()
        return Latent(torch.cat([site.z for site in sites.values()], dim=-1), sites)

    def embed(self, h: Tensor) -> Tensor:
        """Computes the codes of the parts side by side, (B, Z)."""
        return torch.cat([part.embed(h) for part in self.parts.values()], dim=-1)  # type: ignore[operator]


class _Sampled:
    """A Gaussian whose KL is estimated from its draws alone.

    A draw of the upper latent depends on the lower one, so that the closed form of KL(q(z|x) || p(z|u))
    at that u is not the expectation that the bound asks for.
    """

    def __init__(self, base: Normal) -> None:
        self._base = base
        self.mean, self.rsample, self.log_prob = base.mean, base.rsample, base.log_prob

    def detached(self) -> _Sampled:
        return _Sampled(self._base.detached())


class TwoLayers(nn.Module):
    """A bottleneck of two stochastic layers, q(z|x) q(u|z) under p(u) p(z|u); the decoder reads z.

    Importance Weighted Autoencoders (Burda et al., 2015), section 5, https://arxiv.org/abs/1509.00519

    Args:
        lower: q(z|x) of the encoder's features.
        network: z (N, Z) to features (N, F).
        upper: q(u|z) of those features.
    """

    def __init__(self, lower: DiagonalGaussian, network: nn.Module, upper: DiagonalGaussian) -> None:
        super().__init__()
        self.lower, self.network, self.upper = lower, network, upper

    def forward(self, h: Tensor, prior: Distribution | None, n_samples: int = 1) -> Latent:
        if not isinstance(prior, Stacked):
            raise IncompatibleError("two layers need a prior of two layers; pass StackedPrior")
        q_z = self.lower.posterior(h)
        z = q_z.rsample(torch.Size((n_samples,)))
        features = self.network(z.flatten(0, 1))
        q_u = self.upper.posterior(features.view(*z.shape[:2], -1))
        u = q_u.rsample()
        sites = {"z": Site(z, _Sampled(q_z), prior.below(u)), "u": Site(u, q_u, prior.top)}
        return Latent(z, sites)

    def embed(self, h: Tensor) -> Tensor:
        """Computes the mean of q(z|x), (B, Z)."""
        return self.lower.embed(h)
