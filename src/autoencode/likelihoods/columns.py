"""The likelihood p(x|z) of a table whose columns are of different kinds.

::

    column    params                        likelihood
    real      loc (and its log-scale)       Gaussian
    date      loc (and its log-scale)       Gaussian
    boolean   logit                         Bernoulli
    category  a logit for each state        categorical; words by their states (``Words``)
    count     standardised log-mean         negative binomial

Unless the decoder gives them, the scale of a number and the dispersion of a count are learned for each
column: with a scale of 1 categories would crowd the numbers out, and no count that scatters more than
Poisson's would be drawn as wide as it is.

Handling Incomplete Heterogeneous Data using VAEs (Nazábal et al., 2020),
https://arxiv.org/abs/1807.03653
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoencode.distributions import basic as distributions
from autoencode.distributions.words import Words
from autoencode.likelihoods.continuous import MAX_LOG_SCALE, MIN_LOG_SCALE
from autoencode.likelihoods.counts import NegativeBinomialObservation
from autoencode.likelihoods.gaussian_columns import GaussianColumns, Scales
from autoencode.likelihoods.scales import LearnedLog
from autoencode.randomness import choices
from autoencode.types import DataSpec, Observation

# Counts start nearly as narrow as Poisson's: mean m and variance m + m² / 20.
_LOG_DISPERSION, _POISSON = 3.0, 15.0
# Shares and counts of less are taken as this where a logarithm is.
_LEAST_SHARE = 1e-2
_KINDS = ("real", "boolean", "count", "category")


class Mixed(nn.Module):
    """A likelihood of independent columns, each by its kind.

    Args:
        spec: the table; categories are whole numbers in it, the others as the model sees them.
        learned: whether the decoder gives a scale for each real column of each example.
        scales: else, whose scales the real columns have (``GaussianColumns``).

    Example:
        >>> from autoencode.types import Column
        >>> spec = DataSpec(
        ...     (2,), "real", columns=(Column("age"), Column("pet", "category", ("a", "b")))
        ... )
        >>> likelihood = Mixed(spec)
        >>> likelihood.width
        3
        >>> p = likelihood(torch.zeros(1, 1, 3))
        >>> [round(v, 4) for v in p.entries(torch.tensor([[0.0, 1.0]])).flatten().tolist()]
        [-0.9189, -0.6931]
    """

    n_params = 1
    draws = True

    def __init__(self, spec: DataSpec, learned: bool = False, scales: Scales = "columns") -> None:
        super().__init__()
        kinds = ["real" if column.numeric else column.kind for column in spec.columns]
        self.learned = learned
        places = {kind: [i for i, own in enumerate(kinds) if own == kind] for kind in _KINDS}
        grouped = [i for kind in _KINDS for i in places[kind]]
        # Where each column of the table is found among those grouped by kind.
        self._keep("order", [grouped.index(i) for i in range(len(kinds))])
        for kind in _KINDS:
            self._keep(kind, places[kind])
        self.words = Words([column for column in spec.columns if column.kind == "category"])
        sizes = self.words.sizes
        n_real, n_boolean, n_count, _ = (len(places[kind]) for kind in _KINDS)
        self.widths = [n_real * (1 + learned), n_boolean, n_count, sum(sizes)]
        self.numbers = GaussianColumns((n_real,), scales) if n_real and not learned else None
        self.log_dispersion: LearnedLog | None = None
        if n_count:  # once they were Poisson's
            self.log_dispersion = LearnedLog(n_count, _LOG_DISPERSION, high=_POISSON, before=_POISSON)
        # Places of the columns that are read as they are, among these.
        read = [i for i, kind in enumerate(kinds) if kind != "category"]
        for kind in _KINDS[:-1]:
            self._keep(f"read_{kind}", [read.index(i) for i in places[kind]])
        self._keep("read", read)
        #: Numbers that are read of one example: those columns, then a share for each state.
        self.n_read = len(read) + sum(sizes)
        #: Numbers that the decoder gives for one example.
        self.width = sum(self.widths)
        #: For each of them the number of its column.
        self.owners = (
            *(places["real"] * (1 + learned)),
            *places["boolean"],
            *places["count"],
            *(i for i, size in zip(places["category"], sizes, strict=True) for _ in range(size)),
        )
        #: All categorical columns side by side, padded to the longest.
        self.padded = (len(sizes), max(sizes, default=1))
        # Where each of their logits is found there.
        self._keep(
            "spots", [row * self.padded[1] + i for row, size in enumerate(sizes) for i in range(size)]
        )
        for name, entries in (("offset", spec.offset), ("scale", spec.scale)):
            each = entries if len(entries) > 1 else entries * len(kinds)
            counts = torch.tensor([each[i] for i in places["count"]])
            self.register_buffer(name, counts, persistent=False)

    order: Tensor
    real: Tensor
    boolean: Tensor
    count: Tensor
    category: Tensor
    read: Tensor
    read_real: Tensor
    read_boolean: Tensor
    read_count: Tensor
    spots: Tensor
    offset: Tensor
    scale: Tensor

    def _keep(self, name: str, places: list[int]) -> None:
        self.register_buffer(name, torch.tensor(places, dtype=torch.long), persistent=False)

    def forward(self, params: Tensor) -> Observation:
        params = distributions.full_precision(params)
        return MixedObservation(self, *params.split(self.widths, dim=-1))

    def start_at_errors(self, variance: Tensor) -> None:
        """Starts the scales of the real columns at squared errors (D,) of all, in model units."""
        if self.numbers is not None:
            self.numbers.start_at_errors(variance[self.real])

    def params_for_read_mean(self, mean: Tensor) -> Tensor:
        """Computes the decoder output at which what is read of an example has the mean ``mean``.

        Args:
            mean: (n_read,) of the columns that are no categories, then the shares of their states.
        """
        columns = mean[: len(self.read)]
        real = columns[self.read_real]
        logs = (columns[self.read_count] * self.scale + self.offset).clamp_min(_LEAST_SHARE)
        rates = (logs.expm1().log() - self.offset) / self.scale
        return torch.cat(
            [
                torch.cat([real, torch.zeros_like(real)]) if self.learned else real,
                columns[self.read_boolean].logit(eps=_LEAST_SHARE),
                rates,
                mean[len(self.read) :].clamp(_LEAST_SHARE, 1.0).log(),
            ]
        )

    def by_column(self, read: Tensor) -> Tensor:
        """Brings figures of what is read (n_read,) to their columns (D,); categories have 0."""
        found = read.new_zeros(len(self.order))
        found[self.read] = read[: len(self.read)]
        return found

    def measure(self, variance: Tensor) -> None:
        """Takes the spread of draws of real columns from squared errors (D,) of all, in model units."""
        if self.numbers is not None:
            self.numbers.measure(variance[self.real])


def _gaussian(family: Mixed, real: Tensor) -> distributions.Normal:
    """The Gaussians of the real columns, (S, B, n)."""
    if family.numbers is not None:
        found: distributions.Normal = family.numbers(real)
        return found
    loc, log_scale = real.chunk(2, dim=-1) if family.learned else (real, torch.zeros_like(real))
    return distributions.Normal(loc, log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE))


class MixedObservation:
    """The distribution p(x|z) of a mixed table, batch shape (S, B), with one entry for each column."""

    def __init__(
        self, family: Mixed, real: Tensor, boolean: Tensor, count: Tensor, category: Tensor
    ) -> None:
        self._family = family
        self._real = _gaussian(family, real)
        self._boolean = distributions.Bernoulli(boolean, 1)
        # A table without counts is not asked for their dispersion at every step of training.
        self._count: NegativeBinomialObservation | None = None
        self._no_counts = count
        if family.log_dispersion is not None:
            log_mean = count * family.scale + family.offset
            log_r = family.log_dispersion().expand_as(log_mean)
            self._count = NegativeBinomialObservation(log_mean, log_r, 1)
        shape = category.shape[:-1]
        # Copied to where they belong: gradients of an index would be summed one by one.
        grid = category.new_full((*shape, math.prod(family.padded)), -torch.inf)
        logits = grid.index_copy(-1, family.spots, category).reshape(*shape, *family.padded)
        self._log_shares = F.log_softmax(logits, dim=-1)

    @property
    def mean(self) -> Tensor:
        """The most likely category, and the mean of all other columns as the model sees it."""
        counts = self._no_counts if self._count is None else self._seen(self._count.mean)
        return self._together(self._real.mean, self._boolean.mean, counts, self._best().float())

    def sample(self) -> Tensor:
        """Draws one x for each z."""
        counts = self._no_counts if self._count is None else self._seen(self._count.sample())
        shares = self._log_shares.exp()
        flat = shares.reshape(-1, shares.shape[-1])
        drawn = self._best()
        if len(flat):
            drawn = self._family.words.drawn(choices(flat).reshape(shares.shape[:-1]))
        return self._together(self._real.sample(), self._boolean.sample(), counts, drawn.float())

    def entries(self, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes the log-probability of each column in nats, zero where the mask is false.

        A category that was never seen has the probability of any such (``Column.unseen``).
        """
        if mask is not None:
            target = target.masked_fill(~mask, 0.0)
        family = self._family
        real, boolean, count, category = (
            target[..., places]
            for places in (family.real, family.boolean, family.count, family.category)
        )
        if self._count is None:
            count = self._no_counts
        else:
            n = torch.expm1(count * family.scale + family.offset).round().clamp_min(0)
            count = self._count.each(n)
        shares = self._of_words(category.round().long().expand(self._log_shares.shape[:-1]))
        found = self._together(self._real.entries(real), self._boolean.entries(boolean), count, shares)
        return found if mask is None else found * mask

    def log_prob(self, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes the log-probability of each example in nats, of its observed columns when masked."""
        return self.entries(target, mask).sum(-1)

    def errors(self, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes how wrong the mean is in each column, (S, B, D); zero where the mask is false.

        0 or 1 for categories and booleans, else the square of the difference, in model units.
        """
        off = self.mean - (target if mask is None else target.masked_fill(~mask, 0.0))
        found = off.square()
        classes = torch.cat([self._family.boolean, self._family.category])
        found[..., classes] = (off[..., classes].abs() > 0.5).to(found)
        return found if mask is None else found * mask

    def shares(self) -> Tensor:
        """Computes the probabilities (S, B, C, K) of all states of categories, padded with 0."""
        return self._log_shares.exp()

    def states(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Finds the states of the categories (B, C) of a target, and which of these were ever seen."""
        found: tuple[Tensor, Tensor] = self._family.words(codes.round().long())
        return found

    def _of_words(self, codes: Tensor) -> Tensor:
        """Computes the log-probabilities (S, B, C) of words."""
        words = self._family.words
        states, known = words(codes)
        shares = self._log_shares.gather(-1, states.unsqueeze(-1)).squeeze(-1)
        if words.shared:
            shares = shares + words.log_shares(codes)
        return torch.where(known, shares, words.log_unseen)

    def _best(self) -> Tensor:
        return self._family.words.likeliest(self._log_shares)

    def _seen(self, counts: Tensor) -> Tensor:
        """Scales log(1 + count) as the model sees it."""
        return (counts.log1p() - self._family.offset) / self._family.scale

    def _together(self, real: Tensor, boolean: Tensor, count: Tensor, category: Tensor) -> Tensor:
        """Puts the columns of all kinds into the table's own order."""
        return torch.cat([real, boolean, count, category], dim=-1)[..., self._family.order]
