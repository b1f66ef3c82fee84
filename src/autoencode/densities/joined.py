"""Independent latents side by side."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

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
        """Log-density of (..., Z) in nats."""
        pieces = value.split([part.mean.shape[-1] for part in self.parts.values()], dim=-1)
        densities = [p.log_prob(v) for p, v in zip(self.parts.values(), pieces, strict=True)]
        return sum(densities[1:], start=densities[0])

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws (*sample_shape, Z)."""
        return torch.cat([part.rsample(sample_shape) for part in self.parts.values()], dim=-1)
