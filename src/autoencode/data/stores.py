"""Examples that stay on disk and are read a stretch of rows at a time."""

from __future__ import annotations

import math
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from autoencode.data.arrays import refuse_dtype
from autoencode.data.files import in_words, npy_layout
from autoencode.data.raw import Array
from autoencode.errors import DataError


class Store(Protocol):
    """Examples in any form that can be read a stretch of rows at a time, by several threads.

    Attributes:
        name: what to call it in an error message.
        shape: of one example, as it is stored.
        dtype: of its values.
        labels: (N,) one for each example, or ``None``.
    """

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def labels(self) -> Array | None: ...
    def __len__(self) -> int: ...
    def read(self, start: int, stop: int) -> Array:
        """The rows from ``start`` to ``stop`` as a new array (stop - start, *shape)."""

    def take(self, rows: Array) -> Array:
        """The rows with these numbers (M,), ascending, as a new array (M, *shape)."""

    def bounds(self, rows: int) -> Array:
        """Row numbers, ascending from 0 to N, between which it reads well, about ``rows`` apart."""


@dataclass(frozen=True, eq=False)
class FileStore:
    """Rows that lie one after the other in a file, as in a ``.npy`` file.

    Read with plain reads: pages of a mapping count as the process's memory, and a pass over a large
    file would fill all there is with them.

    Attributes:
        path: the file.
        offset: where in it the first row begins, bytes.
        rows: how many there are.
        ids: (N,) what each is called, or ``None``.
        title: what to call all of it, where the file has no name that the user knows.
        notices: what the user should know.
    """

    path: Path
    offset: int
    rows: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    labels: Array | None = None
    ids: Array | None = None
    title: str = ""
    notices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.title or str(self.path)

    def __len__(self) -> int:
        return self.rows

    def read(self, start: int, stop: int) -> Array:
        """The rows from ``start`` to ``stop`` (stop - start, *shape).

        Raises:
            DataError: the file ends before, or cannot be read.
        """
        block = np.empty((stop - start, *self.shape), self.dtype)
        self._fill(block, start)
        return block

    def take(self, rows: Array) -> Array:
        """The rows with these numbers (M,) as (M, *shape); each is read by itself."""
        found = np.empty((len(rows), *self.shape), self.dtype)
        for i, row in enumerate(rows.tolist()):
            self._fill(found[i : i + 1], row)
        return found

    def bounds(self, rows: int) -> Array:
        """Any row will do."""
        return np.append(np.arange(0, self.rows, rows), self.rows)

    def _fill(self, block: Array, start: int) -> None:
        row_bytes = math.prod(self.shape) * self.dtype.itemsize
        target = block.reshape(-1).view(np.uint8).data
        # Opened for each block, which costs next to nothing: a store can be copied, pickled and
        # shared between threads, and holds nothing that must be closed.
        with in_words(self.path), self.path.open("rb", buffering=0) as file:
            file.seek(self.offset + start * row_bytes)
            while target:
                n_read = file.readinto(target)
                if not n_read:
                    row = max(0, os.fstat(file.fileno()).st_size - self.offset) // row_bytes
                    raise DataError(
                        f"{self.path}: ends in row {row} of {self.rows}; it was cut off since it was "
                        "opened, write it again"
                    )
                target = target[n_read:]


def open_npy(path: Path) -> FileStore:
    """The rows of a ``.npy`` file, none of them read yet.

    Raises:
        DataError: the file is missing or damaged, or holds nothing to learn from.
    """
    shape, dtype, offset = npy_layout(path)
    return FileStore(path, offset, shape[0] if shape else 0, shape[1:], dtype)


def open_memmap(x: np.memmap[Any, Any]) -> FileStore | None:
    """The rows behind a memory map, ``None`` where they do not lie in a file one after the other."""
    root: Any = x
    while isinstance(root.base, np.ndarray):
        root = root.base
    in_file = isinstance(root, np.memmap) and isinstance(root.base, mmap.mmap) and root.filename
    # What was written to a copy-on-write map is in no file.
    if not in_file or root.mode == "c" or not x.flags.c_contiguous or x.ndim < 2:
        return None
    # A view has its root's offset, whatever part of it it shows.
    offset = root.offset + x.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    return FileStore(Path(root.filename), offset, len(x), x.shape[1:], x.dtype)


def take_by_blocks(store: Store, rows: Array) -> Array:
    """``take`` for a store that can only be read in stretches: each stretch is read once at most."""
    found = np.empty((len(rows), *store.shape), store.dtype)
    bounds = store.bounds(1)
    at = np.searchsorted(rows, bounds)
    for i in np.flatnonzero(np.diff(at)):
        block = store.read(int(bounds[i]), int(bounds[i + 1]))
        found[at[i] : at[i + 1]] = block[rows[at[i] : at[i + 1]] - bounds[i]]
    return found


def merged(bounds: Array, rows: int) -> Array:
    """Some of the bounds, so that they lie about ``rows`` apart where they can.

    >>> merged(np.array([0, 3, 6, 9, 10]), 5)
    array([ 0,  6, 10])
    """
    chosen = [0]
    for bound in bounds[1:-1].tolist():
        if bound - chosen[-1] >= rows:
            chosen.append(bound)
    return np.array([*chosen, int(bounds[-1])])


def refuse_unusable_store(store: Store) -> None:
    """Refuse a store that holds nothing to learn from.

    Raises:
        DataError: with the reason.
    """
    shape = " x ".join(map(str, (len(store), *store.shape)))
    if not store.shape:
        raise DataError(f"{store.name}: expected one row for each example, got shape {shape}")
    refuse_dtype(store.dtype, store.name)
    if not len(store) or not math.prod(store.shape):
        raise DataError(f"{store.name}: no values in it (shape {shape}), 0 examples or 0 features")
