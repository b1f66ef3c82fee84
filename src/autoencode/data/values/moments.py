"""Mean, variance and quantiles of the entries of examples, and what float32 leaves of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from autoencode.files.sparse_rows import Held, SparseRows
from autoencode.types import Array

EPS = float(np.finfo(np.float32).eps)
_ROUNDED = 1e-13  # of its size; a column that varies by less does so by rounding
_CHUNK_ENTRIES = 1 << 18  # small enough to stay in the cache
# Ranges between two quantiles, and how wide they are in N(0, 1): its standard deviations.
_RANGES = ((0.25, 1.3489795), (0.1, 2.5631031), (0.05, 3.2897073), (0.01, 4.6526957))
_FROM_MEAN_DEVIATION = 1.2533141  # the mean distance to the median of N(0, 1) is 1 over this


def moments(x: Held) -> tuple[Array, Array]:
    """Computes mean and variance over known values of the examples, each (D,), in float64.

    Args:
        x: (N, *D).
    """
    if isinstance(x, SparseRows):
        return _sparse_moments(x)
    rows = x.reshape(len(x), -1)
    step = max(1, _CHUNK_ENTRIES // rows.shape[1])
    chunks = [slice(start, start + step) for start in range(0, len(rows), step)]
    known: Any = len(rows)
    add: Any = np.sum
    if x.dtype.kind == "f" and np.isnan(rows).any():
        known = np.maximum(1, sum((~np.isnan(rows[chunk])).sum(axis=0) for chunk in chunks))
        add = np.nansum
    total = sum(add(rows[chunk], axis=0, dtype=np.float64) for chunk in chunks)
    mean = np.asarray(total / known)
    squares = sum(add(np.square(rows[chunk] - mean), axis=0) for chunk in chunks)
    return mean, np.asarray(squares / known)


def _sparse_moments(x: SparseRows) -> tuple[Array, Array]:
    """Computes mean and variance (D,) of sparse rows from what is not zero, in float64."""
    width = x.shape[1]
    gone, held, total, squares = (np.zeros(width) for _ in range(4))
    chunks = [slice(start, start + _CHUNK_ENTRIES) for start in range(0, len(x.values), _CHUNK_ENTRIES)]
    for chunk in chunks:
        columns, values = x.columns[chunk], x.values[chunk].astype(np.float64)
        lost = np.isnan(values)
        gone += np.bincount(columns[lost], minlength=width)
        held += np.bincount(columns[~lost], minlength=width)
        total += np.bincount(columns[~lost], values[~lost], width)
    known = np.maximum(1, len(x) - gone)
    mean = total / known
    for chunk in chunks:
        columns, values = x.columns[chunk], x.values[chunk].astype(np.float64)
        lost = np.isnan(values)
        columns, values = columns[~lost], values[~lost]
        squares += np.bincount(columns, np.square(values - mean[columns]), width)
    return mean, (squares + np.maximum(0, known - held) * mean**2) / known


def column_extremes(x: Held) -> tuple[Array, Array]:
    """Finds the lowest and highest known value (D,) of each entry."""
    if isinstance(x, SparseRows):
        return x.column_extremes()
    if x.dtype.kind != "f":
        return x.min(axis=0), x.max(axis=0)
    return np.fmin.reduce(x, axis=0), np.fmax.reduce(x, axis=0)


def are_constant(low: Array, high: Array) -> Array:
    """Tells which columns never change, (D,), but for what float64 rounds to.

    Args:
        low, high: (D,) the extremes of each column.
    """
    size = np.maximum(np.abs(low.astype(np.float64)), np.abs(high.astype(np.float64)))
    return np.asarray(high - low <= _ROUNDED * size)


def could_be_coarse(dtype: np.dtype[Any]) -> bool:
    """Tells whether values of this dtype may be finer than float32."""
    return dtype.itemsize > 2 and dtype != np.float32


def precision_notice(low: Array, high: Array) -> list[str]:
    """Warns of values such as dates and identifiers, whose differences are lost in float32.

    Args:
        low, high: (D,) the extremes of each entry.
    """
    low, high = low.astype(np.float64), high.astype(np.float64)
    steps = EPS * np.maximum(np.abs(low), np.abs(high))  # between neighbours in float32
    coarse = (steps > 1e-3 * (high - low)) & ~are_constant(low, high)
    if not coarse.any():
        return []
    return [
        f"{int(coarse.sum())} of {coarse.size} entries vary too little for their size to be exact "
        f"in float32 (first: {int(coarse.argmax())}); subtract their mean first"
    ]


def column_quantiles(x: Array, levels: Array, middle: bool = False) -> Array:
    """Computes quantiles (Q, D) of the known values of columns (N, D), linear between values.

    Args:
        x: the columns.
        levels: (Q,) in [0, 1], rising.
        middle: each value has the middle of its N-th part of the levels, so that the ends have as much
            weight as the others and mean and spread are those of the values; else the least value has
            the level 0 and the largest 1.

    Example:
        >>> column_quantiles(np.array([[0.0, 5.0], [1.0, np.nan], [2.0, 7.0]]), np.array([0.25, 0.5]))
        array([[0.5, 5.5],
               [1. , 6. ]])
    """
    ordered: Any = np.sort(x, axis=0)  # NaN last
    last = np.maximum(len(x) - np.isnan(x).sum(0), 1) - 1 if x.dtype.kind == "f" else len(x) - 1
    ends = np.broadcast_to(last, x.shape[1:])
    places = np.multiply.outer(levels, ends + middle) - 0.5 * middle
    places = places.clip(0, ends)
    below = np.floor(places).astype(np.int64)
    low = np.take_along_axis(ordered, below, axis=0).astype(np.float64)
    high = np.take_along_axis(ordered, np.minimum(below + 1, last), axis=0).astype(np.float64)
    found = low + (places - below) * (high - low)
    return np.asarray(np.maximum.accumulate(found, axis=0))  # rounding must not break the order


def robust_moments(x: Array) -> tuple[Array, Array]:
    """Computes the median and the robust standard deviation of each column, (D,) each.

    The latter is the interquartile range over that of N(0, 1). Where half of the values or more are
    the same the range is nothing, and a wider one takes its place: between the tenths, the twentieths,
    the hundredths, and at last the mean distance to the median, which alone an outlier does move.

    Args:
        x: (N, D), NaN where a value is missing.

    Returns:
        Centre and scale; the scale is 0 where all values are the same.

    Example:
        >>> center, scale = robust_moments(np.array([[-1.0], [0.0], [0.0], [1.0], [1e30]]))
        >>> center, scale.round(3)
        (array([0.]), array([0.741]))
    """
    levels = [0.5, *(level for low, _ in _RANGES for level in (low, 1 - low))]
    ordered = np.sort(levels)
    found = column_quantiles(x, ordered)
    center, *ends = (found[int(place)] for place in np.searchsorted(ordered, levels))
    scale = np.zeros_like(center)
    for (low, high), (_, width) in zip(zip(ends[::2], ends[1::2], strict=True), _RANGES, strict=True):
        scale = np.where(scale > 0, scale, (high - low) / width)
    return center, np.where(scale > 0, scale, _mean_deviation(x, center))


def _mean_deviation(x: Array, center: Array) -> Array:
    """Estimates the standard deviation of nearly constant columns from their mean deviation."""
    far = np.abs(x - center)
    known = ~np.isnan(far)
    mean = np.where(known, far, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    return np.asarray(_FROM_MEAN_DEVIATION * mean)
