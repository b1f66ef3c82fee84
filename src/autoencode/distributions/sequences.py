"""Distributions of rows of integers, each of which depends on those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from autoencode.errors import IncompatibleError
from autoencode.randomness import choices

_AT_ONCE = 500  # rows that are drawn together


class NextInteger(Protocol):
    """A network that gives the logits of each integer of a row, given those before it."""

    def __call__(self, codes: Tensor) -> Tensor:
        """Computes the logits (N, T, K) of rows of integers (N, T)."""

    def begin(self, n: int) -> tuple[Tensor, Any]:
        """Starts n empty rows (n, 0) and their empty memories."""

    def following(self, codes: Tensor, memories: Any) -> Tensor:
        """Computes the logits (N, K) of the next integer of rows (N, t); only the last one is new."""


class IntegerRows:
    """The distribution p(c_1) p(c_2|c_1) ... of integers of any shape, taken as one flat row.

    Args:
        network: gives the conditional distributions.
        shape: of one example's integers.
    """

    def __init__(self, network: NextInteger, shape: Sequence[int]) -> None:
        self.network, self.shape = network, tuple(shape)

    @property
    def mean(self) -> Tensor:
        """Raises ``IncompatibleError``: integers that stand for vectors have none."""
        raise IncompatibleError("integer codes have no mean; draw some with rsample")

    def log_prob(self, value: Tensor) -> Tensor:
        """Computes the exact log-probability of integers (..., *shape), nats."""
        rows = value.long().reshape(-1, torch.Size(self.shape).numel())
        found = self.network(rows).float().log_softmax(-1).gather(-1, rows.unsqueeze(-1))
        return found.squeeze(-1).sum(-1).reshape(value.shape[: value.dim() - len(self.shape)])

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws integers (*sample_shape, *shape), int64 and so without a gradient."""
        n = sample_shape.numel()
        starts = range(0, n, _AT_ONCE)
        rows = torch.cat([self._draw(min(_AT_ONCE, n - first)) for first in starts])
        return rows.reshape(*sample_shape, *self.shape)

    @torch.no_grad()
    def _draw(self, n: int) -> Tensor:
        rows, memories = self.network.begin(n)
        for _ in range(torch.Size(self.shape).numel()):
            shares = self.network.following(rows, memories).float().softmax(-1)
            rows = torch.cat([rows, choices(shares)], dim=1)
        return rows
