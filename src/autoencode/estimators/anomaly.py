"""An estimator that finds outliers and novelties by any recipe."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import OutlierMixin
from torch import nn

from autoencode.anomaly import (
    SCORES,
    Calibration,
    Explanation,
    Judgement,
    ScoredModel,
    Scorer,
    conformal_pvalues,
    reconstruct_rows,
    row_keys,
)
from autoencode.data import Examples
from autoencode.data.values.apply_spec import apply_spec
from autoencode.data.values.vocabulary import Unseen
from autoencode.errors import IncompatibleError
from autoencode.estimators.own_options import Loss
from autoencode.estimators.parts import Parts
from autoencode.estimators.scored import ScoredEstimator
from autoencode.reading import DateOrder
from autoencode.reading.options import MOST_CATEGORIES
from autoencode.recipes import ScheduleName
from autoencode.trained import Trained
from autoencode.training import Observer
from autoencode.types import Array, Channels, ColumnKind, Layout


class AnomalyDetector(OutlierMixin, ScoredEstimator):  # type: ignore[misc]
    """Finds rows, or images, that are not like the others: scores, p-values and reasons.

    An autoencoder learns the rows; a row is anomalous by how badly it is reconstructed and by how far
    its reconstruction and residual lie from those of the training rows (``docs/anomalies.md``). The
    training rows may be clean or contaminated; the tenth that lies farthest is left out of training.

    Parameters
    ----------
    recipe : str, default="mlp_masked"
        One of ``autoencode.RECIPES``.
    contamination : "auto" or float in (0, 0.5], default="auto"
        The share of training rows that ``predict`` calls outliers; "auto" leaves out the rows that a
        gap sets apart (``anomaly.gap``), up to a quarter of them, and sets the threshold so that it
        calls about one in a hundred of the others an outlier (``anomaly.fence``).
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
        Any other option of the recipe or of the training plan, by name; each is a
        parameter ``options__NAME`` as well, for ``set_params`` and grids.
    loss : str, function or term, default=None
        What is minimised: a name that the recipe's option ``loss`` has ("mse", "sse", "nll"); a
        function ``(reconstruction, x) -> errors`` of torch tensors as the model sees them, which gives
        one number for each example or entry; or a term of ``autoencode.objectives``. A function or term
        stands in the place of the recipe's reconstruction term, and its other terms stay. No file holds
        it: a saved model opens and transforms, and to be fitted again it has to be given again.
    column_kinds : dict, default=None
        What columns of a table are where their dtype does not tell, as for ``Autoencoder``.
    standardize : {"columns", "robust"}, default=None
        How numeric columns are scaled: by mean and standard deviation (also by default), or by median
        and interquartile range, which no anomaly moves.
    layout : {"row", "image", "sequence", "volume"}, default=None
        What an example is, as in ``Autoencoder``.
    handle_unknown : {"flag", "error"}, default="flag"
        What becomes of a category that ``fit`` did not see: "flag" counts it as what it is, the more
        surprising the rarer such were in the training rows (``Column.unseen``); "error" refuses it.
    max_categories : int, default=2000
        Categories that a column of a table may have for the model to know each by itself. Of more, the
        commonest have an input of their own, and the others one for each of 16 stretches of the
        alphabet; what comes back are words all the same.
    channels : {"first", "last"}, default=None
        Where the channels of arrays of images and volumes are. By default last where 1, 3 or 4 are
        there and not in front; where both may be, that is said.
    decimal : {".", ","}, default=None
        The sign before the fraction of numbers in columns of text; recognised by default, as are the
        two that follow (``docs/tables.md``).
    thousands : {",", ".", " ", "'", ""}, default=None
        The sign between their thousands, empty for none.
    date_order : {"dmy", "mdy", "ymd"}, default=None
        The order of day, month and year of dates in text.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the last ``fit``, as in ``Autoencoder``; what rows
        are compared with is learned from the new rows alone.
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
    doubt_ : str
        Why that is no sound threshold, empty where it is one; ``fit`` warns of it.
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
        loss: Loss | None = None,
        column_kinds: Mapping[str, ColumnKind] | None = None,
        standardize: Literal["columns", "robust"] | None = None,
        layout: Layout | None = None,
        handle_unknown: Literal["flag", "error"] = "flag",
        max_categories: int = MOST_CATEGORIES,
        channels: Channels | None = None,
        decimal: str | None = None,
        thousands: str | None = None,
        date_order: DateOrder | None = None,
        warm_start: bool = False,
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
        self.loss = loss
        self.column_kinds = column_kinds
        self.standardize = standardize
        self.layout = layout
        self.handle_unknown = handle_unknown
        self.max_categories = max_categories
        self.channels = channels
        self.decimal = decimal
        self.thousands = thousands
        self.date_order = date_order
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.observer = observer

    # What ``CoreEstimator`` reads, and a detector has no use for.
    early_stopping, _samples = False, False
    _TAKES_UNKNOWN = "flag"
    checkpoint: str | os.PathLike[str] | None = None

    def fit(self, X: Any, y: Any = None, *, validation_data: Any = None) -> Self:
        """Learns what is usual from rows (n, n_features), images or a table, clean or not.

        Parameters
        ----------
        X : array, scipy.sparse matrix or table
            The rows.
        y : ignored
        validation_data : X, default=None
            Rows to validate on while models are trained, in the place of a share of X, as in
            ``Autoencoder.fit``; they have no part in scores and p-values.

        Raises
        ------
        autoencode.errors.InputError
            For data or options that cannot be used, in one line.
        """
        self._fit(X, validation_data)
        self._tell_doubt()
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learns from rows that come in parts, after ``fit`` from those besides.

        A fair sample of all rows that came is remembered, 10 000 of them or 64 MB at most; whatever
        asks for the model first (``predict``, ``offset_``) trains it on these as ``fit`` does. So parts
        may be sorted or small, and a later one may bring categories or gaps.

        Raises
        ------
        autoencode.errors.InputError
            For data or options that cannot be used, in one line.
        """
        self._check_options()
        if self._parts is None and not hasattr(self, "trained_"):
            X = self._checked(X, reset=True)
            spec = self._prepared(X)[1]
            self.n_features_in_ = spec.size
            parts = Parts(spec, self._seed())
        else:
            X = self._checked(X)
            parts = self._parts or self._begun_parts()
        parts.add(X)
        self._forget()
        self._parts = parts
        return self

    def fit_judge(self, X: Any, fdr: float | None = None, *, pvalues: bool | None = None) -> Judgement:
        """Learns what is usual from rows, and judges the same rows.

        It gives what ``fit`` and ``judge`` give, up to rounding, which may move a p-value by one rank;
        but each row goes through each trained model once.
        """
        examples, seen = self._fit(X)
        if fdr is None:
            self._tell_doubt()
        rows = self._scored(examples, seen)
        del seen  # of a large file more than is kept of it
        return self._judged(rows, fdr, pvalues, fitted=True)

    def fit_predict(self, X: Any, y: Any = None, fdr: float | None = None) -> Array:
        """Learns what is usual from rows, and calls each 1 for an inlier or -1 for an outlier, (n,)."""
        return np.where(self.fit_judge(X, fdr, pvalues=fdr is not None).flags, -1, 1)

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
        """Builds a detector around a model that is trained already.

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
        seen = reconstruct_rows(trained, train)
        ranked, everything = trained.spec.layout == "row", np.arange(len(train))
        scorer = Scorer.fit(seen, row_keys(train.x), ranked=ranked, typical=everything, seed=seed)
        learned = ScoredModel(trained, [], scorer)
        detector._learned, detector._drawn = learned, seed
        detector._calibration = None
        if held_out is not None and len(held_out):
            limit = learned.threshold(seen, train.x, measure)
            detector._calibration = Calibration(learned, learned.scores(held_out, measure), limit)
        detector._set_threshold(seen, train)
        detector._tell_doubt()
        if columns := trained.spec.columns:
            names = [column.name for column in columns]
            detector.feature_names_in_ = np.array(names, dtype=object)
        return detector._adopt(trained, [])

    def judge(self, X: Any, fdr: float | None = None, *, pvalues: bool | None = None) -> Judgement:
        """Scores rows, flags the anomalous, and gives p-values and reasons, in one look at them.

        Each row goes once through the model, and for p-values once through the one they come from. Of
        the 10 000 most anomalous rows, what explains them is kept with the result.

        Parameters
        ----------
        X : array or table
            Rows to judge.
        fdr : float in (0, 1), default=None
            As for ``predict``.
        pvalues : bool, default=None
            Whether to give p-values; by default where rows were, or can be, held out.
        """
        return self._judged(self._scored(self._examples(X)), fdr, pvalues)

    def score_samples(self, X: Any) -> Array:
        """Computes minus the anomaly score of each row (n,): higher is more normal.

        A row that was among the training rows is compared with the others.
        """
        return -self._scored(self._examples(X), keep=0).scores

    def decision_function(self, X: Any) -> Array:
        """Computes ``score_samples`` minus ``offset_`` (n,): below 0 for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any, fdr: float | None = None) -> Array:
        """Calls each row 1 for an inlier or -1 for an outlier, (n,).

        Parameters
        ----------
        X : array or table
            Rows to judge.
        fdr : float in (0, 1), default=None
            Call so many outliers that about this share of them is none, by the Benjamini-Hochberg
            procedure over p-values of an estimated null (``anomaly.null_pvalues``), which finds
            anomalies also where the training rows hold some; by the threshold ``offset_`` when left
            out. An estimate: what is guaranteed is the procedure over ``pvalues``.
        """
        if fdr is None:
            return np.where(self.decision_function(X) < 0, -1, 1)
        return np.where(self._discoveries(self._judges_scores(self._examples(X)), fdr), -1, 1)

    def pvalues(self, X: Any) -> Array:
        """Computes conformal p-values (n,): how often a row like the training rows is as anomalous.

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
        scores = self._judges_scores(self._examples(X))
        return conformal_pvalues(scores, self._calibrated().scores)

    def anomaly_scores(self, X: Any) -> dict[str, Array]:
        """Computes all scores of each row by name, (n,) each; higher is more anomalous.

        What each is: ``autoencode.anomaly.SCORES``.
        """
        examples = self._examples(X)
        seen, keys = reconstruct_rows(self._trained, examples), row_keys(examples.x)
        return {name: self._learned.scorer.scores(seen, keys, name) for name in SCORES}

    def explain(self, X: Any) -> Explanation:
        """Shares out the anomaly score of each row among its entries; the shares sum to the score."""
        return self._scored(self._examples(X), keep=None).explain()

    def plot_explanation(self, X: Any, n_features: int = 10) -> Any:
        """Draws what makes each of a few rows anomalous, as bars or for images as maps."""
        from autoencode.pictures.of_anomalies import shares_figure

        return shares_figure(self.explain(X), n_features)

    def _examples(self, X: Any) -> Examples:
        # Pixels out of range are as surprising as they are: none is brought into it.
        spec, unseen = replace(self._trained.spec, noisy=True), list[Unseen]()
        x = apply_spec(self._checked(X), spec, unseen=unseen)
        return Examples(x, unseen=tuple(unseen))
