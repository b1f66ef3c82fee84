"""Measures of how well a model tells examples of another kind from those like its own."""

from __future__ import annotations

import numpy as np

from autoencode.data import Examples
from autoencode.errors import DataError
from autoencode.evaluate.case import Case
from autoencode.evaluate.measures import Figure, Measure, Result, Section
from autoencode.trained import Trained
from autoencode.types import Array

DRAWS = 16  # of z behind an ELBO


def auroc(normal: Array, anomalies: Array) -> float:
    """Computes the chance that an anomaly scores above a normal example, ties counted half.

    Args:
        normal, anomalies: scores (N,) and (M,), higher is more anomalous.

    >>> auroc(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    0.875

    Raises:
        DataError: when either is empty or a score is not finite.
    """
    if not len(normal) or not len(anomalies):
        raise DataError("AUROC needs normal examples and anomalies; one of them has none")
    if not (np.isfinite(normal).all() and np.isfinite(anomalies).all()):
        raise DataError("a score is not finite; the model has diverged")
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, anomalies, side="left")
    not_above = np.searchsorted(ordered, anomalies, side="right")
    return float((below + not_above).sum() / (2 * len(normal) * len(anomalies)))


def anomaly_auroc(trained: Trained, normal: Examples, anomalies: Examples, seed: int = 0) -> float:
    """Measures how well a model's own score tells anomalies from normal examples, 0.5 by chance.

    The score is ``Trained.score_samples``: the ELBO in nats for a stochastic code, else minus the
    squared error. For a figure of anomaly detection, the model must not have seen the anomalies' kind
    in training: leave a class out of the training data, or take another data set.

    Args:
        trained: the model.
        normal: held-out examples of the kind that it was trained on.
        anomalies: of another kind.
        seed: of the draws of z.

    Example:
        >>> from autoencode import load_data, train
        >>> from autoencode.data import Examples
        >>> data = load_data("digits")
        >>> one = data.train.take(data.train.labels == 1)
        >>> run = train(one.x, "mlp_small", epochs=5)
        >>> ones, others = (data.test.take((data.test.labels == 1) == same) for same in (True, False))
        >>> anomaly_auroc(run.trained, ones, others) > 0.9
        True
    """
    scores = (-trained.score_samples(part, DRAWS, seed) for part in (normal, anomalies))
    return auroc(*scores)


def _measured(case: Case) -> Result:
    assert case.anomalies is not None  # or there was an obstacle
    value = anomaly_auroc(case.trained, case.examples, case.anomalies, case.seed)
    score = f"-ELBO of {DRAWS} draws" if case.stochastic else "squared error"
    if case.trained.spec.mixed and not case.stochastic:
        score = "-log p(x|z)"
    how = f"by {score}; {len(case.anomalies)} anomalies among {len(case.examples)} normal examples"
    return Result({"anomaly_auroc": value}, how=how)


def _no_anomalies(case: Case) -> str | None:
    if case.trained.spec.classes:
        return "a model that is told the class cannot be asked about another one"
    return "no examples of another kind were given" if case.anomalies is None else None


ANOMALIES = Section(
    "Anomalies",
    (
        Measure(
            "anomalies",
            (
                Figure(
                    "anomaly_auroc",
                    "0 to 1",
                    "chance that an anomaly scores above a normal example, 0.5 by guessing",
                    "higher",
                ),
            ),
            _measured,
            _no_anomalies,
        ),
    ),
)
