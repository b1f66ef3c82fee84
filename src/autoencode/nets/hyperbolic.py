"""Layers between points of a Poincaré ball and a decoder for flat space."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autoencode.distributions import PoincareBall


class LogMap(nn.Module):
    """A map of points z (N, Z) of the ball to tangent vectors at its centre, (N, Z)."""

    def __init__(self, ball: PoincareBall) -> None:
        super().__init__()
        self.ball = ball

    def forward(self, z: Tensor) -> Tensor:
        wide = self.ball.inside(z.double())
        return self.ball.log(torch.zeros_like(wide), wide).to(z.dtype)


class Gyroplanes(nn.Module):
    """A layer of signed distances (N, U) of points z (N, Z) to hyperplanes, times the normals' lengths.

    Continuous Hierarchical Representations with Poincaré Variational Auto-Encoders (Mathieu et al.,
    2019), section 3.2, https://arxiv.org/abs/1901.06033. In flat space it is a linear layer.

    Args:
        ball: the space.
        dim: Z.
        units: U.
    """

    def __init__(self, ball: PoincareBall, dim: int, units: int) -> None:
        super().__init__()
        self.ball = ball
        self.normals = nn.Parameter((2 * torch.rand(units, dim) - 1) / dim**0.5)
        # Tangent vectors at the centre, of which the hyperplanes' points are made.
        self.offsets = nn.Parameter(0.1 * torch.randn(units, dim))

    def forward(self, z: Tensor) -> Tensor:
        ball, normals = self.ball, self.normals.double()
        points = ball.exp(torch.zeros_like(normals), self.offsets.double())
        y = ball.add(-points, ball.inside(z.double()).unsqueeze(-2))
        length = normals.square().sum(-1).clamp_min(1e-20).sqrt()
        along = (y * normals).sum(-1) / length
        rest = 1 - ball.curvature * y.square().sum(-1)
        apart = torch.asinh(2 * ball.root * along / rest) / ball.root
        return (length * apart).to(z.dtype)


class DecoderAfter(nn.Module):
    """A decoder that reads z through another module.

    Args:
        first: z (N, Z) to (N, F).
        decoder: (N, F) to params.
    """

    def __init__(self, first: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.first, self.decoder = first, decoder
        if hasattr(decoder, "set_output_bias"):
            self.set_output_bias = decoder.set_output_bias

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        flat = self.first(z)
        params: Tensor = self.decoder(flat) if context is None else self.decoder(flat, context)
        return params
