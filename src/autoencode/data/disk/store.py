"""Examples that stay on disk and are read a stretch of rows at a time."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from autoencode.types import Array


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
