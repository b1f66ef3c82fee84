"""p(x|z): modules that turn the decoder's output into a distribution over data.

A likelihood says how many numbers it needs for each entry of x (``n_params``); the decoder emits that
many, side by side along the first data axis (channels of an image, columns of a table).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from autoencode import distributions
from autoencode.types import Observation

# Log-scales outside this range mean a density that float32 cannot hold.
MIN_LOG_SCALE, MAX_LOG_SCALE = -7.0, 7.0


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


class Gaussian(nn.Module):
    """N(x; link(params), scale²).

    Args:
        event_dims: number of axes of one example.
        link: keeps the mean inside the data's range (``SIGMOID`` for values in [0, 1]).
        scale: standard deviation of every entry, or ``"learned"`` for one that the decoder gives.

    >>> likelihood = Gaussian(event_dims=1)
    >>> round(likelihood(torch.zeros(1, 1, 2)).log_prob(torch.zeros(1, 2)).item(), 4)
    -1.8379
    """

    def __init__(
        self, event_dims: int, link: Link = IDENTITY, scale: float | Literal["learned"] = 1.0
    ) -> None:
        super().__init__()
        self.event_dims = event_dims
        self.link = link
        self.learned = scale == "learned"
        self.n_params = 2 if self.learned else 1
        log_scale = 0.0 if self.learned else math.log(float(scale))
        self.register_buffer("log_scale", torch.tensor(log_scale), persistent=False)

    log_scale: Tensor

    def forward(self, params: Tensor) -> Observation:
        params = distributions.full_precision(params)
        if not self.learned:
            return GaussianObservation(self.link.forward(params), self.log_scale, self.event_dims)
        loc, log_scale = params.chunk(2, dim=-self.event_dims)
        log_scale = log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)
        return GaussianObservation(self.link.forward(loc), log_scale, self.event_dims)

    def params_for_mean(self, mean: Tensor) -> Tensor:
        """The decoder output (n_params * D0, ...) at which the mean of p(x|z) is ``mean`` (*D)."""
        loc = self.link.inverse(mean)
        return torch.cat([loc, torch.zeros_like(loc)]) if self.learned else loc


class GaussianObservation(distributions.Normal):
    """A Gaussian over data; ``sample`` draws one x for each z."""


class Bernoulli(nn.Module):
    """Independent Bernoulli entries, params are logits; for data in [0, 1].

    Args:
        event_dims: number of axes of one example.
    """

    n_params = 1

    def __init__(self, event_dims: int) -> None:
        super().__init__()
        self.event_dims = event_dims

    def forward(self, params: Tensor) -> Observation:
        return distributions.Bernoulli(distributions.full_precision(params), self.event_dims)

    def params_for_mean(self, mean: Tensor) -> Tensor:
        """The logits (*D) at which the mean of p(x|z) is ``mean``."""
        return SIGMOID.inverse(mean)
