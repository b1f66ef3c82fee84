"""How well each column of a table, or channel of a signal, is reconstructed: beside a constant guess.

Nothing here draws: pages and figures, or whoever else shows it, read the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoencode.pictures.cell_text import entry_columns
from autoencode.types import Array, Column, DataSpec

#: Columns that are in view, and how many are listed at all: a page of more would be slow to open.
MOST_IN_VIEW, MOST_LISTED = 12, 300
_ROUNDING = 1e-6  # of the training rows' spread; less is no error


@dataclass(frozen=True)
class ColumnError:
    """The error of one column, measured by that of the best constant guess.

    Attributes:
        name: of the column.
        kind: of its values (``ColumnKind``).
        place: its number among all columns.
        n: how many values were compared; gaps are none.
        left: numbers: the share of variance that is left; categories and booleans: wrong values by
            those that the most frequent one would leave wrong. 0 for all right, 1 for a constant
            guess. ``None`` where there was nothing to compare.
        right: of categories and booleans the share of values that are right, else ``None``.
        most_frequent: the share of the most frequent value, for these.
        spread: standard deviation of numbers in the matrix's units, what their errors are measured by.
    """

    name: str
    kind: str
    place: int
    n: int
    left: float | None
    right: float | None = None
    most_frequent: float | None = None
    spread: float = 1.0

    @property
    def bar(self) -> float:
        """The length of its bar in per cent; full for a constant guess and for what is worse."""
        return round(100 * min(1.0, self.left or 0.0), 1)

    @property
    def words(self) -> str:
        """What the figures say, in words."""
        if self.left is None:
            return "nothing but gaps"
        if self.right is not None and self.most_frequent is not None:
            guess = f"always the most frequent: {self.most_frequent:.0%}"
            return f"{self.right:.0%} right ({guess})"
        if self.left > 1:
            return f"{self.left:.3g} times the variance: further off than the mean"
        share = "under 1%" if 0 < self.left < 0.01 else f"{self.left:.0%}"
        return f"{share} of the variance left"


@dataclass(frozen=True)
class ColumnErrors:
    """The errors of all columns, the worst first.

    Attributes:
        columns: the worst first, those without a known value last.
        what: what they are called, column or channel.
        n: of how many examples.
    """

    form: ClassVar[str] = "columns"
    columns: tuple[ColumnError, ...]
    what: str
    n: int

    @property
    def title(self) -> str:
        """What is shown."""
        return f"{self.what.capitalize()}s, the worst first"

    @property
    def in_view(self) -> tuple[ColumnError, ...]:
        """The columns that are seen at once."""
        return self.columns[:MOST_IN_VIEW]

    @property
    def folded(self) -> tuple[ColumnError, ...]:
        """The columns that a page folds away."""
        return self.columns[MOST_IN_VIEW:MOST_LISTED]

    @property
    def left_out(self) -> int:
        """How many are not even there."""
        return max(0, len(self.columns) - MOST_LISTED)


def errors_of_table(spec: DataSpec, x: Array, reconstructed: Array) -> ColumnErrors:
    """Measures how far each column of rows is from its reconstruction.

    Args:
        spec: of the rows.
        x: (N, D) in the data's own units, of a table as its matrix has them; NaN for a gap.
        reconstructed: (N, D) the same.

    Example:
        >>> x = np.array([[0.0, 1.0], [2.0, 3.0]])
        >>> found = errors_of_table(DataSpec((2,), "real"), x, np.array([[1.0, 1.0], [1.0, 3.0]]))
        >>> [(column.name, column.left) for column in found.columns]
        [('x0', 1.0), ('x1', 0.0)]
    """
    scales = np.broadcast_to(np.asarray(spec.scale, float), (x.shape[1],))
    found = [
        _error(column, i, x[:, i].astype(float), reconstructed[:, i].astype(float), scales[i])
        for i, column in enumerate(entry_columns(spec))
    ]
    return ColumnErrors(_worst_first(found), "column", len(x))


def errors_of_signals(spec: DataSpec, x: Array, reconstructed: Array) -> ColumnErrors:
    """Measures how far each channel of signals (N, T, C) is from its reconstruction."""
    scales = np.broadcast_to(np.asarray(spec.scale, float).reshape(-1), (x[0].size,))
    scales = scales.reshape(x.shape[1:]).mean(axis=0)
    found = [
        _error(Column(name), i, x[:, :, i].ravel(), reconstructed[:, :, i].ravel(), scales[i])
        for i, name in enumerate(channel_names(spec))
    ]
    return ColumnErrors(_worst_first(found), "channel", len(x))


def channel_names(spec: DataSpec) -> list[str]:
    """Names the channels of signals, by their numbers where they have no names."""
    channels = spec.shape[-1]
    if len(spec.columns) == channels:
        return [column.name for column in spec.columns]
    return [f"channel {i}" for i in range(channels)]


def _worst_first(found: list[ColumnError]) -> tuple[ColumnError, ...]:
    return tuple(sorted(found, key=lambda one: -1.0 if one.left is None else one.left, reverse=True))


def _error(column: Column, place: int, x: Array, made: Array, scale: float) -> ColumnError:
    known = np.isfinite(x) & np.isfinite(made)
    x, made, n = x[known].astype(float), made[known].astype(float), int(known.sum())
    name, kind = column.name, column.kind
    if not n:
        return ColumnError(name, kind, place, 0, None, spread=float(scale) or 1.0)
    if kind in ("category", "boolean"):
        right = float((np.rint(x) == np.rint(made)).mean())
        most = float(np.unique(np.rint(x), return_counts=True)[1].max() / n)
        return ColumnError(name, kind, place, n, (1 - right) / ((1 - most) or 1.0), right, most)
    spread = float(x.std())
    if spread <= _ROUNDING * max(abs(float(x.mean())), scale):
        spread = float(scale) or 1.0  # all are the same here: by the spread in training
    left = float(np.square(x - made).mean()) / spread**2
    return ColumnError(name, kind, place, n, left, spread=spread)
