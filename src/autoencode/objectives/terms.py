"""Named terms of a loss, and the most common of them.

A term is a function ``(model, batch, output, progress) -> Tensor`` of shape (), (B,) or (S, B); the
objective averages it. ``unit`` says what it counts: terms of different units cannot be added.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from autoencode.distributions.basic import sum_event
from autoencode.parallel import batch_sum, batch_weight
from autoencode.types import Batch, Model, Output, Progress

NATS = "nats per example"
MEAN_SQUARED = "mean squared error per entry"
SUM_SQUARED = "squared error per example"
#: Of a regulariser, which is a pure number: its weight brings it into the unit of the terms beside it.
ANY = ""


@dataclass(frozen=True)
class NamedTerm:
    """A term of a loss with its unit and what it asks of the bottleneck.

    Attributes:
        compute: the term.
        unit: what it counts; ``ANY`` for a regulariser.
        needs_sites: whether the bottleneck has to be stochastic.
        demand: says what an output lacks, in one line with a remedy, ``None`` where nothing is missing.
    """

    compute: Callable[[Model, Batch, Output, Progress], Tensor]
    unit: str = NATS
    needs_sites: bool = False
    demand: Callable[[Output], str | None] | None = None

    def __call__(self, model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        return self.compute(model, batch, output, progress)


def _reconstruction(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
    return -output.x_dist.log_prob(batch.target, batch.mask)


def _kl(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
    sites = iter(output.latent.sites.values())
    total = next(sites).kl()
    for site in sites:
        total = total + site.kl()
    return total


def _penalties(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
    values = list(output.latent.penalties.values())
    return sum(values[1:], start=values[0]) if values else output.latent.z.new_zeros(())


def _mean_squared_error(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
    mean = output.x_dist.mean
    target = batch.target.expand_as(mean)
    if batch.mask is None:
        return F.mse_loss(mean, target)
    mask = batch.mask.expand_as(mean)
    squares = (mean - target.masked_fill(~mask, 0.0)).square() * mask
    # Observed entries of the whole batch, of which this process has its part.
    return squares.sum() / (batch_sum(mask.sum()).clamp_min(1) * batch_weight())


def _column_errors(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
    errors: Tensor = output.x_dist.errors(batch.target, batch.mask)  # type: ignore[attr-defined]
    return errors.sum(-1)


def _squared_error(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
    return example_errors(output.x_dist.mean, batch.target, batch.mask)


def example_errors(mean: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Computes the squared error of each example (S, B), summed over its observed entries.

    Args:
        mean: (S, B, *D) reconstructions.
        target: (B, *D), or one for each sample.
        mask: (B, *D) true where the target was observed.
    """
    if mask is None:
        squares = (mean - target).square()
    else:
        squares = (mean - torch.where(mask, target, 0.0)).square() * mask
    return sum_event(squares, mean.dim() - 2)


#: -log p(x|z), the observed entries only.
reconstruction = NamedTerm(_reconstruction)
#: KL(q(z|x) || p(z)), summed over all stochastic variables.
kl = NamedTerm(_kl, needs_sites=True)
#: The bottleneck's own losses (commitment, entropy); zero where it has none.
penalties = NamedTerm(_penalties)
#: Squared error averaged over the observed entries: the loss of most published plain autoencoders.
mean_squared_error = NamedTerm(_mean_squared_error, unit=MEAN_SQUARED)
#: Squared error summed over the observed entries of each example.
squared_error = NamedTerm(_squared_error, unit=SUM_SQUARED)
#: How wrong the means of a mixed table's columns are, summed: categories 0 or 1, numbers squared.
column_errors = NamedTerm(_column_errors, unit=ANY)
