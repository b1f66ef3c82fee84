"""Factor analysis of rows with gaps: what a Gaussian expects of the entries that are hidden.

Rows are x = mean + loadings z + noise, with z ~ N(0, I) and noise of a variance of its own in each
column, so that the entries that are known give z, and z the others, both in closed form. The fit is
maximum likelihood by expectation maximisation [1]_ over what is known; parameters are expanded by the
covariance of z [2]_, which takes a tenth of the steps.

.. [1] EM Algorithms for ML Factor Analysis (Rubin & Thayer, 1982),
   https://doi.org/10.1007/BF02293851
.. [2] Parameter Expansion to Accelerate EM: The PX-EM Algorithm (Liu, Rubin & Wu, 1998),
   https://doi.org/10.1093/biomet/85.4.755
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autoencode.randomness import uniform

#: Factors at most, so that a batch is read in some milliseconds.
MOST_FACTORS = 32
#: No bound: files hold finite numbers alone.
UNBOUNDED = torch.finfo(torch.float32).max
_ENTRIES = 1 << 21  # of second moments: rows times factors squared, 16 MB
_STEPS = 40
_ENOUGH = 1e-4  # nats per entry and step: what is left to gain is not worth the time
_LEAST_NOISE = 0.005  # of a column's variance, so that no column is trusted beyond measure
_FAR = 5.0  # standard deviations: a value beyond says no more than one there
_FIRST = 4
_ALIKE = 8  # rows of one pattern of gaps, in the mean, from which on patterns save time
_APART, _HIDDEN = 5, 0.25  # every fifth row, and a quarter of its entries, choose how many factors
_CLEARLY = 0.995  # of the squared error: less is luck, and more factors take longer


class Factors(nn.Module):
    """A layer that computes the expected factors of rows with gaps, and what they expect of each entry.

    Before it is started at data it expects the mean, 0, everywhere.

    Args:
        width: numbers in a row.
        n_factors: factors; those that the data do not ask for are left without loadings.

    Example:
        >>> factors = Factors(2, 1)
        >>> factors.loadings.fill_(1.0)  # two columns of variance 2 and covariance 1
        tensor([[1.],
                [1.]])
        >>> z = factors(torch.tensor([[1.0, 0.0]]), torch.tensor([[True, False]]))
        >>> [[round(v, 6) for v in each.flatten().tolist()] for each in (z, factors.expected(z))]
        [[0.5], [0.5, 0.5]]
    """

    def __init__(self, width: int, n_factors: int) -> None:
        super().__init__()
        self.n_factors = n_factors
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("loadings", torch.zeros(width, n_factors))
        self.register_buffer("precision", torch.ones(width))
        for name in ("low", "near_low"):
            self.register_buffer(name, torch.full((width,), -UNBOUNDED))
        for name in ("high", "near_high"):
            self.register_buffer(name, torch.full((width,), UNBOUNDED))

    mean: Tensor
    loadings: Tensor
    precision: Tensor
    low: Tensor
    high: Tensor
    near_low: Tensor
    near_high: Tensor

    @property
    def n_rows(self) -> int:
        """How many rows a fit needs at most."""
        return min(4000, _ENTRIES // self.n_factors**2)

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        """Computes E[z | known entries] of values (B, W), those not known being any number: (B, k).

        Values far out count as if they were five standard deviations away, as in the fit.
        """
        values = values.clamp(self.near_low, self.near_high)
        return _Model(self.mean, self.loadings, self.precision).scores(values, known)[0]

    def expected(self, scores: Tensor) -> Tensor:
        """Computes E[x | z] (B, W) of factors (B, k)."""
        return scores @ self.loadings.T + self.mean

    @torch.no_grad()
    def fit_to(self, values: Tensor, known: Tensor) -> None:
        """Fits mean, loadings and noise to values (N, W), of which only those known count.

        Where nothing is known all stays as it is.
        """
        values, known = values.cpu(), known.cpu()  # in float64, which not every device has
        rows = known.any(dim=1)
        if not bool(rows.any()):
            return
        known, values = known[rows], values[rows].double().masked_fill(~known[rows], 0.0)
        count = known.sum(0).clamp_min(1)
        mean = values.sum(0) / count
        spread = ((values - mean).square() * known).sum(0).div(count).sqrt()
        spread = torch.where(spread > 0, spread, 1.0)
        standard = ((values - mean) / spread).clamp(-_FAR, _FAR) * known
        found = fit_chosen(standard, known, self.n_factors)
        self.mean.copy_(mean + spread * found.mean)
        self.loadings.zero_()
        self.loadings[:, : found.loadings.shape[1]] = spread.unsqueeze(1) * found.loadings
        self.precision.copy_(found.precision / spread.square())
        self.near_low.copy_(mean - _FAR * spread)
        self.near_high.copy_(mean + _FAR * spread)
        self.low.copy_(values.masked_fill(~known, torch.inf).amin(0).nan_to_num(posinf=0.0))
        self.high.copy_(values.masked_fill(~known, -torch.inf).amax(0).nan_to_num(neginf=0.0))


@dataclass(frozen=True)
class _Model:
    """The parameters of a factor analysis: mean (W,), loadings (W, k), 1 / variance of noise (W,)."""

    mean: Tensor
    loadings: Tensor
    precision: Tensor

    def scores(self, values: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Computes E[z | known] (N, k), the root of its precision (N, k, k) and what it saw (N, k)."""
        trusted = known * self.precision
        certain = self._certain(trusted)
        seen = ((values - self.mean) * trusted) @ self.loadings
        # Never singular; without a look whether it is, which no exported program could take.
        root = torch.linalg.cholesky_ex(certain)[0]
        return torch.cholesky_solve(seen.unsqueeze(2), root).squeeze(2), root, seen

    def _certain(self, trusted: Tensor) -> Tensor:
        """Computes the precision of z (N, k, k) given entries of these precisions (N, W)."""
        k = self.loadings.shape[1]
        pairs = (self.loadings.unsqueeze(2) * self.loadings.unsqueeze(1)).flatten(1)
        certain: Tensor = (trusted @ pairs).unflatten(1, (k, k))
        return certain + torch.eye(k, device=trusted.device)

    @classmethod
    def first(cls, values: Tensor, known: Tensor, k: int) -> _Model:
        """Takes first values from the principal axes of the covariances of pairs that are known."""
        width, weight = values.shape[1], known.to(values)
        pairs = (values.T @ values) / (weight.T @ weight).clamp_min(1)
        variances, axes = torch.linalg.eigh(pairs)
        variances, axes = variances.flip(0)[:k], axes.flip(1)[:, :k]
        rest = ((width - variances.sum()) / max(1, width - k)).clamp(0.05, 1.0)
        loadings = axes * (variances - rest).clamp_min(0.01).sqrt()
        noise = (1 - loadings.square().sum(1)).clamp_min(0.05)
        return cls(values.new_zeros(width), loadings, 1 / noise)

    def step(self, values: Tensor, known: Tensor) -> tuple[_Model, float]:
        """Takes one step of EM.

        Returns:
            The next model, and the log-likelihood of this one, nats per row.
        """
        n, k, weight = len(values), self.loadings.shape[1], known.to(values)
        z, root, seen = self.scores(values, weight)
        far = (((values - self.mean) * weight).square() * self.precision).sum()
        sizes = (weight * (self.precision.log() - math.log(2 * math.pi))).sum()
        volume = 2 * root.diagonal(dim1=1, dim2=2).log().sum()
        log_likelihood = 0.5 * (sizes - volume - far + (seen * z).sum()).item() / n
        moments = values.new_ones(n, k + 1, k + 1)  # of z and a one
        moments[:, :k, :k] = torch.cholesky_inverse(root) + z.unsqueeze(2) * z.unsqueeze(1)
        moments[:, :k, k] = moments[:, k, :k] = z
        each = (weight.T @ moments.flatten(1)).unflatten(1, (k + 1, k + 1))
        return self._from_moments(values, weight, moments[:, k], each, moments.mean(0)), log_likelihood

    def step_alike(self, values: Tensor, patterns: _Patterns) -> tuple[_Model, float]:
        """Takes the step of ``step`` for rows of which many have gaps in the same columns.

        How certain z is hangs on the gaps alone, so it is computed once for each pattern of them.

        Args:
            values: (N, W) in the order of the patterns, zeros where nothing is known.
            patterns: of their gaps.
        """
        n, k, known = len(values), self.loadings.shape[1], patterns.known.to(values)
        certain, weight = self._certain(known * self.precision), patterns.weight.to(values)
        root = torch.linalg.cholesky(certain)
        covariance = torch.cholesky_inverse(root)
        deviation = (values - self.mean) * weight
        seen = (deviation * self.precision) @ self.loadings
        z = torch.cat([s @ c for s, c in zip(seen.split(patterns.times), covariance, strict=True)])
        far = (deviation.square() * self.precision).sum()
        times = torch.tensor(patterns.times).to(values)
        sizes = times @ known @ (self.precision.log() - math.log(2 * math.pi))
        volume = 2 * times @ root.diagonal(dim1=1, dim2=2).log().sum(1)
        log_likelihood = 0.5 * (sizes - volume - far + (seen * z).sum()).item() / n
        with_one = torch.cat([z, torch.ones_like(z[:, :1])], dim=1)
        moments = torch.stack([rows.T @ rows for rows in with_one.split(patterns.times)])
        moments[:, :k, :k] += times[:, None, None] * covariance
        each = (known.T @ moments.flatten(1)).unflatten(1, (k + 1, k + 1))
        return self._from_moments(values, weight, with_one, each, moments.sum(0) / n), log_likelihood

    def _from_moments(
        self, values: Tensor, weight: Tensor, z: Tensor, each: Tensor, middle: Tensor
    ) -> _Model:
        """Makes the model that is likeliest for moments of z.

        Args:
            values, weight: (N, W) rows, and a one where they are known.
            z: (N, k + 1) expected of each row, and a one.
            each: (W, k + 1, k + 1) second moments of these, summed over the rows known in a column.
            middle: (k + 1, k + 1) their mean over all rows.
        """
        k = self.loadings.shape[1]
        each.diagonal(dim1=1, dim2=2).add_(1e-9)  # a column that was never seen
        right = (values * weight).T @ z
        lines = torch.linalg.solve(each, right)
        left = ((values.square() * weight).sum(0) - (lines * right).sum(1)) / weight.sum(0).clamp_min(1)
        loadings, mean = lines[:, :k], lines[:, k]
        centre = middle[k, :k]
        turn = torch.linalg.cholesky(middle[:k, :k] - centre.unsqueeze(1) * centre)
        precision = 1 / left.clamp_min(_LEAST_NOISE)
        return _Model(mean + loadings @ centre, loadings @ turn, precision)


