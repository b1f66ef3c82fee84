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

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np

from autoencode.data.values import series
from autoencode.data.values.vocabulary import Unseen
from autoencode.errors import DataError, OptionError, nearest
from autoencode.reading.meaning import as_meant, named
from autoencode.reading.options import MOST_CATEGORIES
from autoencode.types import Array, Column, ColumnKind


def is_frame(source: Any) -> bool:
    """Tells whether this is a table of a library that narwhals knows.

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
    """Lists the names of a table's columns.

    Raises:
        DataError: a name comes twice or is no text.
    """
    names = list(getattr(source, "column_names", None) or source.columns)
    for name in names:
        if not isinstance(name, str):
            raise DataError(f"the column name {name!r} is not text; rename it")
    if len(set(names)) < len(names):
        twice = next(name for name, times in Counter(names).items() if times > 1)
        raise DataError(f"two columns are named '{twice}'; rename one")
    return names


def learn_columns(
    source: Any,
    kinds: Mapping[str, ColumnKind] | None = None,
    part: str = "data",
    most: int = MOST_CATEGORIES,
) -> tuple[Column, ...]:
    """Determines the kinds of a table's columns.

    Example:
        >>> import pyarrow as pa
        >>> table = pa.table({"age": [41, 7], "pet": ["cat", None], "member": [True, False]})
        >>> [(c.name, c.kind, c.categories) for c in learn_columns(table)]
        [('age', 'real', ()), ('pet', 'category', ('cat',)), ('member', 'boolean', ())]

    Args:
        source: a table.
        kinds: what the values of some columns are, where the dtype does not tell.
        part: what to call the data in an error message.
        most: categories of a column that a model knows each by itself.

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
    return tuple(
        series.learn(name, one, kinds.get(name), part, most) for name, one in _series(source, names)
    )


def encode(
    source: Any,
    columns: Sequence[Column],
    part: str = "data",
    unseen: list[Unseen] | None = None,
) -> Array:
    """Converts a table to a matrix (N, D) of float64, NaN where a value is missing.

    Columns are found by their names, whatever their order.

    Args:
        source: a table.
        columns: what its columns are.
        part: what to call the data in an error message.
        unseen: a list that is told of categories that training never saw, which become ``UNSEEN``;
            where it is left out they are refused.

    Raises:
        DataError: a column is missing or unknown, or a value is not of its column's kind.
    """
    source = as_meant(named(source), columns, part)
    names = names_of(source)
    _refuse_other_names(names, [column.name for column in columns], part)
    given = dict(_series(source, names))
    encoded = [
        series.encode(column, given[column.name], part, place, unseen)
        for place, column in enumerate(columns)
    ]
    if not encoded:
        return np.empty((len(source), 0))
    matrix = np.stack(encoded, axis=1)
    return matrix if np.isnan(matrix).any() else matrix.astype(_own_dtype(given.values(), columns))


def widened(columns: Sequence[Column], source: Any) -> tuple[Column, ...]:
    """Adds the categories that a further part of a table has besides, behind those that are known."""
    names = names_of(source)
    given = dict(_series(source, names))
    return tuple(
        series.widened(column, given[column.name]) if column.name in given else column
        for column in columns
    )


def _refuse_other_names(names: Sequence[str], wanted: Sequence[str], part: str) -> None:
    missing = [name for name in wanted if name not in names]
    unknown = [name for name in names if name not in wanted]
    if missing:
        raise DataError(f"{part}: no column {_listed(missing)}, on which the model was trained; add it")
    if unknown:
        raise DataError(f"{part}: unknown column {_listed(unknown)}; drop it, or train with it")


def in_order(source: Any, columns: Sequence[Column], part: str = "data") -> Any:
    """Puts a table's columns into the order of those that a model was trained on.

    Raises:
        DataError: a column is missing or unknown.
    """
    wanted = [column.name for column in columns]
    _refuse_other_names(names_of(source), wanted, part)
    return select(source, wanted)


def decode(matrix: Array, columns: Sequence[Column]) -> dict[str, Array]:
    """Converts a matrix (N, D) back to columns in their own terms; NaN becomes a missing value."""
    return {
        column.name: series.decode(column, matrix[:, i].astype(np.float64))
        for i, column in enumerate(columns)
    }


def select(source: Any, names: Sequence[str]) -> Any:
    """Selects columns of a table by their names.

    Raises:
        DataError: one of them is not there.
    """
    import narwhals.stable.v2 as nw

    there = names_of(source)
    if missing := [name for name in names if name not in there]:
        raise DataError(f"no column {_listed(missing)} in the table; add it")
    return nw.from_native(source, eager_only=True).select(list(names)).to_native()


def written(template: Any) -> tuple[str, bytes]:
    """Writes a table without rows: the name of its library, and its columns as an Arrow stream.

    >>> import pyarrow
    >>> name, columns = written(pyarrow.table({"a": [1]}).slice(0, 0))
    >>> name, reread(name, columns).schema.names
    ('pyarrow', ['a'])
    """
    import narwhals.stable.v2 as nw
    import pyarrow

    frame = nw.from_native(template, eager_only=True)
    table = frame.to_arrow()
    columns = [column.combine_chunks() for column in table.columns]
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as stream:  # which holds the categories as well
        stream.write_batch(pyarrow.RecordBatch.from_arrays(columns, schema=table.schema))
    return frame.implementation.value, sink.getvalue().to_pybytes()


def reread(library: str, columns: bytes) -> Any:
    """Makes the table that was written, of pyarrow where its library is another or missing.

    Raises:
        pyarrow.ArrowInvalid: for bytes that are no columns.
    """
    import narwhals.stable.v2 as nw
    import pyarrow

    table = pyarrow.ipc.open_stream(columns).read_all()
    if library not in ("pandas", "polars") or find_spec(library) is None:
        return table
    backend: Literal["pandas", "polars"] = library  # type: ignore[assignment]
    return nw.from_arrow(table, backend=backend).to_native()


def to_frame(values: Mapping[str, Array], like: Any = None) -> Any:
    """Makes columns a table of the library that ``like`` comes from, with its row labels.

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


def columns_of(source: Any) -> dict[str, Any]:
    """Returns a table's columns by name, as pyarrow has them."""
    import narwhals.stable.v2 as nw

    table = nw.from_native(source, eager_only=True).to_arrow()
    return {name: table.column(name) for name in table.column_names}


def as_table(columns: Mapping[str, Any]) -> Any:
    """Makes a pyarrow table of arrays and columns."""
    import pyarrow

    return pyarrow.table({name: _plain(values) for name, values in columns.items()})


def count_missing(source: Any) -> int:
    """Counts the missing values of a table."""
    return sum(
        value is None for _, one in _series(source, names_of(source)) for value in series.objects(one)
    )


def _own_dtype(series: Any, columns: Sequence[Column]) -> Any:
    """Finds the dtype that a table's numbers have as an array; it tells bytes from measurements."""
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


def _listed(names: Sequence[str]) -> str:
    """Formats names in quotes, the first few."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"'{name}'" for name in names[:3]) + more
