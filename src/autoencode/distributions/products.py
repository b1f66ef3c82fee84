"""Distributions of several latents: independent ones side by side, and one given another."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from autoencode.distributions.basic import Normal
from autoencode.errors import IncompatibleError
from autoencode.types import Distribution


class Joined:
    """The product of distributions over vectors, whose draws stand side by side.

    Args:
        parts: by name; the names are those of the sites.
    """

    def __init__(self, parts: Mapping[str, Distribution]) -> None:
        self.parts = dict(parts)

    @property
    def mean(self) -> Tensor:
        return torch.cat([part.mean for part in self.parts.values()], dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Computes the log-density of (..., Z) in nats."""
        pieces = value.split([part.mean.shape[-1] for part in self.parts.values()], dim=-1)
        densities = [p.log_prob(v) for p, v in zip(self.parts.values(), pieces, strict=True)]
        return sum(densities[1:], start=densities[0])

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws samples (*sample_shape, Z)."""
        return torch.cat([part.rsample(sample_shape) for part in self.parts.values()], dim=-1)


class Stacked:
    """The marginal p(z) of p(z|u) p(u): the prior of the lower of two latents.

    Args:
        top: p(u).
        below: u (..., U) to p(z|u).
    """

    def __init__(self, top: Distribution, below: Callable[[Tensor], Normal]) -> None:
        self.top, self.below = top, below

    @property
    def mean(self) -> Tensor:
        """Mean of p(z|u) at the mean of u."""
        return self.below(self.top.mean).mean

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws samples of z, (*sample_shape, Z)."""
        return self.below(self.top.rsample(sample_shape)).rsample()

    def log_prob(self, value: Tensor) -> Tensor:
        """Raises ``IncompatibleError``: the integral over u has no closed form."""
        raise IncompatibleError("the density of a stacked prior needs both latents; use the sites")
