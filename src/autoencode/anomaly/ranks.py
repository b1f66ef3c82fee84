"""Places of values among those of their column, on the scale of a normal distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from autoencode.data.values.moments import column_quantiles
from autoencode.types import Array

_QUANTILES = 1_000
FARTHEST = 4.0  # standard deviations


@dataclass(frozen=True)
class Ranks:
    """Normal scores: the place of a value among the training values, through the normal quantile.

    A long tail then counts no more than a short one, and two values in a dense part are apart. Equal
    values get the middle of their places.

    Attributes:
        quantiles: (Q, P) of the training values, each column in order.
        offset, scale: (P,) that bring the training rows to mean 0 and variance 1.

    Example:
        >>> ranks = Ranks.from_values(np.array([[0.0], [1.0], [1000.0]]))
        >>> ranks(np.array([[1.0], [1e9]])).round(2).tolist()
        [[0.0], [1.22]]
    """

    quantiles: Array
    offset: Array
    scale: Array

    @classmethod
    def from_values(cls, x: Array) -> Ranks:
        """Builds the ranks among training rows (N, P)."""
        quantiles = column_quantiles(x, np.linspace(0, 1, min(_QUANTILES, len(x))))
        bare = cls(quantiles, np.zeros(x.shape[1]), np.ones(x.shape[1]))
        scores = bare(x)
        deviation = scores.std(0)
        return cls(quantiles, scores.mean(0), np.where(deviation > 1e-9, deviation, 1.0))

    def __call__(self, x: Array) -> Array:
        levels = np.linspace(0, 1, len(self.quantiles))
        scores = np.empty_like(x, dtype=np.float64)
        for j in range(x.shape[1]):
            knots = self.quantiles[:, j]
            below = np.interp(x[:, j], knots, levels)
            above = np.interp(-x[:, j], -knots[::-1], -levels[::-1])
            scores[:, j] = 0.5 * (below - above)
        normal = torch.special.ndtri(torch.from_numpy(scores)).numpy().clip(-FARTHEST, FARTHEST)
        result: Array = (normal - self.offset) / self.scale
        return result
