"""Likelihoods of real entries: Gaussian, Laplace and log-cosh, and the links of their means."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencode.distributions import basic as distributions
from autoencode.likelihoods.entries import Entries
from autoencode.randomness import gamma, uniform_entries
from autoencode.types import Observation

# Log-scales outside this range mean a density that float32 cannot hold.
MIN_LOG_SCALE, MAX_LOG_SCALE = -7.0, 7.0


Scale = float | Literal["learned", "shared"]


@dataclass(frozen=True)
class Link:
    """A map from the decoder's unbounded output to a mean, and its inverse."""

    name: str
    forward: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]


def _logit(mean: Tensor) -> Tensor:
    # Entries that are always 0 (the corners of MNIST) would ask for a bias of minus infinity.
    return torch.logit(mean, eps=1e-3)


def _same(x: Tensor) -> Tensor:
    return x


def _clip(x: Tensor) -> Tensor:
    return x.clamp(0.0, 1.0).detach() + (x - x.detach())


IDENTITY = Link("identity", _same, _same)
SIGMOID = Link("sigmoid", torch.sigmoid, _logit)
#: Into [0, 1] by clipping, with the slope of the identity everywhere. The squared error of targets in
#: [0, 1] then has the gradient of a convex function, linear beyond the range: what is clipped is still
#: pulled back, unless the target is the end where it lies.
CLIP = Link("clip", _clip, _same)
LINKS = {link.name: link for link in (IDENTITY, SIGMOID, CLIP)}


class _Located(nn.Module):
    """A likelihood with a location by a link, and a scale that is fixed, shared or from the decoder."""

    def __init__(self, event_dims: int, link: Link = IDENTITY, scale: Scale = 1.0) -> None:
        super().__init__()
        self.event_dims = event_dims
        self.link = link
        self.learned = scale == "learned"
        self.n_params = 2 if self.learned else 1
        if scale == "shared":
            self.log_scale = nn.Parameter(torch.zeros(()))
        else:
            log_scale = 0.0 if scale == "learned" else math.log(float(scale))
            self.register_buffer("log_scale", torch.tensor(log_scale), persistent=False)

    log_scale: Tensor

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Splits the decoder's output into location and logarithm of the scale."""
        loc, log_scale = distributions.full_precision(params), self.log_scale
        if self.learned:
            loc, log_scale = loc.chunk(2, dim=-self.event_dims)
        return self.link.forward(loc), log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)

    def params_for_mean(self, mean: Tensor) -> Tensor:
        """Computes the decoder output (n_params * D0, ...) at which p(x|z) has mean ``mean`` (*D)."""
        loc = self.link.inverse(mean)
        return torch.cat([loc, torch.zeros_like(loc)]) if self.learned else loc


class Gaussian(_Located):
    """The Gaussian likelihood N(x; link(params), scale²).

    A shared scale that is learned: Simple and Effective VAE Training with Calibrated Decoders (Rybkin,
    Daniilidis & Levine, 2021), https://arxiv.org/abs/2006.13202

    Args:
        event_dims: number of axes of one example.
        link: keeps the mean inside the data's range (``SIGMOID`` for values in [0, 1]).
        scale: standard deviation of every entry; ``"learned"`` for one that the decoder gives for each
            entry, ``"shared"`` for one learned number.

    >>> likelihood = Gaussian(event_dims=1)
    >>> round(likelihood(torch.zeros(1, 1, 2)).log_prob(torch.zeros(1, 2)).item(), 4)
    -1.8379
    """

    def forward(self, params: Tensor) -> Observation:
        return GaussianObservation(*self._split(params), self.event_dims)


class GaussianObservation(distributions.Normal):
    """A Gaussian over data; ``sample`` draws one x for each z."""


class Laplace(_Located):
    """A likelihood of Laplace entries with density exp(-|x - link(params)| / scale) / (2 scale).

    Args:
        event_dims, link, scale: as of ``Gaussian``.
    """

    def forward(self, params: Tensor) -> Observation:
        return LaplaceObservation(*self._split(params), self.event_dims)


class LaplaceObservation(Entries):
    """A Laplace distribution over data."""

    def __init__(self, loc: Tensor, log_scale: Tensor, event_dims: int) -> None:
        super().__init__(event_dims)
        self.loc, self.log_scale = loc, log_scale

    @property
    def mean(self) -> Tensor:
        return self.loc

    def each(self, target: Tensor) -> Tensor:
        distance = (target - self.loc).abs() * (-self.log_scale).exp()
        return -distance - self.log_scale - math.log(2)

    def sample(self) -> Tensor:
        """Draws one x for each z."""
        u = uniform_entries(self.loc) - 0.5
        return self.loc - self.log_scale.exp() * u.sign() * torch.log1p(-2 * u.abs())


class LogCosh(_Located):
    """A likelihood with density of each entry proportional to cosh((x - link(params)) / scale)^-power.

    Its negative logarithm is a square near the location and an absolute value far from it: power 1 is
    the hyperbolic secant, sech(u / s) / (pi s). Log Hyperbolic Cosine Loss Improves Variational
    Auto-Encoder (Chen et al., 2018), https://openreview.net/forum?id=rkglvsC9Ym, minimises log(cosh(a
    u)) / a: that is scale = power = 1 / a, up to the constant ``log_normalizer``, which a loss can
    leave out and a density cannot.

    Args:
        event_dims, link, scale: as of ``Gaussian``.
        power: above 0.

    >>> likelihood = LogCosh(event_dims=1)
    >>> density = likelihood(torch.zeros(1, 1, 1)).log_prob(torch.zeros(1, 1)).exp()
    >>> round(1 / density.item(), 4)
    3.1416
    """

    def __init__(
        self, event_dims: int, link: Link = IDENTITY, scale: Scale = 1.0, power: float = 1.0
    ) -> None:
        super().__init__(event_dims, link, scale)
        self.power = power

    def forward(self, params: Tensor) -> Observation:
        return LogCoshObservation(*self._split(params), self.power, self.event_dims)


class LogCoshObservation(Entries):
    """The distribution of data under the log-cosh likelihood: powers of a hyperbolic secant."""

    def __init__(self, loc: Tensor, log_scale: Tensor, power: float, event_dims: int) -> None:
        super().__init__(event_dims)
        self.loc, self.log_scale, self.power = loc, log_scale, power

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def log_normalizer(self) -> Tensor:
        """Logarithm of the integral of cosh(x / scale)^-power: of scale * B(power / 2, 1 / 2)."""
        half = self.power / 2
        beta = math.lgamma(half) + math.lgamma(0.5) - math.lgamma(half + 0.5)
        return self.log_scale + beta

    def each(self, target: Tensor) -> Tensor:
        distance = (target - self.loc).abs() * (-self.log_scale).exp()
        # log cosh(u) without overflow.
        log_cosh = distance + F.softplus(-2 * distance) - math.log(2)
        return -self.power * log_cosh - self.log_normalizer

    def sample(self) -> Tensor:
        """Draws one x for each z: half the logarithm of a ratio of two Gamma draws."""
        first, second = (_log_gamma(self.power / 2, self.loc) for _ in range(2))
        return self.loc + 0.5 * self.log_scale.exp() * (first - second)


def _log_gamma(shape: float, like: Tensor) -> Tensor:
    """Draws logarithms of Gamma(shape, 1) variables, without underflow for small shapes."""
    u = uniform_entries(like).clamp_min(torch.finfo(like.dtype).tiny)
    larger = gamma(torch.full_like(like, shape + 1), torch.ones_like(like))
    return larger.log() + u.log() / shape