@dataclass(frozen=True)
class _Patterns:
    """The patterns of gaps that rows have, where many rows have the same.

    Attributes:
        known: (P, W) of each pattern.
        times: how many rows have it.
        order: (N,) the rows by their patterns.
        weight: (N, W) which entries are known, in this order.
    """

    known: Tensor
    times: list[int]
    order: Tensor
    weight: Tensor

    @classmethod
    def of(cls, known: Tensor) -> _Patterns | None:
        """Finds the patterns of rows (N, W); ``None`` where they are nearly as many as rows."""
        kinds, kind, times = known.unique(dim=0, return_inverse=True, return_counts=True)
        if len(kinds) * _ALIKE > len(known):
            return None
        order = kind.argsort(stable=True)
        return cls(kinds, times.tolist(), order, known[order])


def fit(values: Tensor, known: Tensor, k: int, steps: int = _STEPS) -> _Model:
    """Fits k factors to standardised values (N, W) by maximum likelihood over what is known."""
    model, before = _Model.first(values, known, k), -math.inf
    patterns = _Patterns.of(known)
    if patterns is not None:
        values = values[patterns.order]
    for _ in range(steps):
        if patterns is None:
            following, found = model.step(values, known)
        else:
            following, found = model.step_alike(values, patterns)
        if found - before < _ENOUGH * values.shape[1]:
            break
        model, before = following, found
    return model


def fit_chosen(values: Tensor, known: Tensor, most: int) -> _Model:
    """Fits as many factors, at most that many, as guess hidden entries of other rows best."""
    numbers = [*(k for k in (_FIRST, 2 * _FIRST, 4 * _FIRST) if k < most), most]
    apart = torch.arange(len(values), device=values.device) % _APART == 0
    if len(numbers) == 1 or len(values) < 2 * _APART:
        return fit(values, known, numbers[0])
    gone = known[apart] & (uniform(tuple(known[apart].shape), values) < _HIDDEN)
    best, chosen = math.inf, numbers[0]
    for k in numbers:
        model = fit(values[~apart], known[~apart], k, _STEPS // 3)
        z = model.scores(values[apart], known[apart] & ~gone)[0]
        wrong = (z @ model.loadings.T + model.mean - values[apart])[gone].square().mean().item()
        if wrong < _CLEARLY * best:
            best, chosen = wrong, k
    return fit(values, known, chosen)
