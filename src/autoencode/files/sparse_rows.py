"""Rows of numbers that are mostly zeros: a sparse matrix of scipy, read a few rows at a time."""

from __future__ import annotations

import logging
import sys
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autoencode.errors import DataError
from autoencode.files.free_memory import human, require_memory

Array = NDArray[Any]  # of ``types``, which stands beside this folder

_log = logging.getLogger("autoencode")


class SparseRows:
    """Rows of which only the values that are not zero are held (CSR).

    A selection of rows is another ``SparseRows``; ``dense`` makes an array of them. So whoever looks at
    some rows at a time never holds all of them as an array.

    Args:
        matrix: (N, D) a ``scipy.sparse`` matrix in CSR whose entries are in order, each there once.

    Example:
        >>> import scipy.sparse
        >>> rows = SparseRows(scipy.sparse.csr_array(np.array([[0.0, 2.0], [0.0, 0.0], [3.0, 0.0]])))
        >>> len(rows), rows.shape, rows.extremes()
        (3, (3, 2), (0.0, 3.0))
        >>> rows[1:].dense()
        array([[0., 0.],
               [3., 0.]])
    """

    ndim = 2

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix
        self.shape: tuple[int, int] = tuple(matrix.shape)
        self.dtype: np.dtype[Any] = matrix.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Array) -> SparseRows:
        return SparseRows(self.matrix[rows])

    @property
    def size(self) -> int:
        """Number of entries, zeros included."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes that the rows would take as an array."""
        return self.size * self.dtype.itemsize

    @property
    def values(self) -> Array:
        """The values (K,) that are held, row after row."""
        found: Array = self.matrix.data
        return found

    @property
    def columns(self) -> Array:
        """The column (K,) of each value."""
        found: Array = self.matrix.indices
        return found

    def parts(self) -> tuple[Array, Array, Array]:
        """Gives where rows begin, the columns and the values: all there is to know of the rows."""
        return self.matrix.indptr, self.columns, self.values

    def copy(self) -> SparseRows:
        """Copies the rows, so that they stay when the matrix changes."""
        return SparseRows(self.matrix.copy())

    def astype(self, dtype: Any) -> SparseRows:
        """Converts the values; nothing is copied where they are of this dtype."""
        return SparseRows(self.matrix.astype(dtype, copy=False))

    def with_values(self, values: Array) -> SparseRows:
        """Returns rows with other values (K,) in the same places."""
        parts = (values, self.matrix.indices, self.matrix.indptr)
        return SparseRows(type(self.matrix)(parts, shape=self.shape))

    def dense(self) -> Array:
        """Makes an array (N, D) of the rows.

        Raises:
            DataError: with the numbers, where it would not fit into the free memory.
        """
        if self.nbytes > _LARGE:
            what = f"{self.shape[0]} x {self.shape[1]} sparse values as an array"
            require_memory(self.nbytes, what, "use fewer rows at a time")
        made: Array = self.matrix.toarray()
        return made

    def extremes(self) -> tuple[float, float]:
        """Finds the lowest and the highest known value, zeros included; NaN for none."""
        values = self.values
        low, high = (np.nan, np.nan)
        if len(values) and not (values.dtype.kind == "f" and np.isnan(values).all()):
            known: Any = values.view(np.uint8) if values.dtype == bool else values
            low, high = float(np.fmin.reduce(known)), float(np.fmax.reduce(known))
        if len(values) < self.size:
            low, high = float(np.fmin(low, 0.0)), float(np.fmax(high, 0.0))
        return low, high

    def column_extremes(self) -> tuple[Array, Array]:
        """Finds the lowest and the highest known value (D,) of each column."""
        dtype = np.dtype(np.uint8) if self.dtype == bool else self.dtype
        n_held = np.bincount(self.columns, minlength=self.shape[1])
        with_zeros = n_held < len(self)
        found = []
        for pick, start in ((np.fmin, "high"), (np.fmax, "low")):
            ends = np.full(self.shape[1], np.nan) if dtype.kind == "f" else _last(dtype, start)
            ends = np.broadcast_to(ends, self.shape[1:]).astype(dtype)
            pick.at(ends, self.columns, self.values.astype(dtype, copy=False))
            found.append(np.where(with_zeros, pick(ends, np.zeros((), dtype)), ends))
        return found[0], found[1]


#: What values may be held as: every row, or those that are not zero.
Held: TypeAlias = Array | SparseRows

_LARGE = 64 << 20  # bytes; less is not worth asking how much there is


def is_sparse(source: Any) -> bool:
    """Tells whether something is a matrix or an array of ``scipy.sparse``."""
    scipy_sparse = sys.modules.get("scipy.sparse")  # whoever has made one has loaded it
    return scipy_sparse is not None and bool(scipy_sparse.issparse(source))


def sparse_rows(source: Any, part: str = "data") -> SparseRows:
    """Reads a ``scipy.sparse`` matrix as rows; one that is no tidy CSR is copied once, which is logged.

    Args:
        source: of any format of ``scipy.sparse``.
        part: what to call it in an error message.

    Raises:
        DataError: for an array that is no matrix, or one whose parts do not fit together.

    Example:
        >>> import scipy.sparse
        >>> sparse_rows(scipy.sparse.coo_array(([1, 2], ([0, 0], [3, 3])), shape=(2, 5))).values
        array([3])
    """
    if len(source.shape) != 2:
        raise DataError(
            f"{part}: a sparse array of {len(source.shape)} axes; give a matrix (rows, columns)"
        )
    copied = source.format != "csr"
    if hasattr(source, "check_format"):  # before anything follows its indices
        try:
            source.check_format(full_check=True)
        except (ValueError, TypeError) as error:
            raise DataError(f"{part}: a damaged sparse matrix ({error}); make it anew") from None
    matrix = source.tocsr()
    if not matrix.has_canonical_format:
        matrix = matrix if copied else matrix.copy()
        matrix.sum_duplicates()
        copied = True
    if copied:
        held = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
        _log.info(
            "%s: copied to CSR with its entries in order (%s); give such a matrix to save that",
            part,
            human(held),
        )
    return SparseRows(matrix)


def as_dense(held: Held) -> Array:
    """Makes an array of rows, however they are held; what is one already is not copied."""
    return held.dense() if isinstance(held, SparseRows) else held


def bytes_of(held: Held) -> int:
    """Counts the bytes that values take as they are held."""
    if isinstance(held, SparseRows):
        return sum(part.nbytes for part in held.parts())
    return held.nbytes


def known_values(held: Held) -> Array:
    """Gives the values of rows but for zeros that are not held, in any shape."""
    return held.values if isinstance(held, SparseRows) else held


def _last(dtype: np.dtype[Any], end: str) -> Any:
    limits = np.iinfo(dtype)
    return limits.min if end == "low" else limits.max
