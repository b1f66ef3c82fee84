"""Distributions of latents that are drawn one after the other, each given those before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from autoencode.distributions.basic import Normal

Choose = Callable[[int, Tensor, Normal], Tensor]


class Path(Protocol):
    """A chain of latents from the top down, each with a prior given those above."""

    def walk(self, n: int, choose: Choose) -> tuple[Tensor, Tensor]:
        """Chooses all latents in turn, side by side (n, Z); returns them and the state below the last.

        Each is chosen by its number, its state and its prior.
        """

    def given(self, z: Tensor) -> Choose:
        """Returns the function for ``walk`` that chooses known latents z (n, Z)."""


class Ancestral:
    """The distribution p(z_L) p(z_{L-1}|z_L) ... of latents side by side.

    Args:
        path: knows the prior of each latent in sight of those above.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def mean(self) -> Tensor:
        """Each latent at its mean given the means above it; not the mean of the joint distribution."""
        return self.path.walk(1, lambda i, state, p: p.mean)[0][0]

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws samples (*sample_shape, Z)."""
        drawn, _ = self.path.walk(sample_shape.numel(), lambda i, state, p: p.rsample())
        return drawn.reshape(*sample_shape, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Computes the log-density of (..., Z), nats: the sum over latents, each given those above."""
        rows = value.reshape(-1, value.shape[-1])
        known, total = self.path.given(rows), [rows.new_zeros(len(rows))]

        def choose(i: int, state: Tensor, p: Normal) -> Tensor:
            z = known(i, state, p)
            total.append(p.log_prob(z))
            return z

        self.path.walk(len(rows), choose)
        return torch.stack(total).sum(0).reshape(value.shape[:-1])
