"""What comes back in the form of what went in: arrays, tensors and tables, by one function.

What tells the form is what was given, or what training was given:

    given               what comes back
    a list of arrays    a list of arrays of the same lengths, where training had such a list
    an array            an array of its shape, channels where they were
    nested lists        an array of their shape
    a tensor            a tensor of its shape, on its device
    a table             a table of its library with its row labels, its columns in their order
    nothing (a draw)    as the training data: their shape; of a table, its columns and types

Values are floating point, so that differences are right, unless ``dtype="same"`` asks for the types
that were given: whole numbers to the nearest, inside the range of their type. Categories, truth values
and dates of a table have no other types than their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import torch

from autoencode.data.values import series
from autoencode.data.values.frames import encode, is_frame, names_of, to_frame
from autoencode.data.values.layouts import in_shape
from autoencode.dtypes import dtype_of, in_dtype
from autoencode.errors import OptionError, nearest
from autoencode.reading.meaning import as_meant, named, names_of_all
from autoencode.types import Array, Column, DataSpec

Dtype = Literal["float", "same"]


def as_given(x: Array, spec: DataSpec, like: Any = None, dtype: Dtype = "float") -> Any:
    """Gives examples the form of what went in.

    Args:
        x: (N, *D) raw values as the spec has them, or in the shape of ``like`` already; of a table as
            its matrix has them.
        spec: of the training data.
        like: what was given, or what the training data were: an array, nested lists, a tensor, or a
            table, perhaps without rows. ``None`` for the form that the spec remembers.
        dtype: ``float`` for numbers in floating point, ``same`` for the types of ``like``, or of the
            training data.

    Returns:
        An array, a tensor or a table. Columns of ``like`` that no model knows (labels, names of rows)
        stay where they are, if there are as many rows.

    Raises:
        OptionError: for another dtype.

    Example:
        >>> pictures = np.zeros((2, 4, 4), np.uint8)
        >>> spec = DataSpec((1, 4, 4), scale=(255.0,), given_shape=(4, 4), given_dtype="uint8")
        >>> made = np.full((2, 1, 4, 4), 254.7, np.float32)
        >>> as_given(made, spec, pictures).shape, as_given(made, spec, pictures, "same").dtype
        ((2, 4, 4), dtype('uint8'))
        >>> table = as_given(np.array([[2.0]]), DataSpec((1,), "real", columns=(Column("n"),)))
        >>> table.to_pydict()
        {'n': [2.0]}
    """
    check_dtype(dtype)
    if spec.ragged and isinstance(like, list | tuple):
        steps = shaped(x, spec)
        return [
            as_given(line[None, : len(one)], _steps_of(one), one[None], dtype)[0]
            for line, one in zip(steps, like, strict=True)
        ]
    same = dtype == "same"
    if is_frame(like) or (like is None and spec.columns):
        like = _meant(like, spec.columns)
        return _table(x.reshape(len(x), -1), spec, like, same)
    made = shaped(x, spec, like)
    if isinstance(like, torch.Tensor):
        return _tensor(made, like, same)
    return in_dtype(made, _dtype_of(like, spec)) if same else made


def check_dtype(dtype: Any) -> None:
    """Refuses an unknown way to give types.

    Raises:
        OptionError: with those that there are.
    """
    if dtype not in get_args(Dtype):
        raise OptionError(f"unknown dtype {dtype!r}; {nearest(str(dtype), get_args(Dtype))}")


def shaped(x: Array, spec: DataSpec, like: Any = None) -> Array:
    """Gives examples (N, *D) the shape of what was given, else that of the training data.

    Of a table that is its matrix. No value is copied where its axes allow it.
    """
    shape = example_shape(like)
    if not shape or math.prod(shape) != spec.size:  # of a data set, of a file
        shape = spec.given_shape or spec.shape
    return in_shape(x, (len(x), *shape))


def template_of(source: Any) -> Any:
    """Makes what tells the form of data without holding them: a table or an array without rows."""
    import narwhals.stable.v2 as nw

    if is_frame(source):
        return nw.from_native(source, eager_only=True).head(0).to_native()
    if isinstance(source, torch.Tensor):
        return source[:0].detach()
    return np.empty((0, *example_shape(source)), _dtype_of(source, None))


def filled(source: Any, spec: DataSpec, guess: Array) -> Any:
    """Fills the gaps of what was given with guesses; all else, types included, stays as it is.

    Args:
        source: an array, nested lists, a tensor or a table, also one with columns that no model knows.
        spec: of the training data.
        guess: (N, *D) raw values.
    """
    if is_frame(source):
        source = _meant(source, spec.columns)
        return _filled_table(source, spec, as_given(guess, spec, source, "same"))
    if spec.ragged and isinstance(source, list | tuple):
        return [
            filled(one[None], _steps_of(one), line[None, : len(one)])[0]
            for one, line in zip(source, shaped(guess, spec), strict=True)
        ]
    own = shaped(guess, spec, source)
    if isinstance(source, torch.Tensor):
        if not source.is_floating_point():
            return source.clone()
        return torch.where(source.isnan(), _tensor(own, source, same=True), source)
    whole = np.array(source)
    if whole.dtype == object:  # numbers beside None
        whole = whole.astype(np.float64)
    if whole.dtype.kind == "f":
        np.copyto(whole, own, where=np.isnan(whole), casting="same_kind")
    return whole


def count_rows(source: Any) -> int:
    """Counts the examples of anything that holds them."""
    if hasattr(source, "shape"):  # a sparse matrix has no length
        return int(source.shape[0])
    return len(source if hasattr(source, "__len__") else np.asarray(source))


def example_shape(like: Any) -> tuple[int, ...]:
    """Finds the shape of one example of anything like an array, also of nested lists."""
    if isinstance(like, list | tuple):
        return np.shape(like[0]) if len(like) else ()
    if hasattr(like, "shape"):
        return tuple(int(n) for n in like.shape[1:])
    return np.asarray(like).shape[1:] if hasattr(like, "__array__") else ()


def _steps_of(one: Any) -> DataSpec:
    """Describes one of the sequences of a list, as long as it is."""
    return DataSpec((max(1, int(np.prod(one.shape))),))


def _dtype_of(like: Any, spec: DataSpec | None) -> Any:
    found: Any
    if isinstance(like, list | tuple) or (hasattr(like, "__array__") and not hasattr(like, "dtype")):
        found = np.asarray(like).dtype
    else:
        found = getattr(like, "dtype", None)
    if isinstance(found, np.dtype) and found.kind in "biuf":
        return found
    return np.float64 if spec is None else spec.given_dtype


def _tensor(x: Array, like: torch.Tensor, same: bool) -> torch.Tensor:
    if same and not like.is_floating_point():
        x = in_dtype(x, like[:0].detach().cpu().numpy().dtype)
    # Rows from a model are the caller's own, whatever axes were moved.
    made = torch.from_numpy(x if x.flags.writeable else x.copy())
    return made.to(like.device, like.dtype if same and not np.isnan(x).any() else None)


# Tables.


def _meant(like: Any, columns: Sequence[Column]) -> Any:
    """Reads the text of a table that holds numbers and dates as training did (``Column.text``)."""
    return as_meant(like, columns) if is_frame(like) and any(c.text for c in columns) else like


def _table(rows: Array, spec: DataSpec, like: Any, same: bool) -> Any:
    """Makes a matrix (N, D) a table; its columns keep the places that they have in ``like``."""
    import narwhals.stable.v2 as nw

    frame = None if like is None else nw.from_native(like, eager_only=True)
    # Names of pandas need not be text; they are put back at the end.
    names = [c.name for c in spec.columns] if frame is None else names_of_all(named(like))
    places = {column.name: i for i, column in enumerate(spec.columns)}
    if not places:
        places = {name: i for i, name in enumerate(names)}
    columns = spec.columns or tuple(_unlearned(one, same) for one in frame.iter_columns())  # type: ignore[union-attr]
    whole = [n == 0 for n in spec.support.decimals] if spec.support else [False] * len(columns)
    if (
        frame is not None
        and not same
        and (plain := _plain(rows, columns, names, places, like)) is not None
    ):
        return plain
    made: dict[str, Any] = {}
    kept: list[int] = []
    forms: dict[str, tuple[Any, Any]] = {}
    for i, name in enumerate(names):
        old = None if frame is None else frame[:, i]  # a name may be a number
        if name in places:
            at = places[name]
            kept.append(i)
            forms[str(i)] = _form(columns[at], old, same)
            made[str(i)] = _values(columns[at], rows[:, at], forms[str(i)][0], old, same, whole[at])
        elif len(frame) == len(rows):  # type: ignore[arg-type]  # there is one: its name is not known
            kept.append(i)
    table = nw.from_native(to_frame(made, like), eager_only=True)
    table = table.with_columns([_cast(table[key], *form) for key, form in forms.items()])
    others = {str(i): frame[:, i] for i in kept if str(i) not in made}  # type: ignore[index]
    if others:
        table = table.with_columns([one.alias(key) for key, one in others.items()])
    native = table.select([str(i) for i in kept]).to_native()
    if hasattr(like, "index"):
        native.columns = like.columns[kept]
        return native
    renamed = nw.from_native(native, eager_only=True).rename({str(i): names[i] for i in kept})
    return renamed.to_native()


def _plain(
    rows: Array, columns: Sequence[Column], names: Sequence[Any], places: dict[Any, int], like: Any
) -> Any:
    """Makes numbers a table of pandas at once, without a copy; ``None`` where columns have types."""
    kinds = {column.kind for column in columns}
    dtypes: list[Any] = list(like.dtypes) if hasattr(like, "index") else [None]
    if kinds != {"real"} or len(names) != len(columns):
        return None
    if not all(isinstance(found, np.dtype) and found.kind in "iuf" for found in dtypes):
        return None
    order = [places[name] for name in names]
    wanted = np.result_type(*(d if d.kind == "f" else np.dtype(np.float64) for d in set(dtypes)))
    if any(d.kind == "f" and d != wanted for d in dtypes):
        return None
    matrix = rows if order == list(range(len(order))) else rows[:, order]
    index = like.index if len(like) == len(rows) else None
    return type(like)(in_dtype(matrix, wanted), index=index, columns=like.columns)


def _unlearned(old: Any, same: bool) -> Column:
    """Describes a column of a table whose columns a model does not know by their names: as numbers."""
    import narwhals.stable.v2 as nw

    return Column(str(old.name), "boolean" if same and old.dtype == nw.Boolean else "real")


def _form(column: Column, old: Any, same: bool) -> tuple[Any, Any]:
    """Finds the type that a column shall have, as narwhals has it and as its library has it.

    Those of pandas and pyarrow are finer than those of all libraries.
    """
    import narwhals.stable.v2 as nw

    dtype = dtype_of(column.dtype) if old is None else old.dtype
    if dtype is None:
        return None, None
    numbers = column.kind in ("real", "count")
    fits = {
        "real": dtype.is_numeric(),
        "count": dtype.is_numeric(),
        "boolean": dtype == nw.Boolean or (same and dtype.is_numeric()),
        "date": dtype in (nw.Datetime, nw.Date),
        "category": (
            dtype in (nw.String, nw.Categorical, nw.Enum, nw.Boolean, nw.Datetime, nw.Date)
            and getattr(dtype, "time_zone", None) is None
        )
        or dtype.is_numeric(),
    }[column.kind]
    if not fits or (numbers and not same and not dtype.is_float()):
        return None, None
    return dtype, None if old is None else _own_type(old)


def _own_type(one: Any) -> Any:
    """Gives the type that a series has in pandas or pyarrow; ``None`` for another library."""
    if one.implementation.is_pandas_like():
        return one.to_native().dtype
    return one.to_native().type if one.implementation.is_pyarrow() else None


def _values(column: Column, codes: Array, dtype: Any, old: Any, same: bool, whole: bool) -> Array:
    """Converts a column of a matrix (N,) to values in its own terms, near to what the type can hold."""
    values = series.decode(column, codes.astype(np.float64))
    if column.kind in ("real", "count"):
        if same and (column.kind == "count" or (dtype is None and whole)):
            values = np.rint(values)
            return values if dtype is not None else in_dtype(values, np.int64)
        if dtype is not None and dtype.is_integer():
            return in_dtype(np.rint(values), str(dtype).lower())
        if dtype is not None and dtype.is_decimal():
            return np.asarray(values.round(int(dtype.scale)))
        return values
    if column.kind == "category":
        return _own_labels(values, dtype, old)
    return values


def _own_labels(labels: Array, dtype: Any, old: Any) -> Array:
    """Turns the texts of categories (N,) back into the values that a column had."""
    import narwhals.stable.v2 as nw

    gone = np.array([label is None for label in labels], bool)
    if dtype is None or gone.all():
        return labels
    if dtype.is_numeric():
        numbers = np.array([math.nan if label is None else float(label) for label in labels])
        return in_dtype(numbers, str(dtype).lower()) if dtype.is_integer() else numbers
    if dtype == nw.Boolean:
        truths: Array = (labels == "True").astype(object)
        truths[gone] = None
        return truths if gone.any() else truths.astype(bool)
    if dtype in (nw.Datetime, nw.Date):
        return np.where(gone, "NaT", labels).astype("datetime64[us]")
    own = getattr(getattr(old.to_native(), "dtype", None), "categories", ()) if old is not None else ()
    named = {series.label_of(value): value for value in own}
    return np.array([named.get(label, label) for label in labels], dtype=object) if named else labels


def _cast(made: Any, dtype: Any, own: Any) -> Any:
    """Gives a series a type, of which it has only values; gaps stay where a type has none for them.

    Args:
        made: the series.
        dtype: the type as narwhals has it; ``None`` to leave it.
        own: the same as pandas or pyarrow has it, where that is known.
    """
    import narwhals.stable.v2 as nw

    if dtype is None:
        return made
    zone = getattr(dtype, "time_zone", None)
    if zone is not None and made.dtype == nw.Datetime and made.dtype.time_zone is None:
        made = made.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    if made.implementation.is_pandas_like():
        return _cast_in_pandas(made, own)
    if made.implementation.is_pyarrow():
        return _cast_in_arrow(made, dtype, own)
    if dtype == nw.Enum and not set(made.to_list()) <= {None, *dtype.categories}:
        return made
    return made.cast(dtype)


def _cast_in_pandas(made: Any, own: Any) -> Any:
    import narwhals.stable.v2 as nw

    native = made.to_native()
    if isinstance(own, np.dtype) and own.kind in "iub" and bool(native.isna().any()):
        return made
    known = getattr(own, "categories", None)
    if known is not None:
        new = [value for value in native.dropna().unique() if value not in known]
        if new:  # that what was given happens not to have
            own = type(own)([*known, *new], ordered=own.ordered)
    return nw.from_native(native.astype(own), series_only=True)


def _cast_in_arrow(made: Any, dtype: Any, own: Any) -> Any:
    import narwhals.stable.v2 as nw

    native = made.to_native()
    if dtype == nw.Categorical and native.type != own:
        native = native.cast(native.type if own is None else own.value_type).dictionary_encode()
    elif own is None or native.type != own:
        native = made.cast(dtype).to_native()
    if own is not None and native.type != own:
        native = native.cast(own)
    return nw.from_native(native, series_only=True).alias(made.name)


def _filled_table(source: Any, spec: DataSpec, made: Any) -> Any:
    """Fills the gaps of a table's columns with those of another one that has its form."""
    import narwhals.stable.v2 as nw

    # Names of pandas need not be text.
    if hasattr(source, "index") and (not spec.columns or not all(isinstance(n, str) for n in source)):
        names = names_of_all(named(source)) if spec.columns else list(map(str, range(source.shape[1])))
        plain = [one.set_axis(names, axis=1) for one in (source, made)]
        columns = spec.columns or tuple(map(Column, names))
        done = _filled_table(plain[0], replace(spec, columns=columns), plain[1])
        return done.set_axis(source.columns, axis=1)
    frame, guess = (nw.from_native(one, eager_only=True) for one in (source, made))
    columns = spec.columns or tuple(map(Column, names_of(source)))
    missing = np.isnan(encode(frame.select([c.name for c in columns]).to_native(), columns, unseen=[]))
    for i, column in enumerate(columns):
        gone = missing[:, i]
        if not gone.any():
            continue
        old, new = frame[column.name], guess[column.name]
        mixed = [
            value if is_gone else known
            for known, value, is_gone in zip(old.to_list(), new.to_list(), gone.tolist(), strict=True)
        ]
        kind = old.dtype if old.dtype.is_numeric() else None
        whole = nw.new_series(column.name, mixed, kind, backend=nw.get_native_namespace(frame))
        frame = frame.with_columns(_like(whole, old, source))
    return frame.to_native()


def _like(one: Any, old: Any, source: Any) -> Any:
    """Gives a series without missing values the dtype and the row labels of another."""
    import narwhals.stable.v2 as nw

    if not hasattr(source, "index"):
        return _cast(one, old.dtype, _own_type(old))
    native, before = one.to_native(), old.to_native().dtype
    native.index = source.index
    # What pandas holds as objects for the gaps' sake needs none any more.
    native = native if str(before) == "object" else native.astype(before)
    return nw.from_native(native, series_only=True)
