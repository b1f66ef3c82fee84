"""Densities over real entries: Gaussian and Laplace, and the links of their means."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from autoencode import distributions
from autoencode.likelihoods.entries import Entries
from autoencode.types import Observation

# Log-scales outside this range mean a density that float32 cannot hold.
MIN_LOG_SCALE, MAX_LOG_SCALE = -7.0, 7.0


Scale = float | Literal["learned", "shared"]


@dataclass(frozen=True)
class Link:
    """How the decoder's unbounded output becomes a mean, and the way back."""

    name: str
    forward: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]


def _logit(mean: Tensor) -> Tensor:
    # Entries that are always 0 (the corners of MNIST) would ask for a bias of minus infinity.
    return torch.logit(mean, eps=1e-3)


def _same(x: Tensor) -> Tensor:
    return x


IDENTITY = Link("identity", _same, _same)
SIGMOID = Link("sigmoid", torch.sigmoid, _logit)
LINKS = {link.name: link for link in (IDENTITY, SIGMOID)}


class _Located(nn.Module):
    """A location by a link, and a scale that is fixed, shared or given by the decoder."""

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


class Gaussian(_Located):
    """N(x; link(params), scale²).

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
        params = distributions.full_precision(params)
        if not self.learned:
            log_scale = self.log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)
            return GaussianObservation(self.link.forward(params), log_scale, self.event_dims)
        loc, log_scale = params.chunk(2, dim=-self.event_dims)
        log_scale = log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)
        return GaussianObservation(self.link.forward(loc), log_scale, self.event_dims)

    def params_for_mean(self, mean: Tensor) -> Tensor:
        """The decoder output (n_params * D0, ...) at which the mean of p(x|z) is ``mean`` (*D)."""
        loc = self.link.inverse(mean)
        return torch.cat([loc, torch.zeros_like(loc)]) if self.learned else loc


class GaussianObservation(distributions.Normal):
    """A Gaussian over data; ``sample`` draws one x for each z."""


class Laplace(_Located):
    """Independent Laplace entries of density exp(-|x - link(params)| / scale) / (2 scale).

    Args:
        event_dims, link, scale: as of ``Gaussian``.
    """

    def forward(self, params: Tensor) -> Observation:
        params = distributions.full_precision(params)
        loc, log_scale = params, self.log_scale
        if self.learned:
            loc, log_scale = params.chunk(2, dim=-self.event_dims)
        log_scale = log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)
        return LaplaceObservation(self.link.forward(loc), log_scale, self.event_dims)

    def params_for_mean(self, mean: Tensor) -> Tensor:
        """The decoder output (n_params * D0, ...) at which the mean of p(x|z) is ``mean`` (*D)."""
        loc = self.link.inverse(mean)
        return torch.cat([loc, torch.zeros_like(loc)]) if self.learned else loc


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
        """Draws of one x for each z."""
        u = torch.rand_like(self.loc) - 0.5
        return self.loc - self.log_scale.exp() * u.sign() * torch.log1p(-2 * u.abs())
