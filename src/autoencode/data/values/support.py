"""The values that entries can have, as training rows show them, and draws that are such values."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from autoencode.dtypes import in_dtype
from autoencode.files.sparse_rows import Held, SparseRows
from autoencode.types import Array, Column, DataSpec, Support

_MOST_DECIMALS = 6
# A column of no more values, each of them met four times in the mean, has no others.
_FEW_VALUES, _TIMES = 64, 4
_MOST_LISTED = 4096  # columns whose few values are kept
_CHUNK = 1 << 20  # values that are looked at together
_SEVERAL = 1000  # rows that show of most columns that they have no last decimal


def support_of(x: Held, columns: Sequence[Column] = ()) -> Support:
    """Finds the range and the decimal places of each entry of training rows.

    Args:
        x: (N, *D) as the user gave them, of a table as encoded; NaN where a value is missing.
        columns: of a table.

    Example:
        >>> support_of(np.array([[1.25, 3.0], [np.nan, 4.0]])).decimals
        (2, 0)
    """
    if isinstance(x, SparseRows):
        return _sparse_support(x)
    rows = x.reshape(len(x), -1)
    flat: Any = rows.view(np.uint8) if rows.dtype == bool else rows
    low, high = (
        np.nan_to_num(pick(flat, axis=0).astype(np.float64))  # nothing known is nothing
        for pick in (np.fmin.reduce, np.fmax.reduce)
    )
    decimals = np.zeros(rows.shape[1], dtype=int)
    if rows.dtype.kind == "f":
        decimals[:] = -1
        # Only dates at midnight are whole days, counted from 1970 on.
        origin = np.array([column.origin for column in columns] or [0.0])
        few = _decimals(rows[:_SEVERAL] + origin, rows.dtype)
        some = np.flatnonzero(few >= 0)
        if len(some):
            at = origin[some] if len(origin) > 1 else origin
            decimals[some] = _decimals(rows[:, some] + at, rows.dtype)
    ends = tuple(low.tolist()), tuple(high.tolist())
    return Support(*ends, tuple(decimals.tolist()), _few_values(rows))


def _few_values(rows: Array) -> tuple[tuple[float, ...], ...]:
    """Lists the values of each column (N, D) that has few of them, nothing for the others."""
    if rows.shape[1] > _MOST_LISTED:
        return tuple(() for _ in range(rows.shape[1]))
    most = min(_FEW_VALUES, len(rows) // _TIMES)
    found: list[tuple[float, ...]] = []
    for column in rows.T:
        values = np.unique(column[:_SEVERAL])
        if len(values) <= most:
            values = np.unique(column[~np.isnan(column)] if column.dtype.kind == "f" else column)
        few = len(values) <= most
        found.append(tuple(values.astype(np.float64).tolist()) if few else ())
    return tuple(found)


def _sparse_support(x: SparseRows) -> Support:
    """Finds of sparse rows what ``support_of`` finds of the same rows as an array."""
    low, high = (np.nan_to_num(ends.astype(np.float64)) for ends in x.column_extremes())
    decimals = np.zeros(x.shape[1], dtype=int)
    if x.dtype.kind == "f":
        decimals = _sparse_decimals(x)
    ends = tuple(low.tolist()), tuple(high.tolist())
    return Support(*ends, tuple(decimals.tolist()), _sparse_few_values(x))


def _sparse_decimals(x: SparseRows) -> Array:
    """Finds how many decimal places the columns of sparse rows have, as ``_decimals`` does."""
    exact = np.ones((_MOST_DECIMALS + 1, x.shape[1]), bool)
    for start in range(0, len(x.values), _CHUNK):
        columns, values = (part[start : start + _CHUNK] for part in (x.columns, x.values))
        open_ = exact[:, columns].any(axis=0) & ~np.isnan(values)
        columns, known = columns[open_], values[open_].astype(np.float64)
        for places in range(_MOST_DECIMALS + 1):
            exact[places, columns[~_are_exact(known * 10.0**places, x.dtype)]] = False
    return np.where(exact.any(axis=0), exact.argmax(axis=0), -1)


def _sparse_few_values(x: SparseRows) -> tuple[tuple[float, ...], ...]:
    width, most = x.shape[1], min(_FEW_VALUES, len(x) // _TIMES)
    found: list[tuple[float, ...]] = [()] * width
    if width > _MOST_LISTED:
        return tuple(found)
    by_column = x.matrix.tocsc()
    for i, (start, stop) in enumerate(itertools.pairwise(by_column.indptr.tolist())):
        held = np.unique(by_column.data[start:stop][:_SEVERAL])
        if len(held) <= most + 1:
            held = by_column.data[start:stop].astype(np.float64)
            zeros = [0.0] if stop - start < len(x) else []
            held = np.unique(np.concatenate([held[~np.isnan(held)], zeros]))
            found[i] = tuple(held.tolist()) if len(held) <= most else ()
    return tuple(found)


def _nearest(x: Array, values: Sequence[float]) -> Array:
    """Finds the nearest of some rising values to each number."""
    known = np.asarray(values)
    return known[np.searchsorted((known[1:] + known[:-1]) / 2, x)]


def _decimals(rows: Array, dtype: np.dtype[Any]) -> Array:
    """Finds how many decimal places columns (N, D) have, -1 where they have more than are exact."""
    found = np.full(rows.shape[1], -1)
    known = np.where(np.isnan(rows), 0.0, rows).astype(np.float64)
    for places in range(_MOST_DECIMALS + 1):
        open_ = np.flatnonzero(found < 0)
        if not len(open_):
            break
        exact = _are_exact(known[:, open_] * 10.0**places, dtype)
        found[open_[exact.all(axis=0)]] = places
    return found


def _are_exact(shifted: Array, dtype: np.dtype[Any]) -> Array:
    """Tells which values are whole numbers, as far as a dtype shows that."""
    # What the dtype rounds to; beyond a tenth of a unit of the last place it shows nothing.
    rounding = 4 * float(np.finfo(dtype).eps) * np.abs(shifted)
    whole = np.abs(shifted - np.rint(shifted)) <= rounding + 1e-9
    return np.asarray(whole & (rounding < 0.1))


def as_supported(x: Array, spec: DataSpec) -> Array:
    """Brings draws to values that an entry can have: within its range, to its last decimal.

    An entry that had few values, again and again, gets the nearest of these.

    Args:
        x: (N, *D) draws in the data's own units, of a table as its matrix has them.
        spec: says what training rows had; draws keep their values where it does not.

    Returns:
        (N, *D) of the dtype of the training data; of a table float64.
    """
    support = spec.support
    if support is None:
        return x if spec.columns else in_dtype(x, spec.given_dtype)
    rows = x.reshape(len(x), -1).astype(np.float64)
    origin = np.array([column.origin for column in spec.columns] or [0.0] * rows.shape[1])
    places = np.array(support.decimals)
    for count in np.unique(places[places >= 0]):
        chosen = places == count
        rows[:, chosen] = np.round(rows[:, chosen] + origin[chosen], count) - origin[chosen]
    rows = rows.clip(support.low, support.high)
    for i, values in enumerate(support.values):
        if values:
            rows[:, i] = _nearest(rows[:, i], values)
    made = rows.reshape(x.shape)
    return made if spec.columns else in_dtype(made, spec.given_dtype)
