"""An estimator base that scores rows by a model and gives p-values by a second one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from autoencode.anomaly import (
    SCORES,
    Judgement,
    Reconstructed,
    ScoredModel,
    ScoredRows,
    Scorer,
    benjamini_hochberg,
    conformal_pvalues,
    plain_rows,
    reconstruct_rows,
    row_keys,
    rows_apart,
    standardized_entries,
    typical_rows,
)
from autoencode.anomaly.judgement import MOST_KEPT
from autoencode.data import Data, Examples
from autoencode.errors import OptionError, nearest
from autoencode.estimators.base import CoreEstimator
from autoencode.estimators.saved import SavedState
from autoencode.trained import Trained
from autoencode.trained.model_files import sha256_of
from autoencode.types import Array

_MOST_HELD = 1_000  # for p-values down to 0.001
_JUDGE = "judge"  # the folder of the model that p-values come from


class ScoredEstimator(CoreEstimator):
    """An estimator that scores rows by its model, and gives p-values by a model of most of the rows.

    Beside what ``CoreEstimator`` reads, subclasses have the parameters contamination, measure,
    calibration and trim.

    Attributes:
        offset_: minus the score above which a row is called anomalous.
    """

    contamination: str | float
    measure: str
    calibration: float
    trim: float
    offset_: float
    _learned: ScoredModel
    _rows: Data
    _drawn: int
    _calibration: tuple[ScoredModel, Array] | None

    def _check_options(self) -> None:
        if not isinstance(self.measure, str) or self.measure not in SCORES:
            raise OptionError(f"unknown measure {self.measure!r}; {nearest(str(self.measure), SCORES)}")
        share = self.contamination
        if share != "auto" and not (isinstance(share, int | float) and 0 < share <= 0.5):
            raise OptionError(f"contamination must be 'auto' or lie in (0, 0.5], got {share!r}")
        for name in ("calibration", "trim"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0 <= value < 1):
                raise OptionError(f"{name} must lie in [0, 1), got {value!r}")

    def _fit(self, X: Any) -> tuple[Examples, Reconstructed]:
        """Fits, and gives the training rows as they are stored and as the model reconstructs them."""
        self._check_options()
        X = self._checked(X, reset=True)
        seed = self._seed()
        prepared, spec, notices = self._prepared(X)
        data = Data("array", prepared.bounded(), None, spec, notices)
        examples = data.train.bounded()
        learned, seen = self._learn(data, np.arange(len(examples)), seed)
        self._learned, self._rows, self._drawn = learned, data, seed
        self._calibration = None
        self.offset_ = self._offset(seen, examples)
        self._adopt(learned.trained, learned.history)
        return examples, seen

    def _learn(self, data: Data, rows: Array, seed: int) -> tuple[ScoredModel, Reconstructed]:
        """Trains a model of these rows; gives it, with what compares others with them, and the rows."""
        examples = data.train.bounded().take(rows)
        spec = standardized_entries(data.spec, examples.x, self.standardize or "columns")
        keys = row_keys(examples.x)
        plain, ranked = plain_rows(spec, examples), spec.layout == "row"
        apart = rows_apart(plain, keys, seed) if ranked else np.zeros(len(examples), bool)
        typical = typical_rows(plain, keys, seed, self.trim, apart)
        own = Data(data.name, examples.take(typical), None, spec, data.notices)
        trained, history = self._train_on(own, seed)
        seen = reconstruct_rows(trained, examples)
        scorer = Scorer.fit(seen, keys, ranked=ranked, typical=typical, seed=seed, apart=apart)
        return ScoredModel(trained, history, scorer), seen

    def _calibrated(self) -> tuple[ScoredModel, Array]:
        """Gives a model of most rows and its scores of the others, which had no part in it."""
        check_is_fitted(self, "trained_")
        if self._calibration is None:
            self._calibrate()
        assert self._calibration is not None
        return self._calibration

    def _calibrate(self, everyone: bool = False) -> Array | None:
        """Trains the model that p-values come from, and scores by it the rows that were held out.

        Args:
            everyone: whether to score the rows it was trained on too.

        Returns:
            Scores (N,) of all training rows, or ``None`` where they were not asked for.
        """
        if not hasattr(self, "_rows"):
            raise OptionError("p-values need rows that the model was not trained on; hold some out")
        if not (n_held := self._n_held_out()):
            raise OptionError("no row can be held out; fit with calibration above 0 and more rows")
        examples = self._rows.train.bounded()
        order = np.random.default_rng([self._drawn, 0]).permutation(len(examples))
        held, rows = np.sort(order[:n_held]), np.sort(order[n_held:])
        model, seen = self._learn(self._rows, rows, self._drawn)
        self._calibration = model, model.scores(examples.take(held), self.measure)
        if not everyone:
            return None
        scores = np.empty(len(examples))
        scores[held] = self._calibration[1]
        scores[rows] = model.scorer.scores(seen, row_keys(examples.take(rows).x), self.measure)
        return scores

    @property
    def is_calibrated(self) -> bool:
        """Whether ``pvalues`` can be asked for, since there are rows to hold out or were."""
        return self._calibration is not None or (hasattr(self, "_rows") and self._n_held_out() > 0)

    def _n_held_out(self) -> int:
        """Counts the training rows that can be held out for p-values."""
        n = len(self._rows.train.bounded())
        return max(0, min(round(self.calibration * n), n - 2, _MOST_HELD))

    @property
    def calibration_scores_(self) -> Array:
        """Anomaly scores (n_held_out,) of rows by a model that was trained without them."""
        return self._calibrated()[1]

    def _state_to_save(self) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Trained]]:
        if self.is_calibrated:
            self._calibrated()
        tensors = self._learned.tensors("main.")
        tensors["offset"] = torch.tensor([self.offset_], dtype=torch.float64)
        facts, parts = {"seed": self._drawn, "judge": "none"}, {}
        if self._calibration is not None:
            judge, scores = self._calibration
            tensors["calibration"] = torch.from_numpy(scores.copy())
            facts["judge"] = "model"
            if judge is not self._learned:
                facts["judge"] = sha256_of(judge.trained)
                tensors |= judge.tensors("judge.")
                parts[_JUDGE] = judge.trained
        return facts, tensors, parts

    def _restore(self, kept: SavedState) -> None:
        self._check_options()
        self._learned = ScoredModel.of_tensors(kept.trained, kept.tensors, "main.")
        self._drawn = kept.seed()
        self.offset_ = float(kept.numbers("offset", 1)[0])
        self._calibration = None
        by = kept.facts.get("judge")
        if by == "none":
            return
        judge = self._learned
        if by != "model":
            judge = ScoredModel.of_tensors(kept.part(_JUDGE, str(by)), kept.tensors, "judge.")
        self._calibration = judge, kept.numbers("calibration")

    def _offset(self, seen: Reconstructed, train: Examples) -> float:
        share = None if self.contamination == "auto" else float(self.contamination)
        return -self._learned.threshold(seen, train.x, self.measure, share)

    def _scored(
        self, examples: Examples, seen: Reconstructed | None = None, keep: int | None = MOST_KEPT
    ) -> ScoredRows:
        """Scores rows, of which ``seen`` may be known; of the ``keep`` worst it stays known."""
        return ScoredRows.from_pass(self._learned, self.measure, examples, seen=seen, keep=keep)

    def _judged(
        self, rows: ScoredRows, fdr: float | None, pvalues: bool | None, *, fitted: bool = False
    ) -> Judgement:
        """Flags scored rows and gives them p-values; ``fitted`` where they are those of ``fit``."""
        p, flags, threshold = None, rows.scores > -self.offset_, -self.offset_
        if fdr is not None or (self.is_calibrated if pvalues is None else pvalues):
            p = self._pvalues(rows.examples, rows.scores, fitted)
        if fdr is not None and p is not None:
            flags, threshold = benjamini_hochberg(p, fdr), math.nan
        return Judgement(rows.scores, flags, p, threshold, rows)

    def _pvalues(self, examples: Examples, known: Array | None = None, fitted: bool = False) -> Array:
        """Computes p-values (N,) of rows; ``known`` are their scores by the detector's own model."""
        scores = None
        if fitted and self._calibration is None:
            scores = self._calibrate(everyone=True)
        model, calibration = self._calibrated()
        if scores is None and model is self._learned:
            scores = known
        if scores is None:
            scores = model.scores(examples, self.measure)
        return conformal_pvalues(scores, calibration)
