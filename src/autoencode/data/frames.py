"""Tables with named columns of any kind, to a matrix of numbers and back.

Any table that narwhals knows (pandas, polars, pyarrow, ...) will do. How columns are read:

    dtype of the column              kind       in the matrix
    numbers                          real       as they are
    true and false                   boolean    0 and 1
    text, categorical                category   place among the categories
    dates and times                  date       days since the column's mean
    numbers, declared a count        count      log(1 + count)
    anything, declared a category    category   place among the categories

What is missing (None, NaN, NaT, null) is NaN in the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np

from autoencode.data.raw import Array
from autoencode.errors import DataError, OptionError, nearest
from autoencode.types import Column, ColumnKind

LARGEST_EXACT = 2**53  # whole numbers above it are not all float64s
_MANY = 100  # categories; a column with more, mostly different, ones names its rows
_SECONDS = 86400.0


def is_frame(source: Any) -> bool:
    """Whether this is a table of a library that narwhals knows.

    Raises:
        DataError: two columns have one name.
    """
    if not (hasattr(source, "columns") or hasattr(source, "column_names")):
        return False  # without narwhals being imported
    import narwhals.stable.v2 as nw
    from narwhals.exceptions import DuplicateError

    try:
        known: object = nw.from_native(source, eager_only=True, pass_through=True)
    except DuplicateError:
        names_of(source)
        raise
    return isinstance(known, nw.DataFrame)


def names_of(source: Any) -> list[str]:
    """The columns' names.

    Raises:
        DataError: a name comes twice or is no text.
    """
    names = list(getattr(source, "column_names", None) or source.columns)
    for name in names:
        if not isinstance(name, str):
            raise DataError(f"the column name {name!r} is not text; rename it")
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise DataError(f"two columns are named '{twice[0]}'; rename one")
    return names


def learn_columns(
    source: Any, kinds: Mapping[str, ColumnKind] | None = None, part: str = "data"
) -> tuple[Column, ...]:
    """What the columns of a table are.

    Example:
        >>> import pyarrow as pa
        >>> table = pa.table({"age": [41, 7], "pet": ["cat", None], "member": [True, False]})
        >>> [(c.name, c.kind, c.categories) for c in learn_columns(table)]
        [('age', 'real', ()), ('pet', 'category', ('cat',)), ('member', 'boolean', ())]

    Args:
        source: a table.
        kinds: what the values of some columns are, where the dtype does not tell.
        part: what to call the data in an error message.

    Raises:
        DataError: a column cannot be learned from.
        OptionError: a kind that there is not, or of a column that there is not.
    """
    names = names_of(source)
    if not len(source):
        raise DataError(f"{part}: the table has no rows; give some")
    kinds = dict(kinds or {})
    for name, kind in kinds.items():
        if name not in names:
            raise OptionError(f"no column '{name}' to be a {kind}; {nearest(name, names)}")
        if kind not in get_args(ColumnKind):
            raise OptionError(
                f"unknown kind '{kind}' of column '{name}'; {nearest(kind, get_args(ColumnKind))}"
            )
    return tuple(_learn(name, series, kinds.get(name), part) for name, series in _series(source, names))


def encode(source: Any, columns: Sequence[Column], part: str = "data") -> Array:
    """A table as a matrix (N, D) of float64, NaN where a value is missing.

    Columns are found by their names, whatever their order.

    Raises:
        DataError: a column is missing or unknown, or a value is not of its column's kind.
    """
    names = names_of(source)
    _refuse_other_names(names, [column.name for column in columns], part)
    series = dict(_series(source, names))
    encoded = [_encode(column, series[column.name], part) for column in columns]
    if not encoded:
        return np.empty((len(source), 0))
    matrix = np.stack(encoded, axis=1)
    return matrix if np.isnan(matrix).any() else matrix.astype(_own_dtype(series.values(), columns))


def _refuse_other_names(names: Sequence[str], wanted: Sequence[str], part: str) -> None:
    missing = [name for name in wanted if name not in names]
    unknown = [name for name in names if name not in wanted]
    if missing:
        raise DataError(f"{part}: no column {_listed(missing)}, on which the model was trained; add it")
    if unknown:
        raise DataError(f"{part}: unknown column {_listed(unknown)}; drop it, or train with it")


def in_order(source: Any, columns: Sequence[Column], part: str = "data") -> Any:
    """The table with its columns in the order of those that a model was trained on.

    Raises:
        DataError: a column is missing or unknown.
    """
    wanted = [column.name for column in columns]
    _refuse_other_names(names_of(source), wanted, part)
    return select(source, wanted)


def decode(matrix: Array, columns: Sequence[Column]) -> dict[str, Array]:
    """A matrix (N, D) back to columns in their own terms; NaN becomes a missing value."""
    return {
        column.name: _decode(column, matrix[:, i].astype(np.float64))
        for i, column in enumerate(columns)
    }


def select(source: Any, names: Sequence[str]) -> Any:
    """The table with these columns only.

    Raises:
        DataError: one of them is not there.
    """
    import narwhals.stable.v2 as nw

    there = names_of(source)
    if missing := [name for name in names if name not in there]:
        raise DataError(f"no column {_listed(missing)} in the table; add it")
    return nw.from_native(source, eager_only=True).select(list(names)).to_native()


def empty_like(source: Any) -> Any:
    """A table like this one without rows: it remembers the library and the columns."""
    import narwhals.stable.v2 as nw

    return nw.from_native(source, eager_only=True).head(0).to_native()


def to_frame(values: Mapping[str, Array], like: Any = None) -> Any:
    """Columns as a table of the library that ``like`` comes from, with its row labels.

    Args:
        values: an array (N,) for each column.
        like: a table; ``None`` makes a pyarrow table.
    """
    import narwhals.stable.v2 as nw

    backend: Any = "pyarrow"
    if like is not None:
        backend = nw.get_native_namespace(nw.from_native(like, eager_only=True))
    columns = {name: _plain(column) for name, column in values.items()}
    frame = nw.from_dict(columns, backend=backend).to_native()
    if hasattr(like, "index") and len(like.index) == len(frame):
        frame.index = like.index
    return frame


def take_rows(source: Any, rows: Array) -> Any:
    """The rows of a table with these numbers."""
    import narwhals.stable.v2 as nw

    return nw.from_native(source, eager_only=True)[rows.tolist()].to_native()


def columns_of(source: Any) -> dict[str, Any]:
    """A table's columns by name, as pyarrow has them."""
    import narwhals.stable.v2 as nw

    table = nw.from_native(source, eager_only=True).to_arrow()
    return {name: table.column(name) for name in table.column_names}


