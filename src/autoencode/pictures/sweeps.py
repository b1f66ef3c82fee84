"""What becomes of a row of a table while one dimension of its code is swept; nothing here draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoencode.pictures.cell_text import in_words
from autoencode.pictures.column_errors import ColumnError
from autoencode.pictures.compared_rows import LEVELS
from autoencode.types import Array, DataSpec

_MOST_COLUMNS = 4  # of each dimension, those that move most
_EVERY = 2  # step of a sweep is written out


@dataclass(frozen=True)
class SweptColumn:
    """One column during a sweep.

    Attributes:
        name: of the column.
        values: (K,) in words, one for each step.
        levels: (K,) 0 to 3, how far each is from the middle of the sweep.
    """

    name: str
    values: tuple[str, ...]
    levels: tuple[int, ...]


@dataclass(frozen=True)
class Sweeps:
    """Sweeps of the dimensions of a code, and the columns that each of them moves most.

    Attributes:
        names: of the dimensions.
        columns: of each dimension the columns that move, most first; none where nothing moves.
        ticks: (K,) the steps.
        across: what the steps are.
        title: what is shown.
    """

    form: ClassVar[str] = "sweeps"
    names: tuple[str, ...]
    columns: tuple[tuple[SweptColumn, ...], ...]
    ticks: tuple[str, ...]
    across: str
    title: str


def sweeps_of_rows(
    spec: DataSpec,
    decoded: Array,
    columns: Sequence[ColumnError],
    names: Sequence[str],
    ticks: Sequence[str],
    *,
    title: str,
    across: str,
) -> Sweeps:
    """Finds the columns that each sweep moves most.

    Args:
        spec: of the rows.
        decoded: (R, K, D) what is decoded at each step, in the data's own units.
        columns: all D of them, with their spreads.
        names: (R,) of the dimensions.
        ticks: (K,) of the steps.
        title, across: see ``Sweeps``.
    """
    flat = decoded.reshape(-1, decoded.shape[2]).astype(np.float64)
    texts = in_words(spec, flat, made=True)
    off = np.zeros(decoded.shape)  # from the middle of each sweep, in spreads
    for column in columns:
        values = decoded[:, :, column.place]
        middle = values[:, [values.shape[1] // 2]]
        named = column.kind in ("category", "boolean")
        moved = (np.rint(values) != np.rint(middle)) if named else (values - middle) / column.spread
        off[:, :, column.place] = np.abs(moved)
    name_of = {column.place: column.name for column in columns}
    shown = slice(None, None, _EVERY)
    found = []
    for r in range(len(decoded)):
        most = off[r].max(axis=0)
        order = np.argsort(-most, kind="stable")[:_MOST_COLUMNS]
        steps = range(r * decoded.shape[1], (r + 1) * decoded.shape[1])[shown]
        found.append(
            tuple(
                SweptColumn(
                    name_of[i],
                    tuple(texts[i][k] for k in steps),
                    tuple(np.searchsorted(LEVELS, off[r, shown, i], side="right").tolist()),
                )
                for i in order.tolist()
                if most[i] >= LEVELS[0]
            )
        )
    return Sweeps(tuple(names), tuple(found), tuple(ticks)[shown], across, title)
