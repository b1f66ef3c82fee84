"""Counts of uneven depth: the size of a row, by which all its rates are multiplied."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from autoencode.likelihoods.entries import Entries
from autoencode.randomness import uniform
from autoencode.types import Observation

_N_QUANTILES = 1001
_LEAST_COLUMNS = 20  # of fewer, a factor of their sum is a matter of the code
_WIDE = 3.0  # how many times the sum at a tenth of the rows is that at nine tenths
_TOGETHER = 2.0  # variance of the sums beside that of columns that vary by themselves


class Sizes(nn.Module):
    """The size of each row of counts: its sum, relative to the median of the training rows' sums.

    Of a row with gaps, what is known is compared with what the same columns have on average. A row
    whose sum is 0 counts as one whose sum is 1.

    Args:
        shape: D.
        always: whether rows have sizes whatever the training rows are; else where their sums vary
            widely: by a factor of three between the tenth and the ninetieth of a hundred, twice as
            much as those of columns that vary by themselves would, over 20 columns or more.
    """

    n_examples = 2000
    on: Tensor
    profile: Tensor
    logs: Tensor

    def __init__(self, shape: tuple[int, ...], always: bool = False) -> None:
        super().__init__()
        self.shape, self.always = shape, always
        self.register_buffer("on", torch.zeros(()))
        self.register_buffer("profile", torch.ones(shape))
        self.register_buffer("logs", torch.zeros(_N_QUANTILES))

    def complete(self, tensors: dict[str, Tensor], prefix: str) -> None:
        """Adds what files of earlier versions lack: their rows have no sizes."""
        for name, value in self.named_buffers():
            tensors.setdefault(prefix + name, value)

    @torch.no_grad()
    def start_at(self, x: Tensor) -> None:
        """Takes what is usual from training rows x (N, *D)."""
        known = ~x.isnan()
        counts = x.nan_to_num(0.0)
        rows = known.sum(0).clamp_min(1)
        mean = counts.sum(0) / rows
        self.profile.copy_(mean)
        self.on.fill_(1.0)
        logs = self(x).flatten()
        middle = logs.median()
        self.profile.mul_(middle.exp())
        ends = torch.linspace(0, 1, _N_QUANTILES, device=x.device)
        self.logs.copy_((logs - middle).quantile(ends))
        if not self.always:
            spread = ((counts - mean).square() * known).sum(0) / rows
            self.on.fill_(float(self._vary_widely(counts, spread)))

    def _vary_widely(self, counts: Tensor, spread: Tensor) -> bool:
        low, high = self._tenths()
        together = float(counts.flatten(1).sum(1).var(correction=0))
        wide, shared = high - low > math.log(_WIDE), together > _TOGETHER * float(spread.sum())
        return wide and shared and spread.numel() >= _LEAST_COLUMNS

    def _tenths(self) -> tuple[float, float]:
        """Gives the logarithms of the sizes that a tenth and nine tenths of training rows are below."""
        low, high = (float(self.logs[round(p * (_N_QUANTILES - 1))]) for p in (0.1, 0.9))
        return low, high

    def told(self) -> str | None:
        """Says that rows have sizes where that was decided by the data."""
        if self.always or not bool(self.on):
            return None
        low, high = map(math.exp, self._tenths())
        return (
            f"the sums of rows vary widely ({low:.2g} to {high:.2g} of their median): they multiply "
            "the rates, and codes are of what is left; size_factor=none takes counts as they are"
        )

    def forward(self, x: Tensor) -> Tensor:
        """Computes the logarithm of the size of each row x (B, *D), (B, 1, ..., 1); 0 where off."""
        dims = tuple(range(-len(self.shape), 0))
        usual = (self.profile * ~x.isnan()).sum(dims, keepdim=True).clamp_min(1e-6)
        size = x.nan_to_num(0.0).sum(dims, keepdim=True).clamp_min(1.0) / usual
        log_size: Tensor = size.log() * self.on
        return log_size

    def drawn(self, rows: tuple[int, ...]) -> Tensor:
        """Draws logarithms of sizes as training rows have them, (*rows, 1, ..., 1)."""
        places = uniform((*rows, *(1,) * len(self.shape)), self.logs) * (_N_QUANTILES - 1)
        low = places.long().clamp_max(_N_QUANTILES - 2)
        drawn = torch.lerp(self.logs[low], self.logs[low + 1], places - low)
        return drawn * self.on

    def mean(self) -> Tensor:
        """Computes the mean size of training rows, ()."""
        logs = self.logs * self.on
        return ((logs[:-1] + logs[1:]) / 2).exp().mean()


class EvenLogarithm(nn.Module):
    """A layer that turns counts x into log(1 + x / size), which says nothing of a row's size."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes

    def forward(self, x: Tensor) -> Tensor:
        counts = x.clamp_min(0)
        read: Tensor = (counts / self.sizes(counts).exp()).log1p()
        return read


