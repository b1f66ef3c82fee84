"""The interface of stores: examples on disk that are read some rows at a time."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from autoencode.types import Array


class Store(Protocol):
    """A store of examples on disk, which several threads can read some rows at a time.

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
        """Reads the rows from ``start`` to ``stop`` into a new array (stop - start, *shape)."""

    def take(self, rows: Array) -> Array:
        """Reads the rows with these numbers (M,), ascending, into a new array (M, *shape)."""

    def bounds(self, rows: int) -> Array:
        """Lists row numbers from 0 to N, about ``rows`` apart, between which the store reads well."""


def take_by_blocks(store: Store, rows: Array) -> Array:
    """Reads single rows from a store that only reads stretches, each stretch once at most."""
    found = np.empty((len(rows), *store.shape), store.dtype)
    bounds = store.bounds(1)
    at = np.searchsorted(rows, bounds)
    for i in np.flatnonzero(np.diff(at)):
        block = store.read(int(bounds[i]), int(bounds[i + 1]))
        found[at[i] : at[i + 1]] = block[rows[at[i] : at[i + 1]] - bounds[i]]
    return found


def merged(bounds: Array, rows: int) -> Array:
    """Selects some of the bounds, so that they lie about ``rows`` apart where they can.

    >>> merged(np.array([0, 3, 6, 9, 10]), 5)
    array([ 0,  6, 10])
    """
    chosen = [0]
    for bound in bounds[1:-1].tolist():
        if bound - chosen[-1] >= rows:
            chosen.append(bound)
    return np.array([*chosen, int(bounds[-1])])
