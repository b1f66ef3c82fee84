"""Likelihoods of data with a finite number of levels, such as 8-bit pixels."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoencode.distributions import basic as distributions
from autoencode.likelihoods.continuous import MAX_LOG_SCALE, MIN_LOG_SCALE
from autoencode.likelihoods.entries import Entries
from autoencode.randomness import choices, uniform_entries
from autoencode.types import Observation

_LOG_SCALE = -2.0  # at a decoder output of 0


def split_params(params: Tensor, n: int, event_dims: int) -> Tensor:
    """Splits params (..., n * D0, *rest) into n for each entry along a new last axis, (..., *D, n).

    >>> split_params(torch.arange(6).reshape(1, 6), 3, 1).tolist()
    [[[0, 2, 4], [1, 3, 5]]]
    """
    return torch.stack(params.chunk(n, dim=-event_dims), dim=-1)


class Categorical(nn.Module):
    """A likelihood with a probability for each of ``levels`` evenly spaced values in [0, 1].

    Pixel Recurrent Neural Networks (van den Oord et al., 2016), https://arxiv.org/abs/1601.06759, for
    8-bit pixels, without the order of pixels.

    Args:
        event_dims: number of axes of one example.
        levels: of the data, 256 for 8-bit pixels.
    """

    discrete = True  # probabilities, no density

    def __init__(self, event_dims: int, levels: int = 256) -> None:
        super().__init__()
        self.event_dims = event_dims
        self.n_params = levels

    def forward(self, params: Tensor) -> Observation:
        params = distributions.full_precision(params)
        logits = split_params(params, self.n_params, self.event_dims)
        return CategoricalObservation(logits, self.event_dims)


class CategoricalObservation(Entries):
    """A distribution of entries that take one of L levels k / (L - 1), logits (..., *D, L)."""

    def __init__(self, logits: Tensor, event_dims: int) -> None:
        super().__init__(event_dims)
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        n = self.logits.shape[-1]
        values = torch.linspace(0, 1, n, device=self.logits.device, dtype=self.logits.dtype)
        return self.logits.softmax(-1) @ values

    def each(self, target: Tensor) -> Tensor:
        levels = self.logits.shape[-1]
        index = (target * (levels - 1)).round().long().clamp(0, levels - 1)
        shape = torch.broadcast_shapes(index.shape, self.logits.shape[:-1])
        log_p = self.logits.log_softmax(-1).expand(*shape, levels)
        return log_p.gather(-1, index.expand(shape).unsqueeze(-1)).squeeze(-1)

    def sample(self) -> Tensor:
        """Draws one x for each z."""
        shape = self.logits.shape
        drawn = choices(self.logits.softmax(-1).flatten(0, -2))
        return drawn.reshape(shape[:-1]).to(self.logits.dtype) / (shape[-1] - 1)


class DiscretizedLogistic(nn.Module):
    """A likelihood of levels, each with the mass of a logistic mixture around it.

    Improving Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016),
    https://arxiv.org/abs/1606.04934, with one component; PixelCNN++ (Salimans et al., 2017),
    https://arxiv.org/abs/1701.05517, with several, here without the coupling of colours.

    Args:
        event_dims: number of axes of one example.
        n_components: logistics in the mixture.
        levels: of the data, 256 for 8-bit pixels, evenly spaced in [0, 1].
    """

    discrete = True  # probabilities, no density

    def __init__(self, event_dims: int, n_components: int = 1, levels: int = 256) -> None:
        super().__init__()
        self.event_dims, self.n_components, self.levels = event_dims, n_components, levels
        self.n_params = 2 if n_components == 1 else 3 * n_components

    def forward(self, params: Tensor) -> Observation:
        params = distributions.full_precision(params)
        parts = split_params(params, self.n_params, self.event_dims)
        k = self.n_components
        # Decoder outputs near 0 are the middle of the range and a width that covers most of it.
        loc, log_scale = 0.5 + 0.5 * parts[..., :k], parts[..., k : 2 * k] + _LOG_SCALE
        logits = parts[..., 2 * k :] if k > 1 else torch.zeros_like(loc)
        log_scale = log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)
        return LogisticObservation(loc, log_scale, logits, self.levels, self.event_dims)

    def params_for_mean(self, mean: Tensor) -> Tensor:
        """Computes the decoder output (n_params * D0, ...) with all components around ``mean`` (*D)."""
        target = mean.clamp(1e-3, 1 - 1e-3)
        scale = torch.full_like(target, math.exp(_LOG_SCALE))
        low, high = torch.full_like(target, -10.0), torch.full_like(target, 11.0)
        for _ in range(40):  # the mean grows with loc
            middle = (low + high) / 2
            above = _cut_mean(middle, scale) > target
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        rest = [torch.zeros_like(mean)] * (self.n_params - self.n_components)
        return torch.cat([low + high - 1] * self.n_components + rest)


class LogisticObservation(Entries):
    """A distribution of entries by mixtures of K discretised logistics, parameters (..., *D, K)."""

    def __init__(
        self, loc: Tensor, log_scale: Tensor, logits: Tensor, levels: int, event_dims: int
    ) -> None:
        super().__init__(event_dims)
        self.loc, self.log_scale, self.logits, self.levels = loc, log_scale, logits, levels

    @property
    def mean(self) -> Tensor:
        """Mean of the logistics clipped to [0, 1], within one level of the exact mean."""
        return (self.logits.softmax(-1) * _cut_mean(self.loc, self.log_scale.exp())).sum(-1)

    def each(self, target: Tensor) -> Tensor:
        x = target.unsqueeze(-1)
        half = 0.5 / (self.levels - 1)
        rate = (-self.log_scale).exp()
        upper, lower = (x + half - self.loc) * rate, (x - half - self.loc) * rate
        # The outermost levels have all that is beyond them.
        first, last = x <= half, x >= 1 - half
        mass = torch.where(
            first,
            F.logsigmoid(upper),
            torch.where(last, F.logsigmoid(-lower), _log_difference(upper, lower)),
        )
        return (self.logits.log_softmax(-1) + mass).logsumexp(-1)

    def sample(self) -> Tensor:
        """Draws one x for each z."""
        weights = self.logits.softmax(-1)
        chosen = choices(weights.flatten(0, -2)).reshape(*weights.shape[:-1], 1)
        loc, scale = (v.gather(-1, chosen).squeeze(-1) for v in (self.loc, self.log_scale.exp()))
        x = loc + scale * uniform_entries(loc).clamp(1e-6, 1 - 1e-6).logit()
        return (x.clamp(0, 1) * (self.levels - 1)).round() / (self.levels - 1)


def _cut_mean(loc: Tensor, scale: Tensor) -> Tensor:
    """Computes the mean of logistic draws clipped to [0, 1]: the integral of P(x > t) from 0 to 1."""
    return scale * (F.softplus(loc / scale) - F.softplus((loc - 1) / scale))


def _log_difference(upper: Tensor, lower: Tensor) -> Tensor:
    """Computes log(sigmoid(upper) - sigmoid(lower)) without cancellation.

    sigmoid(a) - sigmoid(b) = (1 - e^(b - a)) sigmoid(a) sigmoid(-b).
    """
    gap = (upper - lower).clamp_min(math.exp(-30))
    return torch.log(-torch.expm1(-gap)) + F.logsigmoid(upper) + F.logsigmoid(-lower)
