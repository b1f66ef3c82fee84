"""Histograms of the columns of a table, real beside drawn; nothing here draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoencode.pictures.cell_text import Value, entry_columns, in_words, one_column
from autoencode.types import Array, DataSpec

_LEAST_BINS, _BINS = 5, 20
_MOST_VALUES = 8  # bars of categories; the others are one bar together
_FEW_VALUES = 12  # numbers with no more values have a bar for each
MOST_HISTOGRAMS = 12  # in view
MOST_FOLDED = 60
MOST_WRITTEN = 24  # columns of rows that are written out


@dataclass(frozen=True)
class Histogram:
    """Shares of real and of drawn values of one column.

    Attributes:
        name: of the column.
        labels: (B,) of the bars, where each is a value; else only the first and the last, (2,): the
            least and the largest value.
        real: (B,) shares of the known real values.
        drawn: (B,) shares of the draws.
        each: whether each bar has its label.
    """

    name: str
    labels: tuple[str, ...]
    real: tuple[float, ...]
    drawn: tuple[float, ...]
    each: bool

    @property
    def overlap(self) -> float:
        """The share of values that both have in common, from 0 to 1 for the same shares."""
        return float(np.minimum(self.real, self.drawn).sum())

    @property
    def highest(self) -> float:
        """The largest share, for the scale."""
        return max(*self.real, *self.drawn) or 1.0


@dataclass(frozen=True)
class Draws:
    """Draws of a table beside real rows: some rows, and histograms of the columns.

    Attributes:
        columns: (K,) names, those that fit worst first.
        real, drawn: some rows (K,) of each, in that order of the columns.
        histograms: those that fit worst first.
        n_columns: how many columns there are in all.
    """

    form: ClassVar[str] = "draws"
    columns: tuple[str, ...]
    real: tuple[tuple[Value, ...], ...]
    drawn: tuple[tuple[Value, ...], ...]
    histograms: tuple[Histogram, ...]
    n_columns: int
    title: ClassVar[str] = "Drawn rows beside real ones"
    most_columns: ClassVar[int] = MOST_WRITTEN

    @property
    def in_view(self) -> tuple[Histogram, ...]:
        """The histograms that are seen at once."""
        return self.histograms[:MOST_HISTOGRAMS]

    @property
    def folded(self) -> tuple[Histogram, ...]:
        """The histograms that a page folds away."""
        return self.histograms[MOST_HISTOGRAMS:]


def compare_draws(spec: DataSpec, real: Array, drawn: Array, n_rows: int = 3) -> Draws:
    """Puts draws of a table beside real rows, the columns that fit worst first.

    Args:
        spec: of the rows.
        real: (N, D) in the data's own units, of a table as its matrix has them; NaN for a gap.
        drawn: (M, D) the same.
        n_rows: how many of each are written out.
    """
    columns = entry_columns(spec)
    pairs = [(histogram(one_column(spec, i), real[:, i], drawn[:, i]), i) for i in range(len(columns))]
    pairs.sort(key=lambda pair: pair[0].overlap)
    pairs = pairs[:MOST_FOLDED]
    places = [i for _, i in pairs]
    rows = [_rows(spec, part[:n_rows], real, places) for part in (real, drawn)]
    found = tuple(one for one, _ in pairs)
    return Draws(tuple(one.name for one in found), rows[0], rows[1], found, len(columns))


def _rows(
    spec: DataSpec, x: Array, reference: Array, places: list[int]
) -> tuple[tuple[Value, ...], ...]:
    texts = in_words(spec, x, reference)
    return tuple(
        tuple(Value(texts[i][r], bool(np.isnan(x[r, i]))) for i in places) for r in range(len(x))
    )


def histogram(spec: DataSpec, real: Array, drawn: Array) -> Histogram:
    """Counts real (N,) and drawn (M,) values of a table of one column in the same bars.

    Example:
        >>> from autoencode.types import Column
        >>> pet = DataSpec((1,), "real", columns=(Column("pet", "category", ("cat", "dog")),))
        >>> found = histogram(pet, np.array([0.0, 0.0, 1.0, np.nan]), np.array([0.0, 1.0]))
        >>> found.labels, found.drawn, round(found.overlap, 2)
        (('cat', 'dog'), (0.5, 0.5), 0.83)
    """
    column = spec.columns[0]
    real, drawn = (values[np.isfinite(values)].astype(float) for values in (real, drawn))
    values = np.unique(np.concatenate([real, drawn]))
    if not len(values):
        return Histogram(column.name, ("", ""), (0.0,), (0.0,), each=False)
    named = column.kind in ("category", "boolean")
    if named or len(values) <= _FEW_VALUES:
        return _by_value(spec, real, drawn, values, sort=named)
    edges = _edges(real, drawn, _whole(spec))
    low, high = edges[0], edges[-1]
    real_shares, drawn_shares = (
        _shares(np.histogram(part.clip(low, high), edges)[0]) for part in (real, drawn)
    )
    both = np.concatenate([real, drawn])
    ends = _texts(spec, np.array([max(low, both.min()), min(high, both.max())]), both)
    return Histogram(column.name, ends, real_shares, drawn_shares, each=False)


def _whole(spec: DataSpec) -> bool:
    """Whether the values of a column are whole numbers."""
    plain = spec.columns[0].kind == "real"
    return plain and spec.support is not None and spec.support.decimals[0] == 0


def _edges(real: Array, drawn: Array, whole: bool) -> Array:
    """Finds edges of equal bars, as many as the real values allow."""
    both = np.concatenate([real, drawn])
    # One value far out would leave all others in one bar; the outermost bars hold it as well.
    low, high = np.quantile(both, [0.005, 0.995])
    if low == high:
        low, high = both.min(), both.max()
    n = int(np.clip(round(2 * len(real) ** (1 / 3)), _LEAST_BINS, _BINS))
    if not whole:
        return np.linspace(low, high, n + 1)
    # As many whole numbers in each bar, or it would be high for that alone.
    step = max(1.0, np.ceil((high - low + 1) / n))
    edges: Array = np.arange(np.floor(low) - 0.5, high + 0.5 + step, step)
    return edges


def _by_value(spec: DataSpec, real: Array, drawn: Array, values: Array, sort: bool) -> Histogram:
    counts = [(values[:, None] == part).sum(axis=1) for part in (real, drawn)]
    labels = list(_texts(spec, values, values))
    order = np.argsort(-counts[0], kind="stable") if sort else np.arange(len(values))
    labels, counts = [labels[i] for i in order], [part[order] for part in counts]
    if sort and len(values) > _MOST_VALUES:
        rest = _MOST_VALUES - 1
        labels = [*labels[:rest], f"{len(labels) - rest} others"]
        counts = [np.append(part[:rest], part[rest:].sum()) for part in counts]
    real_shares, drawn_shares = (_shares(part) for part in counts)
    return Histogram(spec.columns[0].name, tuple(labels), real_shares, drawn_shares, each=True)


def _shares(counts: Array) -> tuple[float, ...]:
    shares: Array = counts / max(1, counts.sum())
    return tuple(shares.tolist())


def _texts(spec: DataSpec, values: Array, reference: Array) -> tuple[str, ...]:
    return tuple(in_words(spec, values[:, None], reference[:, None])[0])
