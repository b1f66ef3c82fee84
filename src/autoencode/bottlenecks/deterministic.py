"""Bottlenecks without noise."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from autoencode.types import Distribution, Latent


class Plain(nn.Module):
    """The deterministic bottleneck z = activation(project(h)).

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
        """Turns features (B, F) into latents (B, *Z)."""
        z: Tensor = self.activation(self.project(h))
        return z


class UnitSphere(nn.Module):
    """An activation that centres each code and scales it to length 1.

    Latent Variables on Spheres for Autoencoders in High Dimensions (Zhao et al., 2019),
    https://arxiv.org/abs/1912.10233

    >>> round(UnitSphere()(torch.tensor([[1.0, 3.0, 2.0]])).norm().item(), 6)
    1.0
    """

    def forward(self, h: Tensor) -> Tensor:
        # Entries that are all the same have no direction; they stay at 0.
        return F.normalize(h - h.mean(-1, keepdim=True), dim=-1, eps=1e-6)
