"""Shares of a row's anomaly score among its entries: what makes it anomalous."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch

from autoencode.anomaly.reconstructed import Reconstructed
from autoencode.anomaly.scores import Scorer
from autoencode.data import Examples, Resident
from autoencode.data.values.vocabulary import Unseen
from autoencode.trained import Trained
from autoencode.trained.trained import CHUNK
from autoencode.types import Array

_STEPS = 32


@dataclass(frozen=True)
class Explanation:
    """Shares of the anomaly scores of N rows among their entries.

    Attributes:
        shares: (N, *D) summing to ``scores`` over the entries of a row.
        scores: (N,) the anomaly scores, higher is more anomalous.
        names: of the D entries, where they have any.
        unseen: values that are no category which training saw, with their rows among these.
    """

    shares: Array
    scores: Array
    names: tuple[str, ...] = ()
    unseen: tuple[Unseen, ...] = ()

    def first(self, n: int) -> Explanation:
        """Gives the explanation of the first n rows alone."""
        few = tuple(one.of(np.arange(min(n, len(self.scores)))) for one in self.unseen)
        return Explanation(self.shares[:n], self.scores[:n], self.names, few)

    def never_seen(self, row: int) -> dict[str, str]:
        """Finds the values of a row that are no category which training saw, by their columns."""
        return {
            one.column: one.words[i]
            for one in self.unseen
            for i in np.flatnonzero(one.rows == row).tolist()
        }

    def top(self, row: int, n: int = 5) -> list[tuple[str, float]]:
        """Finds the n entries that add most to a row's score, with what they add.

        Example:
            >>> Explanation(np.array([[0.1, 0.7]]), np.array([0.8]), ("age", "height")).top(0, 1)
            [('height', 0.7)]
        """
        flat = self.shares[row].reshape(-1)
        first = np.argsort(-flat, kind="stable")[:n]
        return [(self._name(int(i)), float(flat[i])) for i in first]

    def _name(self, i: int) -> str:
        if self.names:
            return self.names[i]
        place = np.unravel_index(i, self.shares.shape[1:])
        return f"x{i}" if len(place) == 1 else str(tuple(int(axis) for axis in place))


def explained(
    trained: Trained,
    scorer: Scorer,
    examples: Examples,
    seen: Reconstructed,
    keys: list[bytes],
    score: str,
    scores: Array | None = None,
) -> Explanation:
    """Shares out a score of N rows among their entries.

    Args:
        trained: the model.
        scorer: what compared the rows with its training rows.
        examples: the rows.
        seen: the rows as the model reconstructs them.
        keys: what tells them apart (``row_keys``).
        score: one of ``SCORES``.
        scores: (N,) what the scorer gives them, where that is known.

    The score ``latent`` is no sum over entries; its shares are integrated gradients along the line
    from the mean training row, brought to the sum. They may be negative.

    Axiomatic Attribution for Deep Networks (Sundararajan, Taly & Yan, 2017),
    https://arxiv.org/abs/1703.01365
    """
    if scores is None:
        scores = scorer.scores(seen, keys, score)
    if score == "latent":
        flat = _integrated(trained, scorer, examples, scores)
    else:
        flat = scorer.parts(seen, keys, score)
    names = tuple(column.name for column in trained.spec.columns)
    return Explanation(flat.reshape(len(flat), *trained.spec.shape), scores, names, examples.unseen)


def _integrated(trained: Trained, scorer: Scorer, examples: Examples, scores: Array) -> Array:
    model = copy.deepcopy(trained.model).eval()
    center = torch.from_numpy(scorer.center).float().to(trained.device)
    precision = torch.from_numpy(scorer.precision).float().to(trained.device)
    pieces = []
    for batch in Resident(examples, trained.spec, trained.device).batches(CHUNK):
        x = batch.x
        known = torch.ones_like(x, dtype=torch.bool) if batch.mask is None else batch.mask
        # Standardised columns have mean 0; a missing value is missing all along the line.
        start = torch.zeros_like(x)
        total = torch.zeros_like(x)
        for step in range(_STEPS):
            point = start + (x - start) * ((step + 0.5) / _STEPS)
            point = point.detach().requires_grad_()
            far = model.embed(point).flatten(1) - center
            value = (far @ precision * far).sum()
            (slope,) = torch.autograd.grad(value, point)
            total += slope / _STEPS
        pieces.append(torch.where(known, total * (x - start), 0.0).flatten(1).cpu().numpy())
    parts = np.concatenate(pieces).astype(np.float64)
    rest = scores - parts.sum(1)
    shares: Array = parts + (rest / parts.shape[1])[:, None]
    return shares
