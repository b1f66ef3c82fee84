"""Outliers and novelties by any recipe."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from autoencode.anomaly import (
    SCORES,
    Explanation,
    ScoredModel,
    Scorer,
    benjamini_hochberg,
    conformal_pvalues,
    explained,
    plain_rows,
    reconstruct_rows,
    row_keys,
    standardized_entries,
    typical_rows,
)
from autoencode.data import Data, Examples
from autoencode.data.values.apply_spec import apply_spec
from autoencode.errors import IncompatibleError, OptionError, nearest
from autoencode.estimators.base import CoreEstimator
from autoencode.estimators.saved import SavedState
from autoencode.recipes.catalogue import ScheduleName
from autoencode.trained import Trained
from autoencode.trained.model_files import sha256_of
from autoencode.training import Observer
from autoencode.types import Array, ColumnKind

_MOST_HELD = 1_000  # for p-values down to 0.001
_JUDGE = "judge"  # the folder of its model


class AnomalyDetector(OutlierMixin, CoreEstimator):  # type: ignore[misc]
    """Finds rows, or images, that are not like the others: scores, p-values and reasons.

    An autoencoder learns the rows; a row is anomalous by how badly it is reconstructed and by how far
    its reconstruction and residual lie from those of the training rows (``docs/anomalies.md``). The
    training rows may be clean or contaminated; the tenth that lies farthest is left out of training.

    Parameters
    ----------
    recipe : str, default="mlp_masked"
        One of ``autoencode.RECIPES``.
    contamination : "auto" or float in (0, 0.5], default="auto"
        The share of training rows that ``predict`` calls outliers; "auto" sets the threshold so that
        it calls about one in a hundred rows an outlier where all are clean (``anomaly.fence``).
    measure : str, default="combined"
        The score that counts, one of ``autoencode.anomaly.SCORES``.
    calibration : float in [0, 1), default=0.2
        The share of rows (of at most 1 000 rows) that is held out where ``pvalues`` are asked for.
    trim : float in [0, 1), default=0.1
        The share of rows, those farthest from most, that the model is not trained on.
    n_components : int, default=None
        Width of the code; the recipe's own by default.
    encoder, decoder : torch.nn.Module, default=None
        Networks of your own, both or none; they are copied, never trained themselves.
    schedule : {"fast", "paper"}, default="fast"
        How it is trained.
    epochs, batch_size, lr : default=None
        The schedule's own figures by default.
    options : dict, default=None
        Any other option of the recipe or of the training plan, by name.
    column_kinds : dict, default=None
        What columns of a table are where their dtype does not tell, as for ``Autoencoder``.
    standardize : {"columns", "robust"}, default=None
        How numeric columns are scaled: by mean and standard deviation (also by default), or by median
        and interquartile range, which no anomaly moves.
    device : str, default="auto"
        auto, cpu, cuda or mps.
    random_state : int, RandomState instance or None, default=None
        Of which rows are held out, the weights, the order of examples and the noise.
    verbose : bool, default=False
        Whether to show progress on stderr.
    observer : autoencode.training.Observer, default=None
        Watches training.

    Attributes
    ----------
    offset_ : float
        ``decision_function`` is ``score_samples`` minus this.
    calibration_scores_ : ndarray of shape (n_held_out,)
        What ``pvalues`` compares with.
    trained_ : autoencode.Trained
        The model with its data contract.
    history_ : list of dict
        One entry for each epoch.
    n_features_in_ : int
        Entries of one example.
    feature_names_in_ : ndarray of str
        Names of the columns, when X has such.

    Examples
    --------
    >>> import numpy as np
    >>> from autoencode import AnomalyDetector
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(200, 1)) * [1, -1, 1, -1] + 0.1 * rng.normal(size=(200, 4))
    >>> detector = AnomalyDetector(random_state=0).fit(x)
    >>> odd = [[0.5, -0.5, 0.5, 9.0]]
    >>> detector.predict([[0.5, -0.5, 0.5, -0.5], *odd]).tolist()
    [1, -1]
    >>> detector.pvalues(odd).round(3).tolist()
    [0.024]
    >>> detector.explain(odd).top(0, 1)[0][0]
    'x3'
    """

    encoder: nn.Module | None
    decoder: nn.Module | None
    _judge: tuple[ScoredModel, Array] | None

    def __init__(
        self,
        recipe: str = "mlp_masked",
        *,
        contamination: str | float = "auto",
        measure: str = "combined",
        calibration: float = 0.2,
        trim: float = 0.1,
        n_components: int | None = None,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        schedule: ScheduleName = "fast",
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        options: Mapping[str, Any] | None = None,
        column_kinds: Mapping[str, ColumnKind] | None = None,
        standardize: Literal["columns", "robust"] | None = None,
        device: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
        observer: Observer | None = None,
    ) -> None:
        self.recipe = recipe
        self.contamination = contamination
        self.measure = measure
        self.calibration = calibration
        self.trim = trim
        self.n_components = n_components
        self.encoder = encoder
        self.decoder = decoder
        self.schedule = schedule
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.options = options
        self.column_kinds = column_kinds
        self.standardize = standardize
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.observer = observer

    # What ``CoreEstimator`` reads, and a detector has no use for.
    early_stopping, _samples = False, False
    checkpoint: str | os.PathLike[str] | None = None

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learns what is usual from rows (n, n_features), images or a table, clean or not.

        Raises
        ------
        autoencode.errors.InputError
            For data or options that cannot be used, in one line.
        """
        self._check_options()
        X = self._checked(X, reset=True)
        seed = self._seed()
        prepared, spec, notices = self._prepared(X)
        data = Data("array", prepared.bounded(), None, spec, notices)
        everything = np.arange(len(data.train))
        learned = self._learn(data, everything, seed)
        self._learned, self._rows, self._drawn = learned, data, seed
        self._judge = None
        self.offset_ = self._offset(learned, data.train.bounded())
        self._adopt(learned.trained, learned.history)
        return self

    @classmethod
    def from_trained(
        cls,
        trained: Trained,
        train: Examples,
        held_out: Examples | None = None,
        *,
        contamination: str | float = "auto",
        measure: str = "combined",
        seed: int = 0,
    ) -> Self:
        """A detector around a model that is trained already.

        Parameters
        ----------
        trained : autoencode.Trained
            The model.
        train : autoencode.data.Examples
            What it was trained on: what others are compared with.
        held_out : autoencode.data.Examples, default=None
            Rows that had no part in its training, from which ``pvalues`` are made.
        contamination, measure :
            As in the constructor.
        seed : int, default=0
            Of what is drawn, where there is more than is remembered.
        """
        detector = cls(trained.recipe.name, contamination=contamination, measure=measure)
        detector._check_options()
        if trained.spec.context_dim:
            raise IncompatibleError("a conditional model cannot judge rows without their context")
        keys, everything = row_keys(train.x), np.arange(len(train))
        ranked = len(trained.spec.shape) == 1
        scorer = Scorer.fit(
            reconstruct_rows(trained, train), keys, ranked=ranked, typical=everything, seed=seed
        )
        learned = ScoredModel(trained, [], scorer)
        detector._learned, detector._drawn = learned, seed
        detector._judge = None
        if held_out is not None and len(held_out):
            detector._judge = learned, learned.scores(held_out, measure)
        detector.offset_ = detector._offset(learned, train)
        if columns := trained.spec.columns:
            names = [column.name for column in columns]
            detector.feature_names_in_ = np.array(names, dtype=object)
        return detector._adopt(trained, [])

    def _learn(self, data: Data, rows: Array, seed: int) -> ScoredModel:
        """A model of these rows, and what compares others with them."""
        examples = data.train.bounded().take(rows)
        spec = standardized_entries(data.spec, examples.x, self.standardize or "columns")
        keys = row_keys(examples.x)
        typical = typical_rows(plain_rows(spec, examples), keys, seed, self.trim)
        own = Data(data.name, examples.take(typical), None, spec, data.notices)
        trained, history = self._train_on(own, seed)
        seen = reconstruct_rows(trained, examples)
        ranked = len(spec.shape) == 1
        scorer = Scorer.fit(seen, keys, ranked=ranked, typical=typical, seed=seed)
        return ScoredModel(trained, history, scorer)

    def _calibrated(self) -> tuple[ScoredModel, Array]:
        """A model of most rows, and the scores it gives the others, in which they had no part."""
        check_is_fitted(self, "trained_")
        if self._judge is None:
            if not hasattr(self, "_rows"):
                raise OptionError("p-values need rows that the model was not trained on; hold some out")
            if not (held := self._n_held_out()):
                raise OptionError("no row can be held out; fit with calibration above 0 and more rows")
            examples = self._rows.train.bounded()
            order = np.random.default_rng([self._drawn, 0]).permutation(len(examples))
            judge = self._learn(self._rows, np.sort(order[held:]), self._drawn)
            self._judge = judge, judge.scores(examples.take(np.sort(order[:held])), self.measure)
        return self._judge

    @property
    def is_calibrated(self) -> bool:
        """Whether ``pvalues`` can be asked for: there are rows to hold out, or were."""
        return self._judge is not None or (hasattr(self, "_rows") and self._n_held_out() > 0)

    def _n_held_out(self) -> int:
        """How many of the training rows can be held out for p-values."""
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
        if self._judge is not None:
            judge, scores = self._judge
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
        self._judge = None
        by = kept.facts.get("judge")
        if by == "none":
            return
        judge = self._learned
        if by != "model":
            judge = ScoredModel.of_tensors(kept.part(_JUDGE, str(by)), kept.tensors, "judge.")
        self._judge = judge, kept.numbers("calibration")

    def _check_options(self) -> None:
        if self.measure not in SCORES:
            raise OptionError(f"unknown measure {self.measure!r}; {nearest(self.measure, SCORES)}")
        share = self.contamination
        if share != "auto" and not (isinstance(share, int | float) and 0 < share <= 0.5):
            raise OptionError(f"contamination must be 'auto' or lie in (0, 0.5], got {share!r}")
        for name in ("calibration", "trim"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise OptionError(f"{name} must lie in [0, 1), got {value!r}")

    def _offset(self, learned: ScoredModel, train: Examples) -> float:
        if self.contamination == "auto":
            return -learned.fence(train, self.measure)
        scores = -learned.scores(train, self.measure)
        return float(np.percentile(scores, 100.0 * float(self.contamination)))

    def score_samples(self, X: Any) -> Array:
        """Minus the anomaly score of each row (n,): higher is more normal.

        A row that was among the training rows is compared with the others.
        """
        examples = self._examples(X)
        return -self._learned.scores(examples, self.measure)

    def decision_function(self, X: Any) -> Array:
        """``score_samples`` minus ``offset_`` (n,): below 0 for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any, fdr: float | None = None) -> Array:
        """1 for inliers and -1 for outliers, (n,).

        Parameters
        ----------
        X : array or table
            Rows to judge.
        fdr : float in (0, 1), default=None
            Call so many outliers that at most this share of them is none, on average, by the
            Benjamini-Hochberg procedure over ``pvalues``; by the threshold ``offset_`` when left out.
            Holds for rows that were not among the training rows.
        """
        outside = (
            self.decision_function(X) < 0 if fdr is None else benjamini_hochberg(self.pvalues(X), fdr)
        )
        return np.where(outside, -1, 1)

    def pvalues(self, X: Any) -> Array:
        """Conformal p-values (n,): how often a row like the training rows would be as anomalous.

        The chance that the p-value of a new row is at most t is at most t, if it comes from where the
        training rows come from. Anomalies among the training rows make p-values too large, not too
        small. The least that can come out is 1 / (1 + the number of held-out rows).

        They come from a model of their own, trained without the rows that were held out, at the first
        call or when the detector is saved; it is kept. So they need not order rows quite as
        ``score_samples`` does.

        Raises
        ------
        autoencode.errors.OptionError
            When no row can be held out.
        """
        examples = self._examples(X)
        judge, calibration = self._calibrated()
        return conformal_pvalues(judge.scores(examples, self.measure), calibration)

    def anomaly_scores(self, X: Any) -> dict[str, Array]:
        """All scores of each row by name, (n,) each; higher is more anomalous.

        What each is: ``autoencode.anomaly.SCORES``.
        """
        examples = self._examples(X)
        seen, keys = reconstruct_rows(self._trained, examples), row_keys(examples.x)
        return {name: self._learned.scorer.scores(seen, keys, name) for name in SCORES}

    def explain(self, X: Any) -> Explanation:
        """What each entry of each row adds to its anomaly score; the shares sum to the score."""
        examples = self._examples(X)
        seen, keys = reconstruct_rows(self._trained, examples), row_keys(examples.x)
        scorer = self._learned.scorer
        return explained(self._trained, scorer, examples, seen, keys, self.measure)

    def plot_explanation(self, X: Any, n_features: int = 10) -> Any:
        """Bars (of images: maps) of what makes each of a few rows anomalous, a matplotlib figure."""
        from autoencode.pictures.of_anomalies import shares_figure

        return shares_figure(self.explain(X), n_features)

    def _examples(self, X: Any) -> Examples:
        trained = self._trained
        return Examples(apply_spec(self._checked(X), trained.spec))
