"""The error of a model in units of what the data vary by, which is 1 for the mean of the data."""

from __future__ import annotations

import math

import numpy as np

from autoencode.data import Examples
from autoencode.data.values.moments import EPS, moments
from autoencode.data.values.zeros import is_mostly_zeros, scaled_by_size
from autoencode.errors import DataError
from autoencode.files.sparse_rows import as_dense
from autoencode.trained import Trained
from autoencode.types import Array, DataSpec

MOST = 1000  # examples that are looked at
_ENTRIES = 1 << 24  # of them at most
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

    Fewer of very wide ones.

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
    few = spread_over(examples, max(2, min(MOST, _ENTRIES // trained.spec.size)))
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


def explained_share(trained: Trained, examples: Examples) -> float:
    """Computes the share of the variance of examples that a model's reconstruction explains (R²).

    Each column of a table counts alike, by its own variance; entries of images, volumes, sequences and
    pixels together, and so do columns of a table that is mostly zeros, by the size of what is not zero.
    Of categories and truth values it is the share of those that the commonest value gets wrong. What is
    missing, and columns that do not vary, are left out.

    Args:
        trained: the model.
        examples: raw, with their targets where these are others.

    Raises:
        DataError: when no column varies.
    """
    spec, wanted = trained.spec, examples.wanted
    mean, variance = moments(wanted)
    coded = [not (c.numeric or c.kind == "count") for c in spec.columns] or [False] * spec.size
    words = np.flatnonzero(coded)
    errors, known = np.zeros(spec.size), np.zeros(spec.size)
    for piece in examples.chunks(max(1, min(MOST, _ENTRIES // spec.size))):
        x, found = (_rows(a) for a in (as_dense(piece.wanted), trained.reconstruct(piece)))
        there = ~np.isnan(x)
        far = np.square(np.where(there, found - x, 0.0))
        far[:, words] = np.where(there[:, words], np.rint(found[:, words]) != x[:, words], False)
        errors += far.sum(0)
        known += there.sum(0)
    errors /= np.maximum(known, 1)
    if len(words):
        variance[words] = [_wrong_at_best(column) for column in _rows(as_dense(wanted))[:, words].T]
    varies = (variance > (EPS * mean) ** 2) & (known > 0)
    if not varies.any():
        raise DataError(
            "no column of these rows varies, so nothing could be explained; score other rows"
        )
    if not spec.measured:
        return 1 - float(errors[varies].sum() / variance[varies].sum())
    units = variance
    if not len(words) and is_mostly_zeros(wanted):
        units = scaled_by_size(wanted)[1]
    errors, variance = errors[varies] / units[varies], variance[varies] / units[varies]
    return 1 - float(errors.sum() / variance.sum())


def _rows(x: Array) -> Array:
    rows: Array = x.reshape(len(x), -1).astype(np.float64)
    return rows


def _wrong_at_best(codes: Array) -> float:
    """Computes the share of known codes (N,) that are not the commonest."""
    counts = np.unique(codes[~np.isnan(codes)], return_counts=True)[1]
    return 1 - float(counts.max() / counts.sum()) if len(counts) else 0.0
