"""Judgements of rows: scores, flags, p-values and reasons from one pass through a model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from autoencode.anomaly.explain import Explanation, explained
from autoencode.anomaly.memory import row_keys
from autoencode.anomaly.reconstructed import Reconstructed, reconstruct_rows
from autoencode.anomaly.scored_model import ScoredModel
from autoencode.data import Examples
from autoencode.errors import OptionError
from autoencode.types import Array

#: Rows whose reconstructions a judgement keeps, the most anomalous ones.
MOST_KEPT = 10_000


def most_anomalous(scores: Array, n: int) -> Array:
    """Finds the numbers of the n rows with the highest scores (N,), the highest first."""
    return np.argsort(-scores, kind="stable")[:n]


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """N rows with their anomaly scores, and the reconstructions of some of them.

    Attributes:
        model: what scored them.
        measure: the score, one of ``SCORES``.
        examples: the rows as they are stored.
        scores: (N,) higher is more anomalous.
        kept: (K,) the numbers of the rows whose reconstructions are at hand.
        seen: those reconstructions.
    """

    model: ScoredModel
    measure: str
    examples: Examples
    scores: Array
    kept: Array
    seen: Reconstructed

    @classmethod
    def from_pass(
        cls,
        model: ScoredModel,
        measure: str,
        examples: Examples,
        *,
        seen: Reconstructed | None = None,
        keep: int | None = None,
    ) -> ScoredRows:
        """Scores rows by one pass through the model.

        Args:
            model: what scores them.
            measure: one of ``SCORES``.
            examples: N rows.
            seen: the rows as that model reconstructed them, where it has done so already.
            keep: of how many rows, the most anomalous, the reconstructions are kept; all by default.
        """
        if seen is None:
            seen = reconstruct_rows(model.trained, examples)
        scores = model.scorer.scores(seen, row_keys(examples.x), measure)
        if keep is None or keep >= len(scores):
            return cls(model, measure, examples, scores, np.arange(len(scores)), seen)
        kept = most_anomalous(scores, keep)
        return cls(model, measure, examples, scores, kept, seen.take(kept))

    def explain(self, rows: Array | None = None) -> Explanation:
        """Shares out the scores of rows, by number, among their entries; of all rows by default.

        Rows whose reconstructions were not kept go through the model again.
        """
        rows = np.arange(len(self.scores)) if rows is None else rows
        if not len(rows):  # as one row is explained, without it
            one = self.explain(np.arange(1))
            return one.first(0)
        examples, seen = self.examples.take(rows), self.reconstructed(rows)
        keys, scores = row_keys(examples.x), self.scores[rows]
        model = self.model
        return explained(model.trained, model.scorer, examples, seen, keys, self.measure, scores)

    def reconstructed(self, rows: Array) -> Reconstructed:
        """Gives the rows with these numbers (M,) as the model reconstructs them."""
        places = np.full(len(self.scores), -1)
        places[self.kept] = np.arange(len(self.kept))
        if (places[rows] < 0).any():
            return reconstruct_rows(self.model.trained, self.examples.take(rows))
        return self.seen.take(places[rows])


@dataclass(frozen=True, eq=False)
class Judgement:
    """Judgement of N rows by a detector: scores, flags, p-values and reasons.

    Attributes:
        scores: (N,) anomaly scores, higher is more anomalous.
        flags: (N,) which rows are called anomalous.
        pvalues: (N,) conformal p-values, or ``None`` where there are none.
        threshold: the score above which rows are called anomalous, NaN where p-values decided.
    """

    scores: Array
    flags: Array
    pvalues: Array | None
    threshold: float
    _rows: ScoredRows = field(repr=False)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def x(self) -> Array:
        """The rows (N, *D) that were judged, in the data's own units; of a table its matrix."""
        return self._rows.examples.x

    def most_anomalous(self, n: int) -> Array:
        """Finds the numbers of the n rows with the highest scores, the highest first."""
        return most_anomalous(self.scores, n)

    def explain(self, rows: ArrayLike | None = None) -> Explanation:
        """Says what each entry of rows adds to their scores; of all rows by default.

        The 10 000 most anomalous rows are explained from the pass that scored them; rows beyond go
        through the model again.

        Args:
            rows: their numbers (M,), or a mask (N,).
        """
        return self._rows.explain(None if rows is None else self._numbers(rows))

    def reconstructed(self, rows: ArrayLike) -> Reconstructed:
        """Gives rows, by number or mask, as the model reconstructs them; kept as for ``explain``."""
        return self._rows.reconstructed(self._numbers(rows))

    def _numbers(self, rows: ArrayLike) -> Array:
        """Reads numbers of rows, or a mask of all.

        Raises:
            OptionError: for a mask of another length, or numbers that no row has.
        """
        n, given = len(self), np.atleast_1d(np.asarray(rows))
        if given.dtype == bool:
            if given.shape != (n,):
                raise OptionError(f"a mask of rows needs {n} entries, got {given.size}")
            return np.flatnonzero(given)
        if given.size and given.dtype.kind not in "iu":
            raise OptionError(f"rows are whole numbers or a mask, got {given.dtype} values")
        if given.size and not (-n <= given.min() and given.max() < n):
            raise OptionError(f"there are {n} rows, from 0, and no row {int(given.max())}")
        return given.astype(int) % n
