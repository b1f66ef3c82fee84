"""Rows of a table beside what a model made of them, cell by cell; nothing here draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoencode.pictures.cell_text import in_words
from autoencode.pictures.column_errors import MOST_IN_VIEW, MOST_LISTED, ColumnError, ColumnErrors
from autoencode.types import Array, DataSpec

#: Errors in spreads of the column from which a cell is marked, and shaded darker and darker.
LEVELS = (0.25, 0.5, 1.0)
MOST_ROWS = 6


@dataclass(frozen=True)
class Cell:
    """One value and what was made of it.

    Attributes:
        value: the original, in words.
        made: the reconstruction, in words.
        mark: how they differ, so that colour is not the only sign: ▲ or ▼ with the error in spreads
            of the column, ≠ for another category, empty where they agree.
        level: 0 to 3, how far they differ.
        gap: whether the original is not known.
    """

    value: str
    made: str
    mark: str = ""
    level: int = 0
    gap: bool = False


@dataclass(frozen=True)
class ComparedRows:
    """Rows and their reconstructions, a line of cells for each column.

    Attributes:
        rows: (R,) names of the rows.
        columns: (K,) the columns, the worst first.
        cells: (K, R) of each column.
        n_columns: how many there are in all.
    """

    form: ClassVar[str] = "cells"
    title: ClassVar[str] = "Rows and their reconstructions"
    rows: tuple[str, ...]
    columns: tuple[ColumnError, ...]
    cells: tuple[tuple[Cell, ...], ...]
    n_columns: int

    @property
    def in_view(self) -> range:
        """Numbers of the columns that are seen at once."""
        return range(min(MOST_IN_VIEW, len(self.columns)))

    @property
    def folded(self) -> range:
        """Numbers of the columns that a page folds away."""
        return range(len(self.in_view), len(self.columns))


def compare_rows(
    spec: DataSpec, x: Array, made: Array, errors: ColumnErrors, names: Sequence[str]
) -> ComparedRows:
    """Puts the first rows beside their reconstructions, the worst columns first.

    Args:
        spec: of the rows.
        x: (N, D) in the data's own units, of a table as its matrix has them; NaN for a gap.
        made: (N, D) the same.
        errors: of all columns, which give their order and their spreads.
        names: (R,) names of the first R rows, which are shown.
    """
    columns = errors.columns[:MOST_LISTED]
    shown = len(names)
    original = in_words(spec, x[:shown], x)
    computed = in_words(spec, made[:shown], x, made=True)
    cells = tuple(
        tuple(
            _cell(column, original[column.place][r], computed[column.place][r], x[r], made[r])
            for r in range(shown)
        )
        for column in columns
    )
    return ComparedRows(tuple(names), columns, cells, len(errors.columns))


def difference(
    column: ColumnError, value: float, made: float, levels: Sequence[float] = LEVELS
) -> tuple[str, int]:
    """Tells how a value differs from what was made of it: the mark of a cell, and its level.

    Args:
        column: its kind and its spread.
        value, made: in the units of the table's matrix.
        levels: from how many spreads on the levels begin.

    Example:
        >>> age = ColumnError("age", "real", 0, 9, 0.5, spread=10.0)
        >>> difference(age, 40.0, 53.0), difference(age, 40.0, 41.0), difference(age, 40.0, 37.0)
        (('▲ 1.3', 3), ('', 0), ('▼ 0.3', 1))
    """
    if not (np.isfinite(value) and np.isfinite(made)):
        return "", 0
    if column.kind in ("category", "boolean"):
        return ("≠", 3) if round(value) != round(made) else ("", 0)
    off = (made - value) / column.spread
    level = int(np.searchsorted(levels, abs(off), side="right"))
    size = f"{abs(off):.1f}" if abs(off) < 1000 else f"{abs(off):.0e}"
    return (f"{'▲' if off > 0 else '▼'} {size}", level) if level else ("", 0)


def _cell(column: ColumnError, value: str, made: str, x: Array, computed: Array) -> Cell:
    mark, level = difference(column, float(x[column.place]), float(computed[column.place]))
    return Cell(value, made, mark, level, gap=bool(np.isnan(x[column.place])))