def as_table(columns: Mapping[str, Any]) -> Any:
    """A pyarrow table of arrays and columns."""
    import pyarrow

    return pyarrow.table({name: _plain(values) for name, values in columns.items()})


def count_missing(source: Any) -> int:
    """How many values of a table are missing."""
    return sum(value is None for _, one in _series(source, names_of(source)) for value in _objects(one))


def fill(source: Any, columns: Sequence[Column], guess: Array) -> Any:
    """A table with guesses (N, D) where a value of these columns is missing; all else as it was.

    Columns keep their dtypes, but for whole numbers that are no counts: a guess may lie between two.
    """
    import narwhals.stable.v2 as nw

    frame = nw.from_native(source, eager_only=True)
    missing = np.isnan(encode(frame.select([c.name for c in columns]).to_native(), columns))
    values = decode(guess, columns)
    for i, column in enumerate(columns):
        if not missing[:, i].any():
            continue
        new, old = values[column.name], frame[column.name]
        if column.kind == "count":
            new = np.rint(new).astype(np.int64)
        elif old.dtype.is_integer():  # a guess may lie between two whole numbers
            old = old.cast(nw.Float64)
        own = old.to_list()
        mixed = [
            value if gone else known
            for known, value, gone in zip(own, new.tolist(), missing[:, i].tolist(), strict=True)
        ]
        kind = old.dtype if old.dtype.is_numeric() else None
        series = nw.new_series(column.name, mixed, kind, backend=nw.get_native_namespace(frame))
        frame = frame.with_columns(_like(series, old, source))
    return frame.to_native()


def _like(series: Any, old: Any, source: Any) -> Any:
    """A series without gaps with the dtype and the row labels of another."""
    import narwhals.stable.v2 as nw

    if not hasattr(source, "index"):
        return series.cast(old.dtype)
    native, before = series.to_native(), old.to_native().dtype
    native.index = source.index
    # What pandas holds as objects for the gaps' sake needs none any more.
    native = native if str(before) == "object" else native.astype(before)
    return nw.from_native(native, series_only=True)


def _own_dtype(series: Any, columns: Sequence[Column]) -> Any:
    """The dtype that the same numbers have as an array; it tells bytes from measurements."""
    kinds = [np.asarray(one.head(1).to_numpy()).dtype for one in series]
    plain = all(c.kind == "real" for c in columns) and all(kind.kind in "iuf" for kind in kinds)
    return np.result_type(*kinds) if plain else np.float64


def _plain(values: Any) -> Any:
    objects = isinstance(values, np.ndarray) and values.dtype == object
    return values.tolist() if objects else values


