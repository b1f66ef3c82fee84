"""A score by which recipes can be compared, whatever each of them minimises."""

from __future__ import annotations

from typing import Any

from autoencode.data import Examples, apply_spec
from autoencode.errors import OptionError
from autoencode.estimators.base import CoreEstimator
from autoencode.evaluate.relative import explained_share


def reconstruction_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Scores the share of the variance of rows that an estimator's reconstruction explains (R²).

    What ``score`` gives is nats for some recipes and squared errors for others, which cannot be
    compared. This can: 1 for a perfect reconstruction, 0 for the mean of the rows. Each column of a
    table counts alike, by its own variance, so that neither units nor the recipe's scaling matter;
    pixels, steps and columns that are mostly zeros count together. Of categories and truth values it is
    the share of those that the commonest value gets wrong; counts are compared by their logarithms.
    What is missing is left out.

    Parameters
    ----------
    estimator : Autoencoder, Denoiser or AnomalyDetector
        Fitted; or a ``Pipeline`` that ends with one, whose other steps bring X there.
    X : array, scipy.sparse matrix or table
        Rows that had no part in training, as ``GridSearchCV`` and ``cross_val_score`` give them.
    y : array or table, default=None
        Of a ``Denoiser``, the clean examples that X is to become; else not looked at.

    Returns
    -------
    The share, at most 1; below 0 where the mean of the rows is nearer to them.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV
    >>> from autoencode import Autoencoder, reconstruction_scorer
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(120, 2)) @ rng.normal(size=(2, 8))
    >>> grid = {"recipe": ["linear", "vae"], "n_components": [1, 2]}
    >>> few = Autoencoder(epochs=2, random_state=0)
    >>> search = GridSearchCV(few, grid, scoring=reconstruction_scorer, cv=2).fit(x)
    >>> search.best_params_["n_components"], bool(search.best_score_ > 0.9)
    (2, True)
    """
    if hasattr(estimator, "steps"):
        X, estimator = estimator[:-1].transform(X), estimator[-1]
    if not isinstance(estimator, CoreEstimator):
        raise OptionError(
            f"reconstruction_scorer scores estimators of autoencode, got {type(estimator).__name__}"
        )
    trained = estimator._trained
    target = estimator._scored_against(X, y)
    given = apply_spec(estimator._checked(X), trained.spec)
    wanted = None if target is None else apply_spec(target, trained.spec, "y")
    return explained_share(trained, Examples(given, target=wanted))
