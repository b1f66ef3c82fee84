"""A bounded memory of rows that come in parts: a fair sample of all that came."""

from __future__ import annotations

import numpy as np

from autoencode.files.sparse_rows import Held, SparseRows, as_dense
from autoencode.types import Array


class Reservoir:
    """A memory of rows (N, *D): all of them while there is room, then a fair sample in order.

    Each row draws a number, and those with the smallest are kept, so that every row that ever came is
    there with the same chance, whatever the sizes of the parts.

    Random Sampling with a Reservoir (Vitter, 1985), https://doi.org/10.1145/3147.3165

    Args:
        room: rows that are kept at most.
        seed: of the sample.

    Example:
        >>> memory = Reservoir(room=3)
        >>> memory.add(np.arange(2.0)[:, None])
        >>> memory.add(np.arange(2.0, 9.0)[:, None])
        >>> memory.seen, memory.rows.shape
        (9, (3, 1))
    """

    def __init__(self, room: int, seed: int = 0) -> None:
        self.room, self.seed, self.seen = room, seed, 0
        self._rows: Array | None = None
        self._drawn: Array = np.empty(0)

    @property
    def rows(self) -> Array:
        """The rows (M, *D) that are kept, in the order in which they came."""
        assert self._rows is not None
        return self._rows

    def add(self, part: Held) -> None:
        """Adds a part (N, *D)."""
        drawn = np.random.default_rng([self.seed, self.seen]).random(len(part))
        self.seen += len(part)
        if isinstance(part, SparseRows) and len(part) > self.room:  # no more of them become an array
            kept = np.sort(np.argpartition(drawn, self.room)[: self.room])
            part, drawn = part[kept], drawn[kept]
        rows = as_dense(part)
        if self._rows is not None:
            rows = np.concatenate([self._rows, rows])
            drawn = np.concatenate([self._drawn, drawn])
        if len(rows) > self.room:
            kept = np.sort(np.argpartition(drawn, self.room)[: self.room])
            rows, drawn = rows[kept], drawn[kept]
        self._rows, self._drawn = np.array(rows), drawn
