"""Likelihoods of counts 0, 1, 2, ...: Poisson, negative binomial, and both with extra zeros."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoencode.distributions import basic as distributions
from autoencode.errors import DataError
from autoencode.likelihoods.entries import Entries
from autoencode.randomness import bernoulli, gamma, poisson
from autoencode.types import Observation

# exp of these is what float32 counts and their logarithms can hold.
_MAX_LOG_RATE = 15.0


def refuse_what_are_no_counts(x: Tensor) -> None:
    """Raises ``DataError`` for known values that are none of 0, 1, 2, ..."""
    wrong = (x < 0) | (x != x.round())
    if bool((wrong & ~x.isnan()).any()):
        value = float(x[wrong & ~x.isnan()][0])
        raise DataError(
            f"a likelihood of counts needs whole numbers from 0 and these data have {value:g}; use "
            "likelihood=gaussian"
        )


class Poisson(nn.Module):
    """A likelihood of Poisson counts; params are log-rates.

    Args:
        event_dims: number of axes of one example.
    """

    n_params = 1
    discrete = True  # probabilities, no density

    def __init__(self, event_dims: int) -> None:
        super().__init__()
        self.event_dims = event_dims
        self.draws = event_dims <= 2  # a mean of counts is none

    def forward(self, params: Tensor) -> Observation:
        return PoissonObservation(distributions.full_precision(params), self.event_dims)

    def check(self, x: Tensor) -> None:
        """Raises ``DataError`` when values (N, *D) are no counts."""
        refuse_what_are_no_counts(x)

    def params_for_mean(self, mean: Tensor) -> Tensor:
        """Computes the log-rates (*D) for which the mean is ``mean``."""
        return _log(mean)


class PoissonObservation(Entries):
    """A distribution of independent Poisson counts."""

    def __init__(self, log_rate: Tensor, event_dims: int) -> None:
        super().__init__(event_dims)
        self.log_rate = log_rate.clamp(-_MAX_LOG_RATE, _MAX_LOG_RATE)

    @property
    def mean(self) -> Tensor:
        return self.log_rate.exp()

    def each(self, target: Tensor) -> Tensor:
        return target * self.log_rate - self.log_rate.exp() - torch.lgamma(target + 1)

    def sample(self) -> Tensor:
        """Draws one x for each z."""
        return poisson(self.mean)


class NegativeBinomial(nn.Module):
    """A likelihood of counts with mean m and variance m + m² / r: Poisson with a scattered rate.

    Deep generative modeling for single-cell transcriptomics (Lopez et al., 2018),
    https://doi.org/10.1038/s41592-018-0229-2

    The decoder gives log m and log r for each entry, and with ``zero_inflated`` the logit of a zero
    that is there besides (a reading that failed).

    Args:
        event_dims: number of axes of one example.
        zero_inflated: whether there are such zeros.
    """

    discrete = True

    def __init__(self, event_dims: int, zero_inflated: bool = False) -> None:
        super().__init__()
        self.event_dims = event_dims
        self.draws = event_dims <= 2  # a mean of counts is none
        self.n_params = 3 if zero_inflated else 2

    def forward(self, params: Tensor) -> Observation:
        params = distributions.full_precision(params)
        log_mean, log_r, *zero = params.chunk(self.n_params, dim=-self.event_dims)
        counts = NegativeBinomialObservation(log_mean, log_r, self.event_dims)
        return ZeroInflated(counts, zero[0], self.event_dims) if zero else counts

    def check(self, x: Tensor) -> None:
        """Raises ``DataError`` when values (N, *D) are no counts."""
        refuse_what_are_no_counts(x)

    def params_for_mean(self, mean: Tensor) -> Tensor:
        """Computes the decoder output (n_params * D0, ...) at which the mean count is ``mean`` (*D)."""
        log_mean = _log(mean)
        if self.n_params == 2:
            return torch.cat([log_mean, torch.zeros_like(mean)])
        # Half of the extra zeros' odds at the start, made up for by the mean of the rest.
        zero = torch.full_like(mean, -2.0)
        rest = log_mean - F.logsigmoid(-zero)
        return torch.cat([rest, torch.zeros_like(mean), zero])


class NegativeBinomialObservation(Entries):
    """A distribution of negative binomial counts of mean m and inverse dispersion r."""

    def __init__(self, log_mean: Tensor, log_r: Tensor, event_dims: int) -> None:
        super().__init__(event_dims)
        self.log_mean = log_mean.clamp(-_MAX_LOG_RATE, _MAX_LOG_RATE)
        self.log_r = log_r.clamp(-_MAX_LOG_RATE, _MAX_LOG_RATE)

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()

    def each(self, target: Tensor) -> Tensor:
        r = self.log_r.exp()
        odds = self.log_mean - self.log_r  # log m/r; p = m / (m + r)
        chosen = torch.lgamma(target + r) - torch.lgamma(r) - torch.lgamma(target + 1)
        return chosen + r * F.logsigmoid(-odds) + target * F.logsigmoid(odds)

    def sample(self) -> Tensor:
        """Draws one x for each z."""
        r = self.log_r.exp()
        return poisson(gamma(r, (self.log_r - self.log_mean).exp()))


class ZeroInflated(Entries):
    """A distribution of counts with extra zeros, whose probability has logits (..., *D)."""

    def __init__(self, counts: Entries, logits: Tensor, event_dims: int) -> None:
        super().__init__(event_dims)
        self.counts, self.logits = counts, logits

    @property
    def mean(self) -> Tensor:
        mean: Tensor = self.counts.mean  # type: ignore[attr-defined]
        return torch.sigmoid(-self.logits) * mean

    def each(self, target: Tensor) -> Tensor:
        counted = F.logsigmoid(-self.logits) + self.counts.each(target)
        zero = F.logsigmoid(self.logits).expand_as(counted)
        return torch.where(target == 0, torch.logaddexp(zero, counted), counted)

    def sample(self) -> Tensor:
        """Draws one x for each z."""
        drawn: Tensor = self.counts.sample()  # type: ignore[attr-defined]
        return drawn * bernoulli(torch.sigmoid(-self.logits))


def _log(mean: Tensor) -> Tensor:
    # Entries that are always 0 would ask for a bias of minus infinity.
    return mean.clamp_min(1e-3).log()
