"""Values of examples in words: numbers with the digits that mean something, categories, dates, gaps.

Letters: ``N`` examples, ``D`` entries of a row. Nothing here draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from autoencode.data.values import series
from autoencode.types import Array, Column, DataSpec

GAP = "gap"
_MOST_DECIMALS = 6
_LONGEST = 1e15  # from here on a number is written with a power of ten


class Value(NamedTuple):
    """A value in words, and whether it is a gap."""

    text: str
    gap: bool = False


def entry_columns(spec: DataSpec) -> tuple[Column, ...]:
    """Gives the columns of a table; entries of rows without names are called x0, x1, ...

    Example:
        >>> [column.name for column in entry_columns(DataSpec((2,), "real"))]
        ['x0', 'x1']
    """
    return spec.columns or tuple(Column(f"x{i}") for i in range(spec.size))


def one_column(spec: DataSpec, i: int) -> DataSpec:
    """Describes one entry of rows alone, a table of one column."""
    support = spec.support
    if support is not None:
        support = replace(support, low=(0.0,), high=(0.0,), decimals=(support.decimals[i],), values=())
    return DataSpec((1,), "real", columns=(entry_columns(spec)[i],), support=support)


def in_words(
    spec: DataSpec, x: Array, reference: Array | None = None, *, made: bool = False
) -> list[list[str]]:
    """Writes rows as people read them: in the data's own units, categories and dates by name.

    A column whose training values had so many decimals keeps them. Other numbers, and what a model
    made, get digits down to a hundredth of the column's spread.

    Args:
        spec: of the data.
        x: (N, D) in the data's own units, of a table as its matrix has them; NaN for a gap.
        reference: (M, D) original rows that tell the spread; ``x`` by default.
        made: whether a model made these values, so that they may lie between those of the data.

    Returns:
        For each of the D columns the texts of its N values.

    Example:
        >>> spec = DataSpec((2,), "real", columns=(Column("age"), Column("pet", "category", ("cat",))))
        >>> in_words(spec, np.array([[41.5, 0.0], [7.25, np.nan]]))
        [['41.5', '7.2'], ['cat', 'gap']]
    """
    reference = x if reference is None else reference
    decimals = spec.support.decimals if spec.support is not None else (-1,) * spec.size
    found = []
    for i, column in enumerate(entry_columns(spec)):
        values = decoded(column, x[:, i])
        if column.kind in ("category", "boolean"):
            found.append([_word(value) for value in values])
            continue
        places = -1 if made else 0 if column.kind == "count" else decimals[i]
        write = _dates if column.kind == "date" else _numbers
        found.append(write(values, decoded(column, reference[:, i]), places))
    return found


def decoded(column: Column, values: Array) -> Array:
    """Converts numbers (N,) of a table's matrix to values in the column's own terms."""
    return series.decode(column, np.asarray(values, np.float64))


def number_in_words(value: float, decimals: int) -> str:
    """Writes a number with so many decimals, or with a power of ten where that would be too long.

    >>> number_in_words(-0.0001, 2), number_in_words(1234567.8, 0), number_in_words(2.5e20, 0)
    ('0.00', '1234568', '2.5e+20')
    """
    if not math.isfinite(value):
        return str(value)
    if decimals > _MOST_DECIMALS or abs(value) >= _LONGEST:
        return f"{value:.4g}"
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def decimals_for(spread: float) -> int:
    """Tells how many decimals show a hundredth of a spread; 0 at least.

    >>> [decimals_for(spread) for spread in (15.0, 0.3, 5000.0, 0.0)]
    [1, 3, 0, 2]
    """
    if not (spread > 0 and math.isfinite(spread)):
        return 2
    return max(0, 2 - math.floor(math.log10(spread)))


def _word(value: Any) -> str:
    if value is None:
        return GAP
    return str(bool(value)).lower() if isinstance(value, bool | np.bool_) else str(value)


def _numbers(values: Array, known: Array, places: int) -> list[str]:
    if places < 0:
        there = np.asarray(known, np.float64)
        there = there[np.isfinite(there)]
        places = decimals_for(float(there.std()) if there.size else 0.0)
    return [GAP if np.isnan(value) else number_in_words(float(value), places) for value in values]


def _dates(values: Array, known: Array, places: int) -> list[str]:
    """Writes dates; with the time where the data have one and it means something."""
    days = known[~np.isnat(known)].astype("int64") / 86400e6
    by_day = places == 0 or (places < 0 and (days.size == 0 or bool(days.std() > 2)))
    unit = "D" if by_day else "m"
    rounded = values if by_day else values + np.timedelta64(30, "s")
    texts = np.datetime_as_string(rounded.astype(f"datetime64[{unit}]"))
    return [
        GAP if gone else text.replace("T", " ")
        for text, gone in zip(texts.tolist(), np.isnat(values), strict=True)
    ]


def brief(text: str, most: int = 60) -> str:
    """Leaves out the middle of a long name; how it begins and ends tells it from others.

    >>> brief("a" * 100, 9)
    'aaaa…aaaa'
    """
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[: most - 1 - head]}…{text[-head:]}"


def row_names(ids: Array | Sequence[Any] | None, n: int, what: str = "row") -> list[str]:
    """Names n examples by their own names, or by their numbers from 0."""
    return [f"{what} {i}" for i in range(n)] if ids is None else [str(name) for name in ids[:n]]
