"""The error of a model in units of what the data vary by, which is 1 for the mean of the data."""

from __future__ import annotations

import math

import numpy as np

from autoencode.data import Examples
from autoencode.trained import Trained
from autoencode.types import Array, DataSpec

MOST = 1000  # examples that are looked at
#: What is known of a model of this (``Trained.info``): the error on the rows that it was trained on.
ERROR = "relative_error"
#: Likewise the number of rows by which the scaling of its values was learned.
ROWS = "scaled_by"


def remember_error(trained: Trained, examples: Examples) -> None:
    """Writes down how well a model explains the rows that it was trained on, for going on from it.

    Without the doctor no more is looked at than training needs, and the error stays unknown.
    """
    trained.info[ROWS] = len(examples)
    if not trained.recipe.plan.doctor:
        return
    error = relative_error(trained, examples)
    if error is not None and math.isfinite(error):
        trained.info[ERROR] = error


def spread_over(examples: Examples, most: int = MOST) -> Examples:
    """Selects up to ``most`` examples, evenly spread over all of them."""
    n = len(examples)
    return examples if n <= most else examples.take(np.linspace(0, n - 1, most).astype(np.int64))


def relative_error(trained: Trained, examples: Examples, units: DataSpec | None = None) -> float | None:
    """Computes the squared error of reconstructing examples over their variance, up to 1 000 of them.

    Entries are weighed by a scale, each column of a table by its own; what is missing and what has no
    distances (categories, truth values) is left out.

    Args:
        trained: the model.
        examples: raw, (N, *D).
        units: whose scale entries are weighed by; the model's own spec by default.

    Returns:
        The ratio, 0 for a perfect reconstruction and 1 for the mean; ``None`` where nothing can be
        compared.
    """
    few = spread_over(examples)
    spec = units or trained.spec
    wanted = few.x if few.target is None else few.target
    x, found = (_flat(a, spec) for a in (wanted, trained.reconstruct(few)))
    known = ~np.isnan(x)
    means = np.where(known, x, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    total = float(np.square(x - means)[known].sum())
    if total <= 1e-12 * known.sum():  # rounding
        return None
    return float(np.square(found - x)[known].sum()) / total


def _flat(x: Array, spec: DataSpec) -> Array:
    """Brings raw examples to the units of a spec, (N, columns that have distances), float64."""
    rows: Array = x.reshape(len(x), -1).astype(np.float64)
    rows = (rows - np.asarray(spec.offset)) / np.asarray(spec.scale)
    if spec.mixed:
        rows = rows[:, [c.numeric or c.kind == "count" for c in spec.columns]]
    return rows
