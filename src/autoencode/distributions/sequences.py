"""Rows of integers, each of which depends on those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from autoencode.errors import IncompatibleError
from autoencode.randomness import choices

_AT_ONCE = 500  # rows that are drawn together


class NextInteger(Protocol):
    """A network that gives the logits of integers in sight of those before them."""

    def __call__(self, codes: Tensor) -> Tensor:
        """Logits (N, T, K) of rows (N, T)."""

    def begin(self, n: int) -> tuple[Tensor, Any]:
        """Rows (n, 0) and memories of nothing."""

    def following(self, codes: Tensor, memories: Any) -> Tensor:
        """Logits (N, K) of what comes after rows (N, t), of which the last is new to the memories."""


class IntegerRows:
    """p(c) = p(c_1) p(c_2|c_1) ... of integers of any shape, in the order of their flat row.

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
        """Log-probability of integers (..., *shape), nats; exact."""
        rows = value.long().reshape(-1, torch.Size(self.shape).numel())
        found = self.network(rows).float().log_softmax(-1).gather(-1, rows.unsqueeze(-1))
        return found.squeeze(-1).sum(-1).reshape(value.shape[: value.dim() - len(self.shape)])

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws (*sample_shape, *shape), int64 and so without a gradient."""
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
