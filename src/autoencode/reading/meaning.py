"""Columns of any table whose values are spelled in text or held in types of their own, made plain.

Numbers and dates in text become numbers and dates (``recognise``), times of a day and durations hours,
periods the moment at which they begin, decimals floats. Names of columns that are no text become text.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autoencode.errors import DataError
from autoencode.reading.dates import UNITS, moments_of
from autoencode.reading.recognise import UNKNOWN, Meant, Spelling, recognise
from autoencode.reading.row_names import names_rows
from autoencode.types import Array, Column, ColumnKind


def named(source: Any) -> Any:
    """Gives the columns of a table of pandas names that are text, where some are numbers or pairs.

    >>> import pandas
    >>> list(named(pandas.DataFrame([[1, 2]], columns=[0, 1])).columns)
    ['0', '1']
    """
    names = getattr(source, "columns", ())
    if not hasattr(source, "set_axis") or all(isinstance(name, str) for name in names):
        return source
    return source.set_axis([_in_words(name) for name in names], axis=1)


def _in_words(name: Any) -> str:
    return "/".join(map(str, name)) if isinstance(name, tuple) else str(name)


def holds_text(source: Any) -> bool:
    """Tells whether a column of a table of pandas holds any text."""
    columns = (source.iloc[:, place] for place in range(source.shape[1]))
    return any(
        str(column.dtype) in ("object", "str", "string", "category")
        and any(isinstance(value, str) for value in column)
        for column in columns
    )


def read_meaning(
    source: Any,
    said: Spelling = UNKNOWN,
    *,
    kinds: Mapping[str, ColumnKind] | None = None,
    before: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
    delimiter: str | None = None,
    part: str = "data",
    place: Callable[[int], str] | None = None,
) -> tuple[Any, dict[str, str], list[str]]:
    """Reads what columns of text mean; see ``recognise``.

    Args:
        source: a table of any library.
        said, kinds, before, delimiter, part, place: see ``recognise``.
        names: of the columns that are read; by default all.

    Returns:
        The table with those columns as numbers and dates, how they are spelled, and notices.
    """
    kinds = kinds or {}
    names = names_of_all(source) if names is None else names
    source, notices, plain = _plain(source, names, _epochs(kinds, before))
    found = recognise(
        texts_of(source, names, kinds),
        said,
        kinds=kinds,
        before=before,
        delimiter=delimiter,
        part=part,
        place=place,
    )
    for meant in found.values():
        notices += meant.notices
    return _with(source, found), {name: m.text for name, m in {**plain, **found}.items()}, notices


def as_meant(source: Any, columns: Sequence[Column], part: str = "data") -> Any:
    """Reads a table's text as that of training was; a column that is no text stays as it is."""
    kinds = {column.name: column.kind for column in columns}
    before = {column.name: column.text for column in columns if column.text}
    return read_meaning(source, kinds=kinds, before=before, part=part)[0]


def names_of_all(source: Any) -> list[str]:
    """Lists the names of a table's columns as they are."""
    return list(getattr(source, "column_names", None) or source.columns)


def texts_of(source: Any, names: Sequence[str], kinds: Mapping[str, ColumnKind]) -> dict[str, Any]:
    """Lists columns of text by name, but for those that are declared categories or true and false."""
    import narwhals.stable.v2 as nw

    frame = nw.from_native(source, eager_only=True)
    found = {}
    for name, dtype in frame.schema.items():
        if (
            name not in names
            or kinds.get(name) in ("category", "boolean")
            or dtype not in (nw.String, nw.Object)
        ):
            continue
        text = _text(frame[name], dtype == nw.String)
        if text is not None:
            found[name] = text
    return found


def _text(series: Any, plain: bool) -> Any | None:
    """Converts a series to a pyarrow array of text; ``None`` where it holds anything else."""
    import pyarrow

    if plain:
        text = series.to_arrow()
        if isinstance(text, pyarrow.ChunkedArray):
            text = text.combine_chunks()
        return text.cast(pyarrow.string())
    values = [None if _is_gone(value) else value for value in series.to_list()]
    if not any(isinstance(value, str) for value in values):
        return None
    if not all(value is None or _is_text_or_number(value) for value in values):
        return None
    return pyarrow.array([None if v is None else _spelled(v) for v in values], pyarrow.string())


