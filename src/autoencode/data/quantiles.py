"""Quantiles of columns, and the centre and scale that they give: no outlier moves them."""

from __future__ import annotations

from typing import Any

import numpy as np

from autoencode.data.raw import Array

# Ranges between two quantiles, and how wide they are in N(0, 1): its standard deviations.
_RANGES = ((0.25, 1.3489795), (0.1, 2.5631031), (0.05, 3.2897073), (0.01, 4.6526957))
_FROM_MEAN_DEVIATION = 1.2533141  # the mean distance to the median of N(0, 1) is 1 over this


def column_quantiles(x: Array, levels: Array) -> Array:
    """Quantiles (Q, D) of what is known (not NaN) of columns (N, D), linear between values.

    Args:
        x: the columns.
        levels: (Q,) in [0, 1], rising.

    Example:
        >>> column_quantiles(np.array([[0.0, 5.0], [1.0, np.nan], [2.0, 7.0]]), np.array([0.25, 0.5]))
        array([[0.5, 5.5],
               [1. , 6. ]])
    """
    ordered: Any = np.sort(x, axis=0)  # NaN last
    last = np.maximum(len(x) - np.isnan(x).sum(0), 1) - 1 if x.dtype.kind == "f" else len(x) - 1
    places = np.multiply.outer(levels, np.broadcast_to(last, x.shape[1:]))
    below = np.floor(places).astype(np.int64)
    low = np.take_along_axis(ordered, below, axis=0).astype(np.float64)
    high = np.take_along_axis(ordered, np.minimum(below + 1, last), axis=0).astype(np.float64)
    found = low + (places - below) * (high - low)
    return np.asarray(np.maximum.accumulate(found, axis=0))  # rounding must not break the order


def robust_moments(x: Array) -> tuple[Array, Array]:
    """The median and the robust standard deviation of each column, (D,) each.

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
    """That of columns that are nearly constant."""
    far = np.abs(x - center)
    known = ~np.isnan(far)
    mean = np.where(known, far, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    return np.asarray(_FROM_MEAN_DEVIATION * mean)
