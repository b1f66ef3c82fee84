"""An estimator base that scores rows by a model and gives p-values by a second one."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from autoencode.anomaly import (
    SCORES,
    Calibration,
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
from autoencode.anomaly.traced import Judge
from autoencode.data import Data, Examples
from autoencode.errors import OptionError, ThresholdWarning, nearest
from autoencode.estimators.base import CoreEstimator
from autoencode.estimators.own_options import check_loss, rows_to_validate_on
from autoencode.estimators.parts import LearnsWhenAsked, Parts
from autoencode.estimators.saved import SavedState
from autoencode.export import Part, Port
from autoencode.files.sparse_rows import is_sparse, sparse_rows
from autoencode.trained import Trained
from autoencode.trained.exported import MOST_CHECKED, example_ports, frozen, inputs_of
from autoencode.trained.model_files import sha256_of
from autoencode.types import Array

_MOST_HELD = 1_000  # for p-values down to 0.001
_DOUBT = (
    "no threshold can be told from these rows: many lie far out, but no gap sets them apart, so none "
    "is called anomalous; say what share is (contamination=0.1), or may be false alarms (fdr=0.05)"
)
_JUDGE = "judge"  # the folder of the model that p-values come from


class ScoredEstimator(LearnsWhenAsked, CoreEstimator):
    """An estimator that scores rows by its model, and gives p-values by a model of most of the rows.

    Beside what ``CoreEstimator`` reads, subclasses have the parameters contamination, measure,
    calibration and trim.

    Attributes:
        offset_: minus the score above which a row is called anomalous.
        doubt_: why ``offset_`` is no sound threshold, empty where it is one.
    """

    contamination: str | float
    measure: str
    calibration: float
    trim: float
    offset_: float
    doubt_: str
    _learned: ScoredModel
    _rows: Data
    _drawn: int
    _calibration: Calibration | None
    _parts: Parts | None = None

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

    def _fit(self, X: Any, validation_data: Any = None) -> tuple[Examples, Reconstructed]:
        """Fits, and gives the training rows as they are stored and as the model reconstructs them."""
        self._check_options()
        check_loss(self.loss)
        X = self._checked(X, reset=True)
        if is_sparse(X):  # rows are compared with each other entry by entry
            X = sparse_rows(X).dense()
        seed = self._seed()
        prepared, spec, notices = self._prepared(X)
        held_out = rows_to_validate_on(validation_data, spec, pairs=False)
        data = Data("array", prepared.bounded(), None, spec, notices, validation=held_out)
        examples = data.train.bounded()
        learned, seen = self._learn(data, np.arange(len(examples)), seed, self._before())
        self._parts = None
        self._learned, self._rows, self._drawn = learned, data, seed
        self._calibration = None
        self._set_threshold(seen, examples)
        self._adopt(learned.trained, learned.history)
        return examples, seen

    def _learn(
        self, data: Data, rows: Array, seed: int, before: Trained | None = None
    ) -> tuple[ScoredModel, Reconstructed]:
        """Trains a model of these rows; gives it, with what compares others with them, and the rows.

        Args:
            data: where the rows are.
            rows: their numbers.
            seed: of all that is drawn.
            before: the model that it goes on from in a warm start.
        """
        examples = data.train.bounded().take(rows)
        spec = data.spec
        if before is None:
            spec = standardized_entries(spec, examples.x, self.standardize or "columns")
        keys = row_keys(examples.x)
        plain, ranked = plain_rows(spec, examples), spec.layout == "row"
        apart = rows_apart(plain, keys, seed) if ranked else np.zeros(len(examples), bool)
        typical = typical_rows(plain, keys, seed, self.trim, apart)
        own = replace(data, train=examples.take(typical), test=None, spec=spec)
        trained, history = self._train_on(own, seed, before)
        seen = reconstruct_rows(trained, examples)
        scorer = Scorer.fit(seen, keys, ranked=ranked, typical=typical, seed=seed, apart=apart)
        return ScoredModel(trained, history, scorer), seen

    def _calibrated(self) -> Calibration:
        """Gives the scores of rows by a model of most of the others, in which they had no part."""
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
        learned = examples.take(rows).x
        limit = model.threshold(seen, learned, self.measure)
        self._calibration = Calibration(model, model.scores(examples.take(held), self.measure), limit)
        if not everyone:
            return None
        scores = np.empty(len(examples))
        scores[held] = self._calibration.scores
        scores[rows] = model.scorer.scores(seen, row_keys(learned), self.measure)
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
        return self._calibrated().scores

    def _state_to_save(self) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Trained]]:
        if self.is_calibrated:
            self._calibrated()
        tensors = self._learned.tensors("main.")
        tensors["offset"] = torch.tensor([self.offset_], dtype=torch.float64)
        facts: dict[str, Any] = {"seed": self._drawn, "judge": "none", "doubt": self.doubt_}
        parts = {}
        if self._known_rows() is not None:  # for parts that may come
            sample = self._begun_parts().sample
            tensors["rows"] = torch.from_numpy(np.ascontiguousarray(sample.rows))
            facts["rows_seen"] = sample.seen
        if self._calibration is not None:
            judge, limit = self._calibration.judge, self._calibration.limit
            tensors["calibration"] = torch.from_numpy(self._calibration.scores.copy())
            if limit is not None:
                tensors["limit"] = torch.tensor([limit], dtype=torch.float64)
            facts["judge"] = "model"
            if judge is not self._learned:
                facts["judge"] = sha256_of(judge.trained)
                tensors |= judge.tensors("judge.")
                parts[_JUDGE] = judge.trained
        return facts, tensors, parts

    def part(self, name: str) -> Part:
        """Makes a part that can be exported, one of ``autoencode.export.PARTS``.

        For ``score`` the model that p-values come from is trained where it was not asked for yet.

        Raises
        ------
        autoencode.errors.IncompatibleError
            When there is none of that name.
        """
        if name != "score":
            return super().part(name)
        spec, learned = self._trained.spec, self._learned
        calibration = self._calibrated() if self.is_calibrated else None
        judge = None
        if calibration is not None:
            judge = (calibration, frozen(calibration.judge.trained.recipe.model))
        module = Judge(
            (learned, frozen(learned.trained.recipe.model)),
            self.measure,
            -self.offset_,
            judge,
        )
        outputs = [
            Port("score", "float64", (), f"{self.measure}: {SCORES[self.measure]}; higher is odder"),
            Port("pvalue", "float64", (), "how often a row like the training rows scores as high"),
            Port("anomalous", "bool", (), "whether the score is above the threshold"),
        ]
        if calibration is None:
            del outputs[1]

        def judged(rows: Examples) -> list[Array]:
            found = self._judged(self._scored(rows, keep=0), None, calibration is not None)
            beside = [] if found.pvalues is None else [found.pvalues]
            return [found.scores, *beside, found.flags]

        return Part(
            name,
            module,
            example_ports(spec),
            tuple(outputs),
            lambda rows: inputs_of(rows, spec),
            judged,
            {},
            -self.offset_,
        )

    def rows_to_check(self, data: Any = None) -> tuple[Examples, str]:
        """Gives examples by which an exported file is checked, and says where they came from.

        Without data the training rows, where they are known, and the same with every entry taken from
        another row, many of which are anomalous.
        """
        known = self._known_rows()
        if data is not None or known is None:
            return super().rows_to_check(data)
        rows = known[0][: MOST_CHECKED // 2]
        rng = np.random.default_rng(self._drawn)
        flat = rows.reshape(len(rows), -1)
        mixed = np.stack([rng.permutation(column) for column in flat.T], axis=1)
        both = np.concatenate([rows, mixed.reshape(rows.shape)])
        return Examples(both), "training rows, and the same with their entries shuffled"

    def _restore(self, kept: SavedState) -> None:
        self._check_options()
        self._learned = ScoredModel.of_tensors(kept.trained, kept.tensors, "main.")
        self._drawn = kept.seed()
        self.offset_ = float(kept.numbers("offset", 1)[0])
        self.doubt_ = str(kept.facts.get("doubt", ""))
        self._calibration = None
        if "rows" in kept.tensors:
            self._kept = kept.rows("rows", kept.trained.spec.shape)
        by = kept.facts.get("judge")
        if by == "none":
            return
        judge = self._learned
        if by != "model":
            judge = ScoredModel.of_tensors(kept.part(_JUDGE, str(by)), kept.tensors, "judge.")
        limit = float(kept.numbers("limit", 1)[0]) if "limit" in kept.tensors else None
        self._calibration = Calibration(judge, kept.numbers("calibration"), limit)

    def _known_rows(self) -> tuple[Array, int] | None:
        """Gives rows that were fitted on, as they are stored, and how many they stand for."""
        if "_rows" not in self.__dict__:
            return self.__dict__.get("_kept")
        rows: Array = self._rows.train.bounded().x
        return rows, len(rows) if self._parts is None else self._parts.sample.seen

    def _begun_parts(self) -> Parts:
        """Begins to learn in parts, with the rows of ``fit`` as the first of them.

        Raises:
            OptionError: when the model is fitted and its rows are not known.
        """
        known, spec = self._known_rows(), self._trained.spec
        if known is None:
            raise OptionError(
                "the rows that the detector was fitted on are not known, so no part can be added to "
                "them; fit it anew, or set warm_start=True and fit"
            )
        if "_rows" in self.__dict__:
            spec = self._rows.spec
        parts = Parts(spec, self._drawn)
        parts.sample.add(known[0])
        parts.sample.seen = known[1]
        return parts

    def _set_threshold(self, seen: Reconstructed, train: Examples) -> None:
        share = None if self.contamination == "auto" else float(self.contamination)
        self.offset_ = -self._learned.threshold(seen, train.x, self.measure, share)
        doubted = share is None and self._learned.is_in_doubt(seen, train.x, self.measure)
        self.doubt_ = _DOUBT if doubted else ""

    def _tell_doubt(self) -> None:
        if self.doubt_:
            warnings.warn(self.doubt_, ThresholdWarning, stacklevel=3)

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
            scores = self._judges_scores(rows.examples, rows.scores, fitted)
            p = conformal_pvalues(scores, self._calibrated().scores)
            if fdr is not None:
                flags, threshold = self._discoveries(scores, fdr), math.nan
        return Judgement(rows.scores, flags, p, threshold, rows)

    def _discoveries(self, scores: Array, fdr: float) -> Array:
        """Chooses rows (N,) by the judge's scores, so that about a share ``fdr`` of them is usual."""
        return benjamini_hochberg(self._calibrated().pvalues(scores, self.measure), fdr)

    def _judges_scores(
        self, examples: Examples, known: Array | None = None, fitted: bool = False
    ) -> Array:
        """Computes the scores (N,) that p-values come from; ``known`` are those by the model itself."""
        if fitted and self._calibration is None:
            scores = self._calibrate(everyone=True)
            assert scores is not None
            return scores
        judge = self._calibrated().judge
        if judge is self._learned and known is not None:
            return known
        return judge.scores(examples, self.measure)