def _is_gone(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _is_text_or_number(value: Any) -> bool:
    return isinstance(value, str | int | float | np.number) and not isinstance(value, bool | np.bool_)


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else repr(value.item() if hasattr(value, "item") else value)


def _with(source: Any, found: Mapping[str, Meant]) -> Any:
    """Puts what was recognised into a table, in its library and with its row labels."""
    if not found:
        return source
    if hasattr(source, "set_column"):  # of pyarrow
        for name, meant in found.items():
            place = source.column_names.index(name)
            source = source.set_column(place, name, _as_arrow(meant))
        return source
    if hasattr(source, "assign"):  # of pandas
        return source.assign(**{name: meant.values for name, meant in found.items()})
    import narwhals.stable.v2 as nw

    frame = nw.from_native(source, eager_only=True)
    backend = nw.get_native_namespace(frame)
    made = []
    for name, meant in found.items():
        values = meant.values
        if values.dtype.kind == "M":
            values = values.astype("datetime64[us]")
        made.append(nw.new_series(name, values, backend=backend))
    return frame.with_columns(made).to_native()


def _as_arrow(meant: Meant) -> Any:
    import pyarrow

    values = meant.values
    if values.dtype.kind != "M":
        return pyarrow.array(values, from_pandas=True)
    if not meant.timed:
        return pyarrow.array(values.astype("datetime64[D]"))
    unit = np.datetime_data(values.dtype)[0]
    return pyarrow.array(values, pyarrow.timestamp(unit, "UTC" if meant.zoned else None))


def _epochs(kinds: Mapping[str, ColumnKind], before: Mapping[str, str] | None) -> dict[str, str | None]:
    """Names columns whose numbers are moments, as the user says or training did, and their unit."""
    if before is None:
        return {name: None for name, kind in kinds.items() if kind == "date"}
    return {name: text for name, text in before.items() if text in UNITS}


def _plain(
    source: Any, names: Sequence[str], epochs: Mapping[str, str | None]
) -> tuple[Any, list[str], dict[str, Meant]]:
    """Makes columns of types of their own plain: durations and times of a day hours, and so on."""
    import narwhals.stable.v2 as nw

    frame = nw.from_native(source, eager_only=True)
    found: dict[str, Meant] = {}
    for name, dtype in frame.schema.items():
        if name not in names:
            continue
        if name in epochs and dtype.is_numeric():
            moments = moments_of(np.asarray(frame[name].to_numpy()), epochs[name])
            if moments is not None:
                values, unit = moments
                told = f"column '{name}': numbers, read as {UNITS[unit]}"
                found[name] = Meant(values, unit, (told,), timed=unit != "yyyymmdd")
        elif dtype == nw.Duration:
            found[name] = Meant(
                _hours(frame[name]), "", (f"column '{name}': durations, read as hours",)
            )
        elif dtype == nw.Time:
            clock = [_seconds(value) for value in frame[name].to_list()]
            told = f"column '{name}': times of a day, read as hours (13:30 is 13.5)"
            found[name] = Meant(np.array(clock) / 3600, "", (told,))
        elif dtype == nw.Object and (floats := _decimals(frame[name])) is not None:
            found[name] = Meant(floats, "")
        elif dtype == nw.Object and (days := _days(frame[name])) is not None:
            found[name] = Meant(days, "")
        elif dtype == nw.Unknown and hasattr(source, "dtypes"):
            held = str(source.dtypes[name])
            if held.startswith("period"):
                begin = source[name].dt.to_timestamp().to_numpy().astype("datetime64[s]")
                found[name] = Meant(
                    begin, "", (f"column '{name}': periods, read as their first moment",)
                )
            elif held.startswith(("interval", "complex")):
                raise DataError(
                    f"column '{name}' holds {held}, which is no one number; give two columns, of the "
                    + ("ends" if held.startswith("interval") else "real and imaginary parts")
                )
    notices = [notice for meant in found.values() for notice in meant.notices]
    return _with(source, found), notices, found


def _hours(series: Any) -> Array:
    values = np.asarray(series.to_numpy())
    if values.dtype.kind != "m":
        values = np.array(
            [None if v is None else np.timedelta64(v) for v in series.to_list()], "m8[us]"
        )
    micro = values.astype("timedelta64[us]")
    return np.where(np.isnat(micro), np.nan, micro.astype("int64") / 3.6e9)


def _seconds(value: Any) -> float:
    if _is_gone(value):
        return float("nan")
    return float(value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6)


def _days(series: Any) -> Array | None:
    """Converts objects that are dates to datetime64; ``None`` for anything else."""
    values = [None if _is_gone(value) else value for value in series.to_list()]
    if not any(isinstance(value, datetime.date) for value in values):
        return None
    if not all(value is None or isinstance(value, datetime.date) for value in values):
        return None
    if any(getattr(value, "tzinfo", None) is not None for value in values):
        return None
    return np.array(values, "datetime64[us]")


def _decimals(series: Any) -> Array | None:
    """Converts objects that are decimals (and numbers) to floats; ``None`` for anything else."""
    values = series.to_list()
    if not any(isinstance(value, decimal.Decimal) for value in values):
        return None
    if not all(_is_gone(v) or isinstance(v, decimal.Decimal | int | float) for v in values):
        return None
    return np.array([np.nan if _is_gone(value) else float(value) for value in values])


def without_values(source: Any, names: Sequence[str]) -> list[str]:
    """Lists the columns, of these, that hold no value."""
    import narwhals.stable.v2 as nw

    frame = nw.from_native(source, eager_only=True)
    return [name for name in names if frame[name].null_count() == len(frame)]


def row_names(source: Any, names: Sequence[str]) -> dict[str, str]:
    """Finds the columns that number or name rows, and why; see ``names_rows``."""
    import narwhals.stable.v2 as nw

    frame = nw.from_native(source, eager_only=True)
    found = {}
    for name in names:
        series = frame[name]
        if series.dtype.is_integer() and not series.null_count():
            reason = names_rows(name, np.asarray(series.to_numpy()))
        elif series.dtype in (nw.String, nw.Object) and (
            text := _text(series, series.dtype == nw.String)
        ):
            reason = names_rows(name, text)
        else:
            continue
        if reason is not None:
            found[name] = reason
    return found
