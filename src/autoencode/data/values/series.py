"""Conversion of one column of a table to numbers and back, by its kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np

from autoencode.data.values.vocabulary import Unseen, codes, learned
from autoencode.dtypes import dtype_text
from autoencode.errors import DataError
from autoencode.reading.options import MOST_CATEGORIES
from autoencode.types import Array, Column, ColumnKind

LARGEST_EXACT = 2**53  # whole numbers above it are not all float64s
_MANY = 100  # categories; a column with more, mostly different, ones names its rows
_SECONDS = 86400.0


def learn(
    name: str, series: Any, kind: ColumnKind | None, part: str, most: int = MOST_CATEGORIES
) -> Column:
    """Determines a column's kind and terms from its values and, where given, its kind.

    Args:
        name: of the column.
        series: its values.
        kind: what they are, where their dtype does not tell.
        part: what to call the data in an error message.
        most: categories that a model knows each by itself.

    Raises:
        DataError: it cannot be learned from.
    """
    where = f"{part}: column '{name}'"
    found = kind or _kind(series, where)
    dtype = dtype_text(series.dtype)
    if found == "category":
        labels = _labels(series)
        known = Counter(label for label in labels if label is not None)
        _refuse_names(known, len(labels), where)
        if not known:
            raise DataError(f"{where} has no values; drop it")
        return learned(Column(name, found, dtype=dtype), known, most)
    column = Column(name, found, dtype=dtype)
    values = encode(column, series, part)
    if len(values) and np.isnan(values).all():
        raise DataError(f"{where} has no values; drop it")
    if found == "date" and len(values):
        return replace(column, origin=float(np.nanmean(values)))
    return column


def _kind(series: Any, where: str) -> ColumnKind:
    """Determines the kind of a column from its dtype."""
    import narwhals.stable.v2 as nw

    dtype = series.dtype
    if dtype == nw.Boolean:
        return "boolean"
    if dtype.is_numeric():
        return "real"
    if dtype in (nw.Datetime, nw.Date):
        return "date"
    if dtype in (nw.Categorical, nw.Enum):
        return "category"
    values = objects(series)
    if all(isinstance(v, bool | np.bool_) for v in values if v is not None) and dtype == nw.Object:
        return "boolean"
    if dtype == nw.Object and all(_is_number(v) for v in values if v is not None):
        return "real"
    if dtype == nw.String or all(isinstance(v, str) or _is_number(v) for v in values if v is not None):
        return "category"
    raise DataError(f"{where} is of type {dtype}, which cannot be learned from; drop it")


def _refuse_names(known: Collection[str], n: int, where: str) -> None:
    if len(known) > max(_MANY, n // 2):
        raise DataError(
            f"{where} has {len(known)} different values in {n} rows, as an identifier has; drop it"
        )


def encode(
    column: Column, series: Any, part: str, place: int = 0, unseen: list[Unseen] | None = None
) -> Array:
    """Converts a column's values to (N,) float64, NaN where one is missing.

    Args:
        column: what they are.
        series: N values.
        part: what to call the data in an error message.
        place, unseen: of categories that were never seen, as for ``codes``.

    Raises:
        DataError: a value is not of the column's kind.
    """
    where = f"{part}: column '{column.name}'"
    if column.kind == "category":
        return codes(column, _labels(series), where, place, unseen)
    if column.kind == "date":
        days: Array = _days(series, where) - column.origin
        return days
    values = _numbers(series, where)
    if column.kind == "boolean":
        _refuse_where(~np.isin(values, (0, 1)) & ~np.isnan(values), values, where, "not true or false")
    if column.kind == "count":
        whole = np.rint(values)
        wrong = (values < 0) | (abs(values - whole) > 1e-9 * np.maximum(1, whole))  # log and exp round
        _refuse_where(wrong & ~np.isnan(values), values, where, "not a count (0, 1, 2, ...)")
        return np.asarray(np.log1p(whole))
    return values


def widened(column: Column, series: Any) -> Column:
    """Adds the categories of a series that a column does not have yet, in the order of their names."""
    if column.kind != "category":
        return column
    new = {label for label in _labels(series) if label is not None} - set(column.categories)
    return replace(column, categories=(*column.categories, *sorted(new)), counts=(), states=())


def decode(column: Column, values: Array) -> Array:
    """Converts numbers (N,) back to values in the column's own terms."""
    gone = np.isnan(values)
    if column.kind == "category":
        places = np.where(gone, 0, values).round().astype(int).clip(-1, len(column.categories) - 1)
        labels: Array = np.array(column.categories, dtype=object)[places]
        labels[gone | (places < 0)] = None  # of one that was never seen nothing is known
        return labels
    if column.kind == "boolean":
        known = (values >= 0.5).astype(object)
        known[gone] = None
        return known if gone.any() else np.asarray(known, dtype=bool)
    if column.kind == "count":
        counts: Array = np.expm1(values).clip(0)
        return counts
    if column.kind == "date":
        days = np.where(gone, 0.0, values + column.origin)
        seconds = np.rint(days * _SECONDS).astype("int64").astype("datetime64[s]")
        dates: Array = np.where(gone, np.datetime64("NaT", "s"), seconds).astype("datetime64[us]")
        return dates
    return np.asarray(values)


