"""Bottlenecks without noise."""

from __future__ import annotations

from torch import Tensor, nn

from autoencode.types import Distribution, Latent


class Plain(nn.Module):
    """z = activation(project(h)).

    Args:
        project: features (B, F) to latents (B, *Z); the identity when the encoder's output is the
            code already (a feature map, or a network of the user's own).
        activation: bounds the code (``nn.Tanh()``) or keeps it positive (``nn.ReLU()``).
    """

    def __init__(self, project: nn.Module | None = None, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.project = project or nn.Identity()
        self.activation = activation or nn.Identity()

    def forward(self, h: Tensor, prior: Distribution | None, n_samples: int = 1) -> Latent:
        z = self.embed(h).unsqueeze(0)
        return Latent(z if n_samples == 1 else z.expand(n_samples, *z.shape[1:]))

    def embed(self, h: Tensor) -> Tensor:
        """Features (B, F) to latents (B, *Z)."""
        z: Tensor = self.activation(self.project(h))
        return z
