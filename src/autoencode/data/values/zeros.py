"""How tables are scaled that are mostly zeros, as those of words are: without moving the zeros.

Such a table says what there is, and nearly nowhere is anything. Each column with a mean of 0 and a
variance of 1 would make a word that one text has as important as one that divides them in halves, and a
value of it a hundred times larger. So columns stay where they are, and share one scale: the root mean
square of what is not zero. A column whose values are ten times larger or smaller than usual counts
something else, and has a scale of its own; one that is seldom zero is standardised as in any table.

What counts is the values, not how they are held: an array and the sparse matrix of the same numbers are
scaled alike, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from autoencode.files.sparse_rows import Held, SparseRows
from autoencode.types import ZEROS_SHARE, ZEROS_WIDTH, Array

_OFTEN = 0.25  # share of zeros from which a column stays where it is
_OTHER_UNIT = 10.0  # times the typical size: what counts something else
_CHUNK_ENTRIES = 1 << 20


def share_of_zeros(x: Held) -> float:
    """Computes the share of the entries of rows (N, D) that are zero.

    >>> share_of_zeros(np.array([[0.0, 1.0], [0.0, np.nan]]))
    0.5
    """
    held = x.values if isinstance(x, SparseRows) else x
    return 1 - float(np.count_nonzero(held)) / max(1, x.size)


def is_mostly_zeros(x: Held) -> bool:
    """Tells whether rows (N, D) are a wide table of which nine tenths or more are zeros."""
    return x.ndim == 2 and are_mostly_zeros(share_of_zeros(x), x.shape[1])


def are_mostly_zeros(share: float, width: int) -> bool:
    """Tells whether tables of this width, of which this share is zero, are scaled as here."""
    return width >= ZEROS_WIDTH and share >= ZEROS_SHARE


def scaled_by_size(x: Held) -> tuple[Array, Array]:
    """Computes what a table that is mostly zeros is scaled by: centre and squared scale, (D,) each.

    The centre is 0 of each column that is often zero, and the scale of one that is always zero is 0.

    Args:
        x: (N, D), NaN where a value is missing.

    Example:
        >>> x = np.zeros((100, 3))
        >>> x[:10, 0], x[:2, 1], x[:, 2] = 3.0, 4.0, np.arange(1, 101)
        >>> center, squares = scaled_by_size(x)
        >>> center, np.sqrt(squares).round(2)
        (array([ 0. ,  0. , 50.5]), array([ 3.19,  3.19, 28.87]))
    """
    return _scaled(len(x), x.shape[1], lambda: _not_zero(x))


def scaled_by_size_in_blocks(
    n: int, width: int, blocks: Callable[[], Iterator[Array]]
) -> tuple[Array, Array]:
    """Computes what ``scaled_by_size`` does of n rows that are read in blocks (K, width), twice."""
    return _scaled(n, width, lambda: (part for block in blocks() for part in _not_zero(block)))


def _scaled(
    n: int, width: int, not_zero: Callable[[], Iterator[tuple[Array, Array]]]
) -> tuple[Array, Array]:
    counts, unknown = np.zeros(width), np.zeros(width)
    sums, squares = np.zeros(width), np.zeros(width)
    for columns, values in not_zero():
        gone = np.isnan(values)
        np.add.at(unknown, columns[gone], 1.0)
        columns, values = columns[~gone], values[~gone]
        np.add.at(counts, columns, 1.0)
        np.add.at(sums, columns, values)
        np.add.at(squares, columns, np.square(values))
    known = np.maximum(1.0, n - unknown)
    stays = known - counts >= _OFTEN * known
    center = np.where(stays, 0.0, sums / known)
    variance = _size_of(counts, squares, stays)
    if not stays.all():
        apart = _apart(not_zero(), center, ~stays)
        variance = np.where(stays, variance, (apart + (known - counts) * center**2) / known)
    return center, variance


def _size_of(counts: Array, squares: Array, stays: Array) -> Array:
    """Computes the mean square (D,) of what is not zero: one of all columns that are alike in size."""
    used = stays & (counts > 0)
    own = np.where(used, squares / np.maximum(counts, 1.0), 0.0)
    if not used.any():
        return own
    usual = float(np.median(own[used]))
    alike = used & (own <= usual * _OTHER_UNIT**2) & (own * _OTHER_UNIT**2 >= usual)
    return np.where(alike, squares[alike].sum() / counts[alike].sum(), own)


def _apart(not_zero: Iterator[tuple[Array, Array]], center: Array, chosen: Array) -> Array:
    """Sums the squared distances (D,) to the centre of values that are not zero, of chosen columns."""
    sums = np.zeros(len(center))
    for columns, values in not_zero:
        known = chosen[columns] & ~np.isnan(values)
        columns = columns[known]
        np.add.at(sums, columns, np.square(values[known] - center[columns]))
    return sums


def _not_zero(x: Held) -> Iterator[tuple[Array, Array]]:
    """Yields columns and float64 values of what is not zero, in order, some rows at a time.

    Sums of them, one value after the other, are the same for any number of rows at a time.
    """
    if isinstance(x, SparseRows):
        for start in range(0, len(x.values), _CHUNK_ENTRIES):
            values = x.values[start : start + _CHUNK_ENTRIES].astype(np.float64)
            some = values != 0
            yield x.columns[start : start + _CHUNK_ENTRIES][some], values[some]
        return
    step = max(1, _CHUNK_ENTRIES // x.shape[1])
    for start in range(0, len(x), step):
        chunk = x[start : start + step]
        rows, columns = np.nonzero(chunk)
        yield columns, chunk[rows, columns].astype(np.float64)
