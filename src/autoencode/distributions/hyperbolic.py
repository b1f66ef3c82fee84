"""Hyperbolic space as the Poincaré ball of curvature -c, and a Gaussian wrapped onto it.

A point z has |z| < 1 / sqrt(c); lengths at z are lambda_z = 2 / (1 - c |z|^2) times Euclidean ones.
Tangent vectors are in orthonormal frames: v of length r leads r away, whatever the point. Computed in
float64, since distances grow with the logarithm of what is left to the border.

Continuous Hierarchical Representations with Poincaré Variational Auto-Encoders (Mathieu et al., 2019),
https://arxiv.org/abs/1901.06033; formulas of Hyperbolic Neural Networks (Ganea et al., 2018),
https://arxiv.org/abs/1805.09112
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autoencode.distributions.basic import Normal
from autoencode.randomness import standard_normal

_BORDER = 1e-5  # share of the radius that nothing comes nearer to the border
_NEAR = 1e-3  # arguments below which a series stands for 0 / 0; its error is below 1e-13


class PoincareBall:
    """The Poincaré ball of curvature -c, with its exponential and logarithmic maps and distances.

    Args:
        curvature: c, above 0.

    >>> ball = PoincareBall(1.0)
    >>> centre, v = torch.zeros(2), torch.tensor([3.0, 0.0])
    >>> round(ball.distance(centre, ball.exp(centre, v)).item(), 4)
    3.0
    """

    def __init__(self, curvature: float) -> None:
        self.curvature = curvature
        self.root = math.sqrt(curvature)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """Adds points (..., Z) by Möbius addition."""
        c = self.curvature
        xy = (x * y).sum(-1, keepdim=True)
        xx, yy = x.square().sum(-1, keepdim=True), y.square().sum(-1, keepdim=True)
        numerator = (1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y
        return numerator / (1 + 2 * c * xy + c * c * xx * yy)

    def inside(self, z: Tensor) -> Tensor:
        """Moves points (..., Z) inside the border of the ball where they are not."""
        most = (1 - _BORDER) / self.root
        return z * (most / _length(z)).clamp_max(1.0)

    def exp(self, point: Tensor, v: Tensor) -> Tensor:
        """Computes the point that a tangent vector v (..., Z) at a point leads to."""
        half = 0.5 * self.root * _length(v)
        return self.inside(self.add(point, 0.5 * _over(half.tanh(), half, -1 / 3) * v))

    def log(self, point: Tensor, z: Tensor) -> Tensor:
        """Computes the tangent vector from a point to z (..., Z); its length is their distance."""
        y = self.add(-point, z)
        size = (self.root * _length(y)).clamp_max(1 - 1e-12)
        return 2 * _over(size.atanh(), size, 1 / 3) * y

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Computes the distance (...) between points (..., Z)."""
        return _length(self.log(x, y)).squeeze(-1)

    def log_conformal(self, z: Tensor) -> Tensor:
        """Computes log lambda_z, (...), of the conformal factor at points (..., Z)."""
        return math.log(2.0) - torch.log1p(-self.curvature * z.square().sum(-1))


class WrappedNormal:
    """The distribution of exp_loc(v) with v from N(0, diag(scale^2)) in the tangent space at ``loc``.

    Densities are with respect to the volume of the ball.

    Args:
        loc: points of the ball, (..., Z).
        log_scale: logarithms of standard deviations, broadcast against ``loc``.
        ball: the space.
    """

    def __init__(self, loc: Tensor, log_scale: Tensor, ball: PoincareBall) -> None:
        self.loc, self.log_scale, self.ball = loc, log_scale, ball

    @property
    def mean(self) -> Tensor:
        """The centre of the distribution, ``loc``."""
        return self.loc

    def detached(self) -> WrappedNormal:
        """Returns this distribution with its parameters held fixed."""
        return WrappedNormal(self.loc.detach(), self.log_scale.detach(), self.ball)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws samples (*sample_shape, ..., Z), differentiable in both parameters."""
        shape = (*sample_shape, *self.loc.shape)
        axis = len(shape) - 2
        noise = standard_normal(shape, self.loc, axis if axis >= 0 else None)
        v = (noise * self.log_scale.exp()).double()
        drawn = self.ball.exp(self.loc.double(), v).to(self.loc.dtype)
        return self.ball.inside(drawn)  # rounding may have led outside

    def log_prob(self, value: Tensor) -> Tensor:
        """Computes the log-density of points (..., Z), nats."""
        v = self.ball.log(self.loc.double(), value.double())
        distance = self.ball.root * _length(v).squeeze(-1)
        flat = Normal(torch.zeros_like(v), self.log_scale.double()).log_prob(v)
        stretch = (v.shape[-1] - 1) * _log_sinhc(distance)
        return (flat - stretch).to(value.dtype)


def _length(x: Tensor) -> Tensor:
    """Computes the lengths (..., 1) of vectors, with gradient 0 at 0."""
    tiny = 1e-30 if x.dtype == torch.float64 else 1e-20
    return x.square().sum(-1, keepdim=True).clamp_min(tiny).sqrt()


def _over(value: Tensor, argument: Tensor, square: float) -> Tensor:
    """Divides an odd function's value f(t) by t; near 0 it takes 1 + square * t^2."""
    near = argument < _NEAR
    safe = torch.where(near, torch.ones_like(argument), argument)
    return torch.where(near, 1 + square * argument.square(), value / safe)


def _log_sinhc(t: Tensor) -> Tensor:
    """Computes log(sinh(t) / t)."""
    near = t < _NEAR
    safe = torch.where(near, torch.ones_like(t), t)
    far = safe + torch.log(-torch.expm1(-2 * safe)) - (2 * safe).log()
    return torch.where(near, t.square() / 6, far)