def _labels(series: Any) -> list[str | None]:
    """Converts values to text; whole numbers without a point."""
    return [None if value is None else label_of(value) for value in objects(series)]


def label_of(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def objects(series: Any) -> list[Any]:
    """Converts values to Python objects, ``None`` where one is missing."""
    return [None if _is_missing(value) else value for value in series.to_list()]


def _is_missing(value: Any) -> bool:
    # pandas' NA is not equal to anything, and neither are NaN and NaT to themselves.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)


def _days(series: Any, where: str) -> Array:
    """Converts dates to days since 1970, NaN where one is missing."""
    import narwhals.stable.v2 as nw

    if series.dtype not in (nw.Datetime, nw.Date):
        raise DataError(f"{where} should hold dates and is of type {series.dtype}; convert it")
    if getattr(series.dtype, "time_zone", None) is not None:
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    values = np.asarray(series.to_numpy()).astype("datetime64[us]")
    days = values.astype("int64") / (1e6 * _SECONDS)
    known: Array = np.where(np.isnat(values), np.nan, days)
    return known


def _numbers(series: Any, where: str) -> Array:
    import narwhals.stable.v2 as nw

    dtype = series.dtype
    if dtype.is_integer():
        _refuse_inexact(series, where)
    if dtype.is_numeric() or dtype == nw.Boolean:
        numeric = series.to_numpy()
        if numeric.dtype.kind in "biuf":
            values = numeric.astype(np.float64)
        else:
            values = np.array([np.nan if v is None else float(v) for v in objects(series)])
    else:
        raw = objects(series)
        bad = next(((i, v) for i, v in enumerate(raw) if v is not None and not _is_number(v)), None)
        if bad is not None:
            raise DataError(
                f"{where} should hold numbers and has {bad[1]!r} at row {bad[0]}; correct it"
            )
        values = np.array([np.nan if v is None else float(v) for v in raw], dtype=np.float64)
    _refuse_where(np.isinf(values), values, where, "infinite")
    return np.asarray(values)


def _refuse_inexact(series: Any, where: str) -> None:
    high, low = series.max(), series.min()
    if high is not None and max(abs(int(high)), abs(int(low))) > LARGEST_EXACT:
        raise DataError(
            f"{where} has whole numbers beyond 2**53, which no model can tell apart; drop the column "
            "if it is an identifier, else declare it a category"
        )


def _refuse_where(wrong: Array, values: Array, where: str, what: str) -> None:
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(
            f"{where}: {int(wrong.sum())} of {len(values)} values are {what}, first "
            f"{values[first]:g} at row {first}; correct or drop them"
        )
