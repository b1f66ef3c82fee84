"""The columns of a table over a plane of codes: a map for each column; nothing here draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autoencode.pictures.cell_text import in_words, one_column
from autoencode.pictures.column_errors import ColumnError
from autoencode.types import Array, DataSpec

_MOST_PLANES = 6
_MOST_VALUES = 8  # of a category, each with its own shade


@dataclass(frozen=True, eq=False)
class Plane:
    """One column over a plane of codes.

    Attributes:
        name: of the column.
        values: (rows, columns) from 0 to 1; of a category the place of the value, of ``labels``.
        labels: the least and the largest value in words; of a category all that occur.
        named: whether the values are categories or booleans.
    """

    name: str
    values: Array
    labels: tuple[str, ...]
    named: bool


def planes(
    spec: DataSpec, decoded: Array, columns: Sequence[ColumnError], rows: int
) -> tuple[Plane, ...]:
    """Makes a map of each of the columns that vary most over a square of codes.

    Args:
        spec: of the rows.
        decoded: (rows * rows, D) in the data's own units, the top row of the square first.
        columns: all D of them, with their spreads.
        rows: of the square.
    """
    x = decoded.astype(np.float64)
    named = {column.place: column.kind in ("category", "boolean") for column in columns}
    varies = {
        column.place: float(
            np.unique(np.rint(x[:, column.place])).size > 1
            if named[column.place]
            else np.ptp(x[:, column.place]) / column.spread
        )
        for column in columns
    }
    order = sorted(columns, key=lambda column: -varies[column.place])[:_MOST_PLANES]
    return tuple(
        _plane(spec, column, x[:, column.place], rows, named[column.place]) for column in order
    )


def _plane(spec: DataSpec, column: ColumnError, x: Array, rows: int, named: bool) -> Plane:
    one = one_column(spec, column.place)
    if named:
        known, places, counts = np.unique(np.rint(x), return_inverse=True, return_counts=True)
        labels = in_words(one, known[:, None], made=True)[0]
        if len(known) > _MOST_VALUES:  # the rare ones share a shade
            common = np.argsort(-counts, kind="stable")[: _MOST_VALUES - 1]
            shade = np.full(len(known), _MOST_VALUES - 1)
            shade[common] = np.arange(len(common))
            places = shade[places]
            labels = [*(labels[i] for i in common), "others"]
        return Plane(column.name, places.reshape(rows, rows), tuple(labels), named)
    low, high = float(x.min()), float(x.max())
    ends = tuple(in_words(one, np.array([[low], [high]]), x[:, None], made=True)[0])
    return Plane(column.name, ((x - low) / ((high - low) or 1.0)).reshape(rows, rows), ends, named)
