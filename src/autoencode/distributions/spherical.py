"""Distributions on the unit sphere in m dimensions, around a mean direction.

Both have a density f(t) of ``t = <mean direction, z>`` alone. ``t`` is drawn by inverting its
distribution function on a grid in ``u = atanh(t)``, where the density is smooth and falls off
exponentially on both sides: no draw is rejected, every step draws as many numbers, and the gradient
is that of the inverse. (Davidson et al. reject proposals and De Cao & Aziz draw from a Beta; the
distributions are the same.)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from autoencode.randomness import standard_normal
from autoencode.types import Distribution

_STEP, _END = 0.05, 14.0  # the grid; what lies beyond it is less than 1e-5 on a circle
_SQRT_2 = math.sqrt(2.0)


def log_area(m: int) -> float:
    """Computes the logarithm of the area of the unit sphere in m dimensions.

    >>> round(math.exp(log_area(3)) / math.pi, 6)
    4.0
    """
    return math.log(2.0) + m / 2 * math.log(math.pi) - math.lgamma(m / 2)


class UniformSphere:
    """The uniform distribution on the unit sphere in m dimensions.

    Args:
        m: dimensions of the space around the sphere, at least 2.
        like: dtype and device of what is drawn.
    """

    def __init__(self, m: int, like: Tensor) -> None:
        self.m, self._like = m, like

    @property
    def mean(self) -> Tensor:
        return self._like.new_zeros(self.m)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws samples (*sample_shape, m)."""
        shape = (*sample_shape, self.m)
        return F.normalize(
            standard_normal(shape, self._like, len(shape) - 2 if sample_shape else None), dim=-1
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """Computes the log-density on the sphere of directions (..., m), nats."""
        return value.new_full(value.shape[:-1], -log_area(self.m))


class _MeanDirection:
    """A distribution on the sphere around a mean direction; subclasses give its ``_profile``.

    Args:
        loc: (..., m) mean directions of length 1.
        concentration: (..., 1), not negative.
    """

    def __init__(self, loc: Tensor, concentration: Tensor) -> None:
        self.loc, self.concentration = loc, concentration
        self.m = loc.shape[-1]

    def _profile(self, t: Tensor, log_one_plus_t: Tensor) -> Tensor:
        """Computes the logarithm of the density at t, up to its constant."""
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        return self.loc * self._expectation_of_t().unsqueeze(-1)

    def _grid(self) -> tuple[Tensor, Tensor]:
        """Computes a grid of u (J,) and the log of the unnormalised density there (..., J), float64."""
        u = torch.arange(-_END, _END + _STEP / 2, _STEP, device=self.loc.device, dtype=torch.float64)
        # sech²(u), and 1 + tanh(u), without cancellation.
        log_sech2 = 2 * math.log(2.0) - 2 * u.abs() - 2 * torch.log1p((-2 * u.abs()).exp())
        log_one_plus = math.log(2.0) - F.softplus(-2 * u)
        around = (self.m - 3) / 2 + 1  # of the cap's circle, and of du
        return u, self._profile(u.tanh(), log_one_plus) + around * log_sech2

    def _log_normalizer(self) -> Tensor:
        """Computes the logarithm of the integral of the profile over the sphere, (...)."""
        _, log_density = self._grid()
        integral = log_density.logsumexp(-1) + math.log(_STEP)
        return integral + log_area(self.m - 1) if self.m > 2 else integral + math.log(2.0)

    def _expectation_of_t(self) -> Tensor:
        u, log_density = self._grid()
        return (log_density.softmax(-1) * u.tanh()).sum(-1).to(self.loc.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Computes the log-density on the sphere of directions (..., m), nats."""
        t = (self.loc * value).sum(-1, keepdim=True).double().clamp(-1 + 1e-9, 1)
        profile = self._profile(t, t.log1p()).squeeze(-1)
        return (profile - self._log_normalizer()).to(value.dtype)

    def kl(self, prior: Distribution) -> Tensor | None:
        """Computes the KL to the uniform distribution in nats, ``None`` against anything else."""
        if not isinstance(prior, UniformSphere):
            return None
        u, log_density = self._grid()
        log_one_plus = math.log(2.0) - F.softplus(-2 * u)
        expected = (log_density.softmax(-1) * self._profile(u.tanh(), log_one_plus)).sum(-1)
        return (expected - self._log_normalizer() + log_area(self.m)).to(self.loc.dtype)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws samples (*sample_shape, ..., m), differentiable in both parameters."""
        shape = (*sample_shape, *self.loc.shape)
        axis = len(shape) - 2
        noise = standard_normal(shape, self.loc, axis if axis >= 0 else None)
        # Its first number is where t lies, the others are the direction around the mean.
        uniform = 0.5 * torch.erfc(-noise[..., :1].double() / _SQRT_2)
        t = self._invert(uniform).clamp(-1, 1)
        around = F.normalize(noise[..., 1:], dim=-1) * (1 - t.square()).clamp_min(1e-12).sqrt()
        return self._rotate(torch.cat([t, around], dim=-1).to(self.loc.dtype))

    def _invert(self, uniform: Tensor) -> Tensor:
        """Finds the t (..., 1) below which the distribution has the share ``uniform`` (..., 1)."""
        u, log_density = self._grid()
        weights = log_density.softmax(-1).expand(*uniform.shape[:-1], len(u))
        cdf = weights.cumsum(-1)
        chosen = torch.searchsorted(cdf.detach(), uniform).clamp_max(len(u) - 1)
        width = weights.gather(-1, chosen).clamp_min(1e-300)
        below = cdf.gather(-1, chosen) - width
        # The share of each point is spread over the cell around it.
        within = ((uniform - below) / width).clamp(0, 1)
        return (u[chosen] + _STEP * (within - 0.5)).tanh()

    def _rotate(self, z: Tensor) -> Tensor:
        """Mirrors the sphere so that its first axis becomes the mean direction."""
        first = torch.zeros_like(self.loc)
        first[..., 0] = 1.0
        normal = F.normalize(first - self.loc, dim=-1, eps=1e-6)
        return z - 2 * (z * normal).sum(-1, keepdim=True) * normal


class VonMisesFisher(_MeanDirection):
    """The von Mises-Fisher distribution: density proportional to exp(concentration * t).

    Hyperspherical Variational Auto-Encoders (Davidson et al., 2018), https://arxiv.org/abs/1804.00891
    """

    def _profile(self, t: Tensor, log_one_plus_t: Tensor) -> Tensor:
        return self.concentration.double() * t

    def detached(self) -> VonMisesFisher:
        """Returns this distribution with its parameters held fixed."""
        return VonMisesFisher(self.loc.detach(), self.concentration.detach())


class PowerSpherical(_MeanDirection):
    """The power spherical distribution: density proportional to (1 + t)^concentration.

    The Power Spherical distribution (De Cao & Aziz, 2020), https://arxiv.org/abs/2006.04437
    """

    def _profile(self, t: Tensor, log_one_plus_t: Tensor) -> Tensor:
        return self.concentration.double() * log_one_plus_t

    def detached(self) -> PowerSpherical:
        """Returns this distribution with its parameters held fixed."""
        return PowerSpherical(self.loc.detach(), self.concentration.detach())