def _series(source: Any, names: Sequence[str]) -> list[tuple[str, Any]]:
    import narwhals.stable.v2 as nw

    frame = nw.from_native(source, eager_only=True)
    return [(name, frame[name]) for name in names]


def _learn(name: str, series: Any, kind: ColumnKind | None, part: str) -> Column:
    where = f"{part}: column '{name}'"
    found = kind or _kind(series, where)
    if found == "category":
        labels = _labels(series)
        known = sorted({label for label in labels if label is not None})
        _refuse_names(known, len(labels), where)
        if not known:
            raise DataError(f"{where} has no values; drop it")
        return Column(name, found, tuple(known))
    column = Column(name, found)
    values = _encode(column, series, part)
    if len(values) and np.isnan(values).all():
        raise DataError(f"{where} has no values; drop it")
    if found == "date" and len(values):
        return Column(name, found, origin=float(np.nanmean(values)))
    return column


def _kind(series: Any, where: str) -> ColumnKind:
    """What a column's dtype says of it."""
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
    values = _objects(series)
    if all(isinstance(v, bool | np.bool_) for v in values if v is not None) and dtype == nw.Object:
        return "boolean"
    if dtype == nw.Object and all(_is_number(v) for v in values if v is not None):
        return "real"
    if dtype == nw.String or all(isinstance(v, str) or _is_number(v) for v in values if v is not None):
        _refuse_numbers_as_text(values, where)
        return "category"
    raise DataError(f"{where} is of type {dtype}, which cannot be learned from; drop it")


def _refuse_numbers_as_text(values: Sequence[Any], where: str) -> None:
    """Refuses text that is mostly numbers: one word among them made the column text."""
    known = [(i, v) for i, v in enumerate(values) if v is not None]
    words = [(i, v) for i, v in known if not _spells_number(v)]
    if len(words) * 2 <= len(known) and known:
        if not words:
            raise DataError(f"{where} holds numbers as text; convert it, or declare it a category")
        i, word = words[0]
        raise DataError(
            f"{where} holds numbers and {len(words)} text, first {word!r} at row {i}; leave what is "
            "missing empty, or declare the column a category"
        )


def _refuse_names(known: Sequence[str], n: int, where: str) -> None:
    if len(known) > max(_MANY, n // 2):
        raise DataError(
            f"{where} has {len(known)} different values in {n} rows, as an identifier has; drop it"
        )


def _encode(column: Column, series: Any, part: str) -> Array:
    where = f"{part}: column '{column.name}'"
    if column.kind == "category":
        return _codes(column, _labels(series), where)
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


def _decode(column: Column, values: Array) -> Array:
    gone = np.isnan(values)
    if column.kind == "category":
        codes = np.where(gone, 0, values).round().astype(int).clip(0, len(column.categories) - 1)
        labels: Array = np.array(column.categories, dtype=object)[codes]
        labels[gone] = None
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
    """Values as text; whole numbers without a point."""
    return [None if value is None else _label(value) for value in _objects(series)]


def _label(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _objects(series: Any) -> list[Any]:
    """The values in Python, ``None`` where one is missing."""
    return [None if _is_missing(value) else value for value in series.to_list()]


def _is_missing(value: Any) -> bool:
    # pandas' NA is not equal to anything, and neither are NaN and NaT to themselves.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)


def _spells_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _codes(column: Column, labels: Sequence[str | None], where: str) -> Array:
    places = {label: float(i) for i, label in enumerate(column.categories)}
    unknown = [(i, v) for i, v in enumerate(labels) if v is not None and v not in places]
    if unknown:
        i, label = unknown[0]
        different = len({v for _, v in unknown})
        more = f" and {different - 1} more" if different > 1 else ""
        raise DataError(
            f"{where}: the category {label!r}{more} (first at row {i}) was never seen in training; "
            "leave it empty, or train with it"
        )
    return np.array([np.nan if v is None else places[v] for v in labels], dtype=np.float64)


def _days(series: Any, where: str) -> Array:
    """Days since 1970."""
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
            values = np.array([np.nan if v is None else float(v) for v in _objects(series)])
    else:
        objects = _objects(series)
        bad = next(((i, v) for i, v in enumerate(objects) if v is not None and not _is_number(v)), None)
        if bad is not None:
            raise DataError(
                f"{where} should hold numbers and has {bad[1]!r} at row {bad[0]}; correct it"
            )
        values = np.array([np.nan if v is None else float(v) for v in objects], dtype=np.float64)
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


def _listed(names: Sequence[str]) -> str:
    """Names in quotes, the first few."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"'{name}'" for name in names[:3]) + more
