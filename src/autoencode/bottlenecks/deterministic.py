"""Bottlenecks without noise."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencode.types import Distribution, Latent

# Where an activation is a line, or nearly: the middle of the codes, and their standard deviation.
_NEARLY_LINEAR: dict[type[nn.Module], tuple[float, float]] = {
    nn.Identity: (0.0, 1.0),
    nn.ReLU: (4.0, 1.0),
    nn.Tanh: (0.0, 0.05),
    nn.Sigmoid: (0.0, 0.1),
}


class Plain(nn.Module):
    """The deterministic bottleneck z = activation(project(h)).

    Args:
        project: features (B, F) to latents (B, *Z); the identity when the encoder's output is the
            code already (a feature map, or a network of the user's own).
        activation: bounds the code (``nn.Tanh()``) or keeps it positive (``nn.ReLU()``).
        n_passed: so many features, the last ones, follow that code as they are.
    """

    def __init__(
        self,
        project: nn.Module | None = None,
        activation: nn.Module | None = None,
        n_passed: int = 0,
    ) -> None:
        super().__init__()
        self.n_passed = n_passed
        self.project = project or nn.Identity()
        self.activation = activation or nn.Identity()

    def forward(self, h: Tensor, prior: Distribution | None, n_samples: int = 1) -> Latent:
        z = self.embed(h).unsqueeze(0)
        return Latent(z if n_samples == 1 else z.expand(n_samples, *z.shape[1:]))

    def embed(self, h: Tensor) -> Tensor:
        """Turns features (B, F) into latents (B, *Z)."""
        if self.n_passed:
            h, passed = h[:, : -self.n_passed], h[:, -self.n_passed :]
            return torch.cat([self.activation(self.project(h)), passed], dim=1)
        z: Tensor = self.activation(self.project(h))
        return z

    stochastic = False

    @property
    def latent_dim(self) -> int:
        """Width of a code that a linear layer makes, else 0."""
        weight = getattr(self.project, "weight", None)
        made = weight.shape[0] if isinstance(weight, Tensor) and weight.dim() == 2 else 0
        return made + self.n_passed

    @property
    def can_start(self) -> bool:
        """Whether the code can start at given lines: whether it is nearly linear somewhere."""
        return self.latent_dim > 0 and not self.n_passed and type(self.activation) in _NEARLY_LINEAR

    def start_linear(self, weight: Tensor, bias: Tensor, log_scale: Tensor) -> tuple[float, float]:
        """Sets the code to a linear map of the last features, as nearly as its activation allows.

        Args:
            weight: (latent_dim, L), of the last L features; others count nothing.
            bias: (latent_dim,).
            log_scale: is for codes that are drawn.

        Returns:
            a and b of the code a + b * (weight h + bias).
        """
        at, size = _NEARLY_LINEAR[type(self.activation)]
        with torch.no_grad():
            set_last(self.project, size * weight, size * bias + at)
            low, middle, high = self.activation(torch.tensor([at - size, at, at + size])).tolist()
        return middle, (high - low) / 2


def set_last(layer: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Sets a linear layer to ``weight`` (outputs, L) of its last L inputs, and to zero of others."""
    inputs: Tensor = layer.weight  # type: ignore[assignment]
    inputs.zero_()
    inputs[:, inputs.shape[1] - weight.shape[1] :] = weight
    layer.bias.copy_(bias)  # type: ignore[operator]


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
