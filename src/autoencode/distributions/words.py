"""The words of columns of categories: which state stands for each, and how often each comes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autoencode.randomness import uniform_entries
from autoencode.types import Array, Column


class Words(nn.Module):
    """A layer that leads from words to the states that a model knows, and back.

    Words are whole numbers, their places among a column's categories. Most columns have a state for
    each word. In a column of thousands the commonest have one of their own and each other word shares
    one with its neighbours, among which it comes as often as it came in training. A word that was
    never seen (any number below 0) has no state, and the probability that the column gives to such
    (``Column.unseen``).

    Args:
        columns: C columns of categories.

    Example:
        >>> words = Words(
        ...     [Column("job", "category", ("a", "b", "c"), counts=(6, 1, 2), states=(0, 1, 1))]
        ... )
        >>> states, known = words(torch.tensor([[0], [2], [-1]]))
        >>> states.tolist(), known.tolist()
        ([[0], [1], [0]], [[True], [True], [False]])
        >>> round(words.log_shares(torch.tensor([[2]])).exp().item(), 4)
        0.6667
    """

    state: Tensor
    log_share: Tensor
    log_unseen: Tensor
    first: Tensor
    commonest: Tensor
    log_top: Tensor
    order: Tensor
    edges: Tensor

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        #: States of each column.
        self.sizes = [column.n_states for column in columns]
        #: Whether some words share a state.
        self.shared = any(column.states for column in columns)
        self._keep("log_unseen", [math.log(column.unseen) for column in columns])
        if self.shared:
            self._keep_shares([_Shares.of(column) for column in columns])

    def _keep(self, name: str, values: Any) -> None:
        self.register_buffer(name, torch.tensor(values), persistent=False)

    def _keep_shares(self, found: Sequence[_Shares]) -> None:
        """Keeps what words have of their states, those of all columns one after the other."""
        self.lengths = [len(one.state) for one in found]
        self._keep("first", [sum(self.lengths[:i]) for i in range(len(found))])
        for name in ("state", "log_share", "order", "edges"):
            self._keep(name, np.concatenate([getattr(one, name) for one in found]))
        for name in ("commonest", "log_top"):
            padded = [
                np.pad(getattr(one, name), (0, max(self.sizes) - len(one.log_top))) for one in found
            ]
            self._keep(name, np.stack(padded))

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Finds the states of words (..., C), 0 for a word that was never seen, and which were seen."""
        known = words >= 0
        found = words.clamp_min(0)
        return self.state[found + self.first] if self.shared else found, known

    def log_shares(self, words: Tensor) -> Tensor:
        """Computes the log-probability of words (..., C) in their states, 0 for states of one word."""
        return self.log_share[words.clamp_min(0) + self.first]

    def likeliest(self, log_p: Tensor) -> Tensor:
        """Finds the likeliest words (..., C) of log-probabilities of states (..., C, K)."""
        if not self.shared:
            return log_p.argmax(-1)
        best = (log_p + self.log_top).argmax(-1)
        return self.commonest.expand(*best.shape, -1).gather(-1, best.unsqueeze(-1)).squeeze(-1)

    def drawn(self, states: Tensor) -> Tensor:
        """Draws words (..., C) of states, as often as they came."""
        if not self.shared:
            return states
        places = states + uniform_entries(states.float())
        found = []
        edges, orders = self.edges.split(self.lengths), self.order.split(self.lengths)
        for i, (ends, order) in enumerate(zip(edges, orders, strict=True)):
            at = torch.searchsorted(ends, places[..., i].contiguous(), right=True)
            found.append(order[at.clamp_max(len(order) - 1)])
        return torch.stack(found, dim=-1)


@dataclass(frozen=True)
class _Shares:
    """The words of one column, W, in its K states.

    Attributes:
        state, log_share: (W,) of each word: its state, and the logarithm of its share of it.
        order, edges: (W,) the words by their states, and where each ends on a line on which each state
            has the length 1.
        commonest, log_top: (K,) of each state the commonest word, and its share of it.
    """

    state: Array
    log_share: Array
    order: Array
    edges: Array
    commonest: Array
    log_top: Array

    @classmethod
    def of(cls, column: Column) -> _Shares:
        n, k = len(column.categories), column.n_states
        state = np.array(column.states or range(n))
        # Words that came in held-out rows alone are words too.
        counts = np.maximum(1, column.counts or np.ones(n))
        share = counts / np.bincount(state, counts, minlength=k)[state]
        order = np.argsort(state, kind="stable")
        ends = np.cumsum(share[order])
        rarest_first = np.lexsort((-np.arange(n), share))
        commonest = np.zeros(k, dtype=np.int64)
        commonest[state[rarest_first]] = rarest_first  # the last one stays
        log_share = np.log(share).astype(np.float32)
        return cls(state, log_share, order, ends.astype(np.float32), commonest, log_share[commonest])