class Sized(nn.Module):
    """A likelihood of counts whose rates are multiplied by the size of the row.

    Deep generative modeling for single-cell transcriptomics (Lopez et al., 2018),
    https://doi.org/10.1038/s41592-018-0229-2, with sizes that are observed: the nats are those of
    p(x|z, size).

    Args:
        counts: the likelihood, whose first parameter of each entry is the logarithm of its rate.
        sizes: of rows.
    """

    discrete = True

    def __init__(self, counts: nn.Module, sizes: Sizes) -> None:
        super().__init__()
        self.counts, self.sizes = counts, sizes
        self.event_dims = len(sizes.shape)
        self.n_params: int = counts.n_params  # type: ignore[assignment]

    def forward(self, params: Tensor) -> Observation:
        return SizedObservation(params, self)

    def check(self, x: Tensor) -> None:
        """Raises ``DataError`` when values (N, *D) are no counts."""
        self.counts.check(x)  # type: ignore[operator]

    def params_for_mean(self, mean: Tensor) -> Tensor:
        """Computes the decoder output (n_params * D0, ...) at which the mean count is ``mean`` (*D)."""
        params: Tensor = self.counts.params_for_mean(mean)  # type: ignore[operator]
        return params

    def at(self, params: Tensor, log_size: Tensor) -> Observation:
        """Makes p(x|z, size) of params (..., n_params * D0, ...) and sizes (..., 1, ..., 1)."""
        rates, *others = params.chunk(self.n_params, dim=-self.event_dims)
        p_x: Observation = self.counts(torch.cat([rates + log_size, *others], dim=-self.event_dims))
        return p_x


class SizedObservation(Entries):
    """A distribution of counts of rows whose size is known once they are seen.

    ``of(x)`` is that of rows like x. The mean is that over the sizes of training rows, which draws
    have too.
    """

    def __init__(self, params: Tensor, likelihood: Sized) -> None:
        super().__init__(likelihood.event_dims)
        self.params, self.likelihood = params, likelihood

    def of(self, x: Tensor) -> Observation:
        """Makes the distribution for the sizes of x (B, *D), whose gaps are NaN."""
        return self.likelihood.at(self.params, self.likelihood.sizes(x))

    @property
    def mean(self) -> Tensor:
        return self.likelihood.at(self.params, self.likelihood.sizes.mean().log()).mean

    def entries(self, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes the log-probability of each entry given the size, nats; zero where mask is false."""
        known = target if mask is None else target.masked_fill(~mask, torch.nan)
        return self.of(known).entries(target, mask)

    def each(self, target: Tensor) -> Tensor:
        return self.entries(target)

    def sample(self) -> Tensor:
        """Draws one x for each z, each of a size of its own."""
        rows = self.params.shape[: -self.event_dims]
        return self.likelihood.at(self.params, self.likelihood.sizes.drawn(rows)).sample()
