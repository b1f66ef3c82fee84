"""A latent whose prior depends on another latent above it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from autoencode.distributions import Normal
from autoencode.errors import IncompatibleError
from autoencode.types import Distribution


class Stacked:
    """p(z) with p(z|u) p(u): the prior of the lower of two latents.

    Args:
        top: p(u).
        below: u (..., U) to p(z|u).
    """

    def __init__(self, top: Distribution, below: Callable[[Tensor], Normal]) -> None:
        self.top, self.below = top, below

    @property
    def mean(self) -> Tensor:
        """Of p(z|u) at the mean of u."""
        return self.below(self.top.mean).mean

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws of z, (*sample_shape, Z)."""
        return self.below(self.top.rsample(sample_shape)).rsample()

    def log_prob(self, value: Tensor) -> Tensor:
        """Raises ``IncompatibleError``: the integral over u has no closed form."""
        raise IncompatibleError("the density of a stacked prior needs both latents; use the sites")
