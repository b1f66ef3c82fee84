"""Training examples that are rows of a store, less those held out."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autoencode.data.disk.store import Store
from autoencode.data.examples import Examples
from autoencode.data.values.layouts import Arrangement, arrangement
from autoencode.types import Array, Channels, Layout

# What is held in memory of a store at most: as test part, to validate on, to fit PCA and a prior.
SAMPLE_ROWS, SAMPLE_BYTES = 10_000, 128 << 20
_PIECES, _PIECE_BYTES = 64, 1 << 16

# So that rows chosen for one end do not lie beside those chosen for another.
HELD_OUT, _VALIDATION, _SAMPLE = range(3)


def _none() -> Array:
    return np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class Stored:
    """Training examples that are rows of a store on disk, less those held out.

    Attributes:
        store: where they are.
        dtype: what they become in memory, uint8 or float32.
        without: (K,) ascending row numbers of the store that do not belong to them.
        labels: (len(store),) one label for each row of the store, or ``None``.
        layout: what an example is; guessed by the number of its axes when ``None``.
        channels: where the channels of images are; guessed when ``None``.
    """

    store: Store
    dtype: np.dtype[Any]
    without: Array = field(default_factory=_none)
    labels: Array | None = None
    layout: Layout | None = None
    channels: Channels | None = None

    def __len__(self) -> int:
        return len(self.store) - len(self.without)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, as models have it."""
        return self._arranged.shape

    @property
    def _arranged(self) -> Arrangement:
        return arrangement(self.store.shape, self.layout, self.channels)

    @property
    def ids(self) -> Array | None:
        """Name of each example (N,), or ``None``."""
        return None if self._ids is None else np.delete(self._ids, self.without)

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices about the reading for the user."""
        found: tuple[str, ...] = getattr(self.store, "notices", ())
        return found

    @property
    def _ids(self) -> Array | None:
        found: Array | None = getattr(self.store, "ids", None)
        return found

    @property
    def row_bytes(self) -> int:
        """Bytes of one example in memory."""
        return math.prod(self.store.shape) * self.dtype.itemsize

    def counts(self, bounds: Array) -> Array:
        """Counts the examples (K,) between each two of these rows (K + 1,) of the store."""
        return np.diff(bounds - np.searchsorted(self.without, bounds))

    def raw(self, start: int, stop: int) -> Array:
        """Reads the examples (n, *D) among rows ``start`` to ``stop`` of the store, in its dtype."""
        first, last = np.searchsorted(self.without, (start, stop))
        block = self.store.read(start, stop)
        if last > first:
            block = np.delete(block, self.without[first:last] - start, axis=0)
        examples: Array = self._arranged(block)
        return examples

    def read(self, start: int, stop: int) -> Array:
        """Reads the examples (n, *D) among rows ``start`` to ``stop`` of the store, in ``dtype``."""
        return np.ascontiguousarray(self.raw(start, stop), self.dtype)

    def take(self, rows: Array) -> Examples:
        """Reads the examples with these numbers (M,), ascending, into memory."""
        places = self._in_store(rows)
        x = np.ascontiguousarray(self._arranged(self.store.take(places)), self.dtype)
        labels, ids = (None if one is None else one[places] for one in (self.labels, self._ids))
        return Examples(x, labels, ids)

    def split(self, validation: float, seed: int) -> tuple[Stored, Examples]:
        """Splits off validation examples, which are evenly spread and read into memory.

        Args:
            validation: the share to validate on, of which no more are taken than memory allows.
            seed: which rows these are.
        """
        rows = self.share(validation, _VALIDATION, seed)
        without = np.union1d(self.without, self._in_store(rows))
        return replace(self, without=without), self.take(rows)

    def share(self, share: float, *seeds: int) -> Array:
        """Chooses the numbers of a share of the examples, ascending and evenly spread.

        At least one, never all, and no more than memory allows.
        """
        n = min(max(1, round(len(self) * share)), len(self) - 1)
        return self._spread(min(n, self._most), *seeds)

    def bounded(self) -> Examples:
        """Reads as many of the examples as memory allows, evenly spread."""
        return self.take(self._spread(min(len(self), self._most), _SAMPLE))

    @property
    def _most(self) -> int:
        return min(SAMPLE_ROWS, max(1, SAMPLE_BYTES // self.row_bytes))

    def _spread(self, n: int, *seeds: int) -> Array:
        """Draws one example out of each of n stretches of equal length."""
        edges = np.arange(n + 1) * len(self) // n
        width = np.diff(edges)
        return edges[:-1] + (np.random.default_rng(seeds).random(n) * width).astype(np.int64)

    def fingerprint(self, test: Examples | None = None) -> str:
        """Computes a SHA-256 over size, dtype and 64 evenly spread pieces of 64 kB of the store.

        A change between the pieces goes unseen; to read everything would take minutes at each start.
        """
        store, n = self.store, len(self.store)
        digest = hashlib.sha256(f"{n} {store.shape} {store.dtype.str}\n".encode())
        piece = max(1, _PIECE_BYTES // (math.prod(store.shape) * store.dtype.itemsize))
        if n <= _PIECES * piece:
            starts, piece = [0], n
        else:
            starts = [i * (n - piece) // (_PIECES - 1) for i in range(_PIECES)]
        for start in starts:
            digest.update(store.read(start, start + piece).data)
        return digest.hexdigest()

    def _in_store(self, rows: Array) -> Array:
        """Converts numbers of examples to row numbers of the store."""
        before = self.without - np.arange(len(self.without))
        return np.asarray(rows + np.searchsorted(before, rows, side="right"))
