"""The Gaussian likelihood of tables and sequences, whose columns each have a scale of their own."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from autoencode.distributions import basic as distributions
from autoencode.likelihoods.scales import LearnedLog, log_scale_of
from autoencode.types import Observation

Scales = Literal["columns", "shared", "fixed"]
# A fifth of a column's standard deviation. A code that costs nothing would be spent on the last digits
# of a few numbers, and the categories beside them would be lost.
_LEAST_SHARED = -1.6


class GaussianColumns(nn.Module):
    """The Gaussian likelihood N(x; params, scale²), a scale for each column or for all of them.

    Columns of a table are the entries of a row, those of a sequence its features. Which scales suit
    depends on the code. Where it is drawn, and each bit of it has its price in the KL term, every
    column learns one: Simple and Effective VAE Training with Calibrated Decoders (Rybkin, Daniilidis &
    Levine, 2021), https://arxiv.org/abs/2006.13202, for each column apart. A code that costs nothing
    would then copy a few columns exactly and leave the rest, so all columns share one (``shared``), or
    none is learned (``fixed``, 1); draws have the spread that was measured after training
    (``measure``).

    Args:
        shape: of one example, columns last.
        scales: ``columns``, ``shared`` or ``fixed``.

    Example:
        >>> likelihood = GaussianColumns((2,))
        >>> likelihood.start_at_errors(torch.tensor([1.0, 0.01]))
        >>> p = likelihood(torch.zeros(1, 1, 2))
        >>> [round(v, 4) for v in p.entries(torch.zeros(1, 2)).flatten().tolist()]
        [-0.9189, 1.3836]
    """

    n_params = 1
    draws = True
    log_spread: Tensor

    def __init__(self, shape: tuple[int, ...], scales: Scales = "columns") -> None:
        super().__init__()
        self.event_dims, self.scales = len(shape), scales
        self.log_scales: LearnedLog | None = None
        if scales == "columns":
            self.log_scales = LearnedLog(shape[-1])
        elif scales == "shared":
            self.log_scales = LearnedLog(1, low=_LEAST_SHARED)
        if scales != "columns":
            self.register_buffer("log_spread", torch.zeros(shape[-1]))

    def forward(self, params: Tensor) -> Observation:
        loc = distributions.full_precision(params)
        log_scale = loc.new_zeros(()) if self.log_scales is None else self.log_scales()
        spread = log_scale if self.scales == "columns" else self.log_spread
        return ColumnsObservation(loc, log_scale, spread, self.event_dims)

    def params_for_mean(self, mean: Tensor) -> Tensor:
        """Computes the decoder output (*D) at which p(x|z) has mean ``mean`` (*D): the same."""
        return mean

    def start_at_errors(self, variance: Tensor) -> None:
        """Starts the scales at the squared errors (*D) that training begins with, in model units."""
        if self.log_scales is not None:
            by_column = self._by_column(variance)
            shared = self.scales == "shared"
            self.log_scales.set(log_scale_of(by_column.mean(0, keepdim=True) if shared else by_column))

    @torch.no_grad()
    def measure(self, variance: Tensor) -> None:
        """Takes the spread of draws from the squared errors (*D) that training left, in model units.

        Scales that each column has learned stay as they are.
        """
        if self.scales != "columns":
            self.log_spread.copy_(log_scale_of(self._by_column(variance)))

    def _by_column(self, variance: Tensor) -> Tensor:
        return variance.reshape(-1, variance.shape[-1]).mean(0)

    def complete(self, state: dict[str, Tensor], prefix: str) -> None:
        """Adds what files from before draws were measured lack."""
        if self.scales != "columns":
            unit = torch.zeros(len(self.log_spread), device="cpu")
            state.setdefault(f"{prefix}log_spread", unit)


class ColumnsObservation(distributions.Normal):
    """The distribution p(x|z) of columns, batch shape (S, B); draws may have a spread of their own.

    Args:
        loc: mean, (S, B, *D).
        log_scale: of the density, broadcasts against ``loc``.
        log_spread: of the draws, broadcasts against ``loc``.
        event_dims: axes of one example.
    """

    def __init__(self, loc: Tensor, log_scale: Tensor, log_spread: Tensor, event_dims: int = 1) -> None:
        super().__init__(loc, log_scale, event_dims)
        self._log_spread = log_spread

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws one x for each z, without gradients."""
        return distributions.Normal(self.loc, self._log_spread, self.event_dims).sample(sample_shape)
