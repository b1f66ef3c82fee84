"""Sparse matrices from the files that ``scipy.sparse.save_npz`` writes, and nothing in them trusted."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from autoencode.errors import DataError
from autoencode.files.free_memory import require_memory
from autoencode.files.sparse_rows import SparseRows, sparse_rows
from autoencode.types import Array

# Names of the arrays of each format that is read.
_PLACES = {"csr": ("indices", "indptr"), "csc": ("indices", "indptr"), "coo": ("row", "col")}
# Numbers of eight bytes that are kept of each column (range, scale, sums), and of each row.
_OF_EACH = 16

Read = Callable[[str], Array]


def is_sparse_archive(names: Collection[str]) -> bool:
    """Tells by the names of its arrays whether a ``.npz`` file is one of ``save_npz``.

    >>> is_sparse_archive(["indices", "indptr", "format", "shape", "data"])
    True
    """
    return {"format", "shape", "data"} <= set(names)


def read_sparse(names: Collection[str], read: Read, where: str) -> SparseRows:
    """Reads the matrix of an archive.

    Args:
        names: of its arrays.
        read: reads the array of a name, its dtype and its size checked.
        where: what to call the file in an error message.

    Raises:
        DataError: it is no matrix of numbers, or its parts do not fit together.
    """
    form = read("format")
    if form.ndim or form.dtype.kind not in "SU":
        raise _damaged(where, "its format is no word")
    name = form.item() if form.dtype.kind == "U" else form.item().decode("ascii", "replace")
    if name not in _PLACES:
        raise DataError(
            f"{where}: a sparse matrix in the format {name[:20]!r}; save it again with "
            "scipy.sparse.save_npz(path, matrix.tocsr())"
        )
    if missing := [part for part in _PLACES[name] if part not in names]:
        raise _damaged(where, f"its {missing[0]} is missing")
    shape = _shape(read("shape"), where)
    values, (first, second) = read("data"), map(read, _PLACES[name])
    for part in (first, second):
        if part.ndim != 1 or part.dtype.kind not in "iu":
            raise _damaged(where, "its places are no whole numbers in a row")
    if values.ndim != 1 or len(first) != len(values):
        raise _damaged(where, f"{len(first)} places for {values.size} values")
    require_memory(8 * _OF_EACH * sum(shape), f"{where}, {shape[0]} x {shape[1]}")
    import scipy.sparse  # only where such a file is read

    if name == "coo":
        if len(second) != len(values):
            raise _damaged(where, f"{len(second)} columns for {len(values)} values")
        _refuse_outside(first, shape[0], where)
        _refuse_outside(second, shape[1], where)
        matrix: Any = scipy.sparse.coo_array((values, (first, second)), shape=shape)
        return sparse_rows(matrix, where)
    along, across = shape if name == "csr" else shape[::-1]
    if len(second) != along + 1 or second[0] != 0 or second[-1] != len(values):
        raise _damaged(where, f"its indptr does not fit a matrix of {shape[0]} x {shape[1]}")
    if len(second) > 1 and bool((second[1:] < second[:-1]).any()):
        raise _damaged(where, "its indptr falls")
    _refuse_outside(first, across, where)
    made = scipy.sparse.csr_array if name == "csr" else scipy.sparse.csc_array
    return sparse_rows(made((values, first, second), shape=shape), where)


def _shape(found: Array, where: str) -> tuple[int, int]:
    if found.shape != (2,) or found.dtype.kind not in "iu" or min(found.tolist()) < 0:
        raise _damaged(where, "its shape is not that of a matrix")
    if max(found.tolist()) > np.iinfo(np.int64).max // (8 * _OF_EACH * 2):
        raise _damaged(where, f"it claims {found[0]} x {found[1]} values")
    rows, columns = found.tolist()
    return rows, columns


def _refuse_outside(places: Array, length: int, where: str) -> None:
    if len(places) and not 0 <= int(places.min()) <= int(places.max()) < length:
        raise _damaged(where, f"a value lies outside of its {length} rows or columns")


def _damaged(where: str, why: str) -> DataError:
    return DataError(f"{where}: not an intact sparse matrix ({why}); write it again")
